import {
  type GuestPhysical,
  guestPhysical,
  MSR,
  PATE_DW1,
  PDE,
  PRTE_BYTES,
  PTE,
  RADIX_ROOT,
  SPR,
  unpackRadixRoot,
} from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { type GuestFault, readGuest } from './guest-memory.ts';
import { readPate } from './partition-table.ts';
import type { Svm } from './svm.ts';

/** Real mode leaves the top two bits of an effective address out; translation has them choose the tree (2.4). */
const QUADRANT_SHIFT = 62n;
const OFFSET_MASK = 0x3fffffffffffffffn;
const ENTRY_BYTES = 8n;
/** The largest space that POWER9 translates. */
const MOST_SPACE_BITS = 52;
const LEAF_BITS: ReadonlySet<number> = new Set([12, 16, 21, 30]);

/** An instruction's place in guest memory: its first byte, a fault on the way, or null if the guest's own tables do not have it. */
export type Translated = GuestPhysical | GuestFault | null;

/**
 * Where an SVM's instruction address is in its memory, by its own process-scoped tables as the CPU walks them (2.4); in real mode the address
 * itself. Permissions are not looked at: the CPU has just executed there.
 */
export function translateFetch(uv: UvContext, port: RegisterPort, svm: Svm, nia: bigint, msr: bigint): Translated {
  if ((msr & MSR.IR) === 0n) return guestPhysical(nia & OFFSET_MASK) ?? null;
  const quadrant = nia >> QUADRANT_SHIFT;
  if (quadrant !== 0n && quadrant !== 3n) return null;
  const pid = quadrant === 0n ? port.spr(SPR.PIDR) : 0n;
  const { dw1 } = readPate(uv, svm.lpid);
  const entry = readEntry(uv, svm, (dw1 & PATE_DW1.PRTB) + pid * BigInt(PRTE_BYTES));
  if (typeof entry !== 'bigint') return entry;
  return walk(uv, svm, entry, nia & OFFSET_MASK);
}

function walk(uv: UvContext, svm: Svm, root: bigint, offset: bigint): Translated {
  let bits = unpackRadixRoot(root).rts + 31;
  if (bits > MOST_SPACE_BITS || offset >> BigInt(bits) !== 0n) return null;
  let entry = root;
  let base = RADIX_ROOT.RPDB;
  for (;;) {
    const size = Number(entry & PDE.NLS);
    if (size < 5 || size > bits - 12) return null;
    bits -= size;
    const index = (offset >> BigInt(bits)) & ((1n << BigInt(size)) - 1n);
    const next = readEntry(uv, svm, (entry & base) + index * ENTRY_BYTES);
    if (typeof next !== 'bigint') return next;
    if ((next & PDE.V) === 0n) return null;
    if ((next & PTE.L) !== 0n) {
      if (!LEAF_BITS.has(bits)) return null;
      const within = (1n << BigInt(bits)) - 1n;
      return guestPhysical((next & PTE.RPN & ~within) | (offset & within)) ?? null;
    }
    entry = next;
    base = PDE.NLB;
  }
}

/** A doubleword of a table in guest memory. */
function readEntry(uv: UvContext, svm: Svm, address: bigint): bigint | GuestFault | null {
  const gpa = guestPhysical(address);
  if (gpa === undefined) return null;
  const bytes = readGuest(uv, svm, gpa, Number(ENTRY_BYTES));
  return 'fault' in bytes ? bytes : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
}
