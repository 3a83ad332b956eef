import { PGM } from '../abi.ts';
import { SPACE } from '../isa/helpers.ts';
import type { Control, Controls } from './control-work.ts';

/** Tables that CRDTE knows, by bits 59 to 61 of register R2: where the index of an address is, its bits, and bits of the origin that are 0. */
const TABLES: Readonly<Record<number, { readonly shift: bigint; readonly mask: bigint; readonly aligned: bigint }>> = {
  0: { shift: 12n, mask: 0xffn, aligned: 0x7ffn },
  4: { shift: 20n, mask: 0x7ffn, aligned: 0xfffn },
  5: { shift: 31n, mask: 0x7ffn, aligned: 0xfffn },
  6: { shift: 42n, mask: 0x7ffn, aligned: 0xfffn },
  7: { shift: 53n, mask: 0x7ffn, aligned: 0xfffn },
};

/**
 * COMPARE AND REPLACE DAT TABLE ENTRY: R1 and R1+1 are what is compared and what replaces it, R2 the table and R2+1 the address. Whatever R3 and the local-clearing
 * control say, all translations go.
 */
const crdte: Control = (w) => {
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  const designation = w.gr(r2);
  const table = TABLES[Number((designation >> 2n) & 7n)];
  if (table === undefined || ((r1 | r2) & 1) !== 0) return { program: PGM.SPECIFICATION };
  const index = (w.gr(r2 + 1) >> table.shift) & table.mask;
  const entry = (designation & ~table.aligned) + 8n * index;
  const value = w.load(entry, 8, SPACE.real);
  if (value === null) return 'fault';
  if (value !== w.gr(r1)) {
    w.setGr(r1, value);
    return 1;
  }
  if (!w.store(entry, 8, w.gr(r1 + 1), SPACE.real)) return 'fault';
  w.core.peers.flushTranslations();
  return 0;
};

/** What works on tables and look-aside buffers, beside what `control-storage.ts` has (Principles of Operation, chapter 10). */
export const CONTROL_TABLES: Controls = {
  crdte,
  // PURGE ALB: access registers choose no space, so nothing of theirs is remembered.
  palb: () => 'done',
};
