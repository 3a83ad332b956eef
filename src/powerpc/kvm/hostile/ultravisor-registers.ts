import type { RealAddress } from '../../../machine/types.ts';
import { PATE_BYTES, PATE_DW1, SPR } from '../../abi.ts';
import { PARTITION_TABLE_PATS } from '../partition.ts';
import { type Attack, FIRST_LINE } from './attack.ts';
import { ownTree } from './own-tree.ts';

/** What belongs to the Ultravisor where there is one; SMFCTRL = 0 would turn the whole facility off. */
const ULTRAVISOR_SPRS = [SPR.SMFCTRL, SPR.URMOR, SPR.USRR0, SPR.USRR1, SPR.USPRG0, SPR.USPRG1];

/** Turns the facility off, reads and writes the Ultravisor's registers, and puts a partition table of its own into PTCR. */
export const ultravisorRegisters: Attack = {
  name: 'ultravisor-registers',
  summary: 'write SMFCTRL, USRR0, URMOR …, and PTCR for a partition table of its own',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      for (const spr of ULTRAVISOR_SPRS) {
        const value = hv.readSpr(spr);
        if (value !== undefined) hv.takeRegisters([value]);
        hv.writeSpr(spr, 0n);
      }
      const table = hv.ownPage(0);
      const { lpid } = hv.victim;
      hv.kvm.view.writeU64((table + lpid * PATE_BYTES) as RealAddress, ownTree(hv));
      hv.kvm.view.writeU64((table + lpid * PATE_BYTES + 8) as RealAddress, PATE_DW1.GR);
      hv.writeSpr(SPR.PTCR, BigInt(table) | PARTITION_TABLE_PATS);
      hv.port.invalidateTranslations();
    },
  }),
};
