import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { type GuestPhysical, PDE, PTE, packPde, packPte, RADIX_52_LEVELS, UV_PAGE_SIZE } from '../abi.ts';
import type { HostPages } from './host-pages.ts';

/** Access of a partition-scoped leaf, with R and C preset so that no access ever asks for them (power-pef.md 2.6). */
const READ_ONLY = PTE.R | PTE.C | PTE.READ | PTE.EXECUTE;
const LEAF_ATTRIBUTES = { read: READ_ONLY, write: READ_ONLY | PTE.WRITE } as const;

/** A partition-scoped radix tree in normal memory, as plain data: 52 bits, 64 KiB leaves (power-pef.md 2.4). */
export interface PartitionTree {
  /** The root directory fills one page. */
  readonly root: RealAddress;
  /** Pages that lower tables are cut from. */
  pages: RealAddress[];
  /** First byte of the last of `pages` that is not taken; `UV_PAGE_SIZE` if there is none. */
  taken: number;
}

/** An empty tree, or undefined if memory is used up. */
export function createTree(pages: HostPages): PartitionTree | undefined {
  const root = pages.allocate();
  return root === undefined ? undefined : { root, pages: [], taken: UV_PAGE_SIZE };
}

/** Takes all mappings out. The partition's cached translations are to be forgotten afterwards. */
export function clearTree(tree: PartitionTree, view: HostView, pages: HostPages): void {
  view.fill(tree.root, UV_PAGE_SIZE, 0);
  for (const page of tree.pages) pages.free(page);
  tree.pages = [];
  tree.taken = UV_PAGE_SIZE;
}

/** Gives all memory of the tree back. */
export function freeTree(tree: PartitionTree, view: HostView, pages: HostPages): void {
  clearTree(tree, view, pages);
  pages.free(tree.root);
}

/**
 * Maps the 64 KiB page at `gpa` to the one at `page`, for reading and executing, and with `write` for writing.
 * @returns false if there is no memory for a table; nothing is mapped then
 */
export function mapPage(
  tree: PartitionTree,
  view: HostView,
  pages: HostPages,
  gpa: GuestPhysical,
  page: RealAddress,
  access: keyof typeof LEAF_ATTRIBUTES,
): boolean {
  let table = tree.root;
  for (const level of RADIX_52_LEVELS.keys()) {
    const entry = entryAddress(table, level, gpa);
    const next = RADIX_52_LEVELS[level + 1];
    if (next === undefined) {
      view.writeU64(entry, packPte(BigInt(page), LEAF_ATTRIBUTES[access]));
      return true;
    }
    const pde = view.readU64(entry);
    if ((pde & PDE.V) !== 0n) {
      table = Number(pde & PDE.NLB) as RealAddress;
      continue;
    }
    const below = takeTable(tree, pages, 8 << next.bits);
    if (below === undefined) return false;
    view.writeU64(entry, packPde(BigInt(below), next.bits));
    table = below;
  }
  return false;
}

/** The page that `gpa` is mapped to, or undefined. */
export function mappedPage(tree: PartitionTree, view: HostView, gpa: GuestPhysical): RealAddress | undefined {
  const entry = leafAddress(tree, view, gpa);
  if (entry === undefined) return undefined;
  const pte = view.readU64(entry);
  return (pte & PTE.V) === 0n ? undefined : (Number(pte & PTE.RPN) as RealAddress);
}

/** Takes the mapping of one page out, if there is one. Cached translations are to be forgotten afterwards. */
export function unmapPage(tree: PartitionTree, view: HostView, gpa: GuestPhysical): void {
  const entry = leafAddress(tree, view, gpa);
  if (entry !== undefined) view.writeU64(entry, 0n);
}

function leafAddress(tree: PartitionTree, view: HostView, gpa: GuestPhysical): RealAddress | undefined {
  let table = tree.root;
  for (const level of RADIX_52_LEVELS.keys()) {
    const entry = entryAddress(table, level, gpa);
    if (level === RADIX_52_LEVELS.length - 1) return entry;
    const pde = view.readU64(entry);
    if ((pde & PDE.V) === 0n) return undefined;
    table = Number(pde & PDE.NLB) as RealAddress;
  }
  return undefined;
}

function entryAddress(table: RealAddress, level: number, gpa: GuestPhysical): RealAddress {
  const { bits, shift } = RADIX_52_LEVELS[level];
  const index = Math.floor(gpa / 2 ** shift) % 2 ** bits;
  return (table + 8 * index) as RealAddress;
}

/** A zeroed table, aligned to its size. Tables of one size class follow another freely, so the larger ones align up. */
function takeTable(tree: PartitionTree, pages: HostPages, bytes: number): RealAddress | undefined {
  let at = Math.ceil(tree.taken / bytes) * bytes;
  if (at + bytes > UV_PAGE_SIZE) {
    const page = pages.allocate();
    if (page === undefined) return undefined;
    tree.pages.push(page);
    at = 0;
  }
  tree.taken = at + bytes;
  return (tree.pages[tree.pages.length - 1] + at) as RealAddress;
}
