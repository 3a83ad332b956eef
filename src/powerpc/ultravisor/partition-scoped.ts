import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import {
  type Gfn,
  PDE,
  packPde,
  packRadixRoot,
  RADIX_52_LEVELS,
  RADIX_52_ROOT_BITS,
  RADIX_52_RTS,
  RADIX_ROOT,
  UV_PAGE_ORDER,
  UV_PAGE_SIZE,
} from '../abi.ts';
import type { SecureMemory } from './secure-memory.ts';

/**
 * The partition-scoped tree of an SVM, in secure memory in the format that the CPU walks: a 52-bit space with 64 KiB
 * leaves (2.4, 2.6). Tables are made when a slot is registered and live as long as the SVM, so that to set a leaf later
 * cannot fail.
 */
export interface PartitionScopedTree {
  readonly root: RealAddress;
  /** Frames that hold the tables below the root. */
  readonly frames: RealAddress[];
  /** Where the next table goes in the last of `frames`, in bytes; `UV_PAGE_SIZE` if it is full or there is none. */
  used: number;
}

const ENTRY_BYTES = 8;

/** Bytes of the smallest table. */
const LEAF_TABLE_BYTES = ENTRY_BYTES * 2 ** RADIX_52_LEVELS[3].bits;

/** An empty tree, or undefined if secure memory is used up. */
export function createTree(secure: SecureMemory): PartitionScopedTree | undefined {
  const root = secure.take();
  return root === undefined ? undefined : { root, frames: [], used: UV_PAGE_SIZE };
}

/** Gives all tables back. The tree must be in no partition table entry any more. */
export function releaseTree(secure: SecureMemory, tree: PartitionScopedTree): void {
  for (const frame of tree.frames) secure.release(frame);
  secure.release(tree.root);
}

/** Dw0 of the partition table entry that points to this tree (2.6). */
export function treePateDw0(tree: PartitionScopedTree): bigint {
  return RADIX_ROOT.HR | packRadixRoot({ base: BigInt(tree.root), rootBits: RADIX_52_ROOT_BITS, rts: RADIX_52_RTS });
}

/**
 * Makes every table that leaves for `count` frames from `first` need.
 * @returns false, and nothing has changed, if secure memory cannot hold them
 */
export function makeTables(
  view: HostView,
  secure: SecureMemory,
  tree: PartitionScopedTree,
  first: Gfn,
  count: number,
): boolean {
  if (bytesOfTables(first, count) > UV_PAGE_SIZE - tree.used + secure.free * UV_PAGE_SIZE) return false;
  const leafTable = RADIX_52_LEVELS[3];
  const step = 2 ** leafTable.bits;
  const last = first + count - 1;
  for (let gfn = first - (first % step); gfn <= last; gfn += step) leafAddress(view, tree, gfn as Gfn, secure);
  return true;
}

/**
 * Sets the leaf of a frame; 0 unmaps it. The caller invalidates translations. @throws Error if its table was never made
 */
export function setLeaf(view: HostView, tree: PartitionScopedTree, gfn: Gfn, pte: bigint): void {
  view.writeU64(leafAddress(view, tree, gfn, null), pte);
}

/** The leaf of a frame as it stands in the tree, with R and C as the CPU left them. @throws Error if its table was never made */
export function readLeaf(view: HostView, tree: PartitionScopedTree, gfn: Gfn): bigint {
  return view.readU64(leafAddress(view, tree, gfn, null));
}

/**
 * An upper bound of the bytes that the tables below the root take, as if none existed, with what alignment to their
 * size may waste.
 */
function bytesOfTables(first: Gfn, count: number): number {
  let bytes = 0;
  for (const { bits, shift } of RADIX_52_LEVELS.slice(1)) {
    const span = 2 ** (shift + bits - UV_PAGE_ORDER);
    const tables = Math.floor((first + count - 1) / span) - Math.floor(first / span) + 1;
    const size = ENTRY_BYTES * 2 ** bits;
    bytes += tables * (size + size - LEAF_TABLE_BYTES);
  }
  return bytes;
}

/** Where the frame's leaf is, with missing tables made from `secure` on the way. */
function leafAddress(view: HostView, tree: PartitionScopedTree, gfn: Gfn, secure: SecureMemory | null): RealAddress {
  let table: number = tree.root;
  for (const [level, { bits, shift }] of RADIX_52_LEVELS.entries()) {
    const index = Math.floor(gfn / 2 ** (shift - UV_PAGE_ORDER)) % 2 ** bits;
    const entry = (table + index * ENTRY_BYTES) as RealAddress;
    const below = RADIX_52_LEVELS[level + 1];
    if (below === undefined) return entry;
    const pde = view.readU64(entry);
    if ((pde & PDE.V) !== 0n) {
      table = Number(pde & PDE.NLB);
    } else {
      if (secure === null) throw new Error(`no table for guest frame 0x${gfn.toString(16)}`);
      table = takeTable(secure, tree, ENTRY_BYTES * 2 ** below.bits);
      view.writeU64(entry, packPde(BigInt(table), below.bits));
    }
  }
  throw new Error('a tree without leaves');
}

function takeTable(secure: SecureMemory, tree: PartitionScopedTree, bytes: number): RealAddress {
  let at = Math.ceil(tree.used / bytes) * bytes;
  if (at + bytes > UV_PAGE_SIZE) {
    const frame = secure.take();
    if (frame === undefined) throw new Error('secure memory for tables was counted wrongly');
    tree.frames.push(frame);
    at = 0;
  }
  tree.used = at + bytes;
  return (tree.frames[tree.frames.length - 1] + at) as RealAddress;
}
