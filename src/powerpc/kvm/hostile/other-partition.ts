import type { RealAddress } from '../../../machine/types.ts';
import { PATE_BYTES, PATE_DW1, SPR, ULTRACALL } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';
import { ownTree } from './own-tree.ts';

/** A partition that has no VM. */
const SPARE_LPID = 9;
/** Ticks in the other partition: some of the guest's work, and back before its next hypercall. */
const SHORT_TIME = 40_000n;

/** Has the victim go on in another partition, whose tree is the attacker's (power-pef.md 10.3 #60). */
export const otherPartition: Attack = {
  name: 'other-partition',
  summary: 'resume the guest with another LPIDR, in a partition of its own',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const dw0 = ownTree(hv);
      const { partitionTable, view } = hv.kvm;
      if (partitionTable === null) {
        hv.ultracalls({ number: ULTRACALL.UV_WRITE_PATE, args: [SPARE_LPID, dw0, PATE_DW1.GR] });
        return;
      }
      view.writeU64((partitionTable + SPARE_LPID * PATE_BYTES) as RealAddress, dw0);
      view.writeU64((partitionTable + SPARE_LPID * PATE_BYTES + 8) as RealAddress, PATE_DW1.GR);
      hv.port.invalidateTranslations(SPARE_LPID);
    },
    entering(line) {
      const lpid = line === FIRST_LINE ? SPARE_LPID : hv.victim.lpid;
      hv.port.setSpr(SPR.LPIDR, BigInt(lpid));
      if (line !== FIRST_LINE) return;
      hv.port.setSpr(SPR.HDEC, SHORT_TIME);
      hv.did('resuming elsewhere');
    },
  }),
};
