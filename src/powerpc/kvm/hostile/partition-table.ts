import type { RealAddress } from '../../../machine/types.ts';
import { PATE_BYTES, PATE_DW1, PTCR, SPR, ULTRACALL } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';
import { ownTree } from './own-tree.ts';

/** Points the victim's partition table entry at a tree of its own: by a store where PTCR says the table is, and by UV_WRITE_PATE. */
export const partitionTable: Attack = {
  name: 'partition-table',
  summary: 'write the guest’s partition table entry, by stores and by UV_WRITE_PATE',
  begin: (hv) => ({
    line(n) {
      if (n !== FIRST_LINE) return;
      const { lpid } = hv.victim;
      const dw0 = ownTree(hv);
      const table = hv.readSpr(SPR.PTCR);
      if (table !== undefined) {
        const entry = Number(table & PTCR.PATB) + lpid * PATE_BYTES;
        hv.store(entry as RealAddress, bigEndian(dw0));
        hv.port.invalidateTranslations(lpid);
      }
      if (hv.isSecure()) hv.ultracalls({ number: ULTRACALL.UV_WRITE_PATE, args: [lpid, dw0, PATE_DW1.GR] });
    },
  }),
};

function bigEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
