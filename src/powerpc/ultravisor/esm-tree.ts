import {
  asCells,
  asU32,
  asU64,
  type Fdt,
  FdtError,
  type FdtNode,
  type FdtReservation,
  findNode,
  readFdt,
  writeFdt,
} from '../../image/fdt.ts';
import { type Gfn, type GuestPhysical, gpaOf, guestPhysical, RTAS_TOKEN, UV_PAGE_SIZE } from '../abi.ts';

/** The largest device tree that UV_ESM takes (6.1 step 7). */
export const MAX_TREE_BYTES = 1 << 20;

/** Pages are reserved below this address even if the first memory node goes on (6.1 step 7). */
const RMO_LIMIT = 768 << 20;

/** Pages that the Ultravisor reserves: one for RTAS calls of its own, one of bounce buffers. */
const RESERVED_FRAMES = 2;

/** What UV_ESM takes from the guest's device tree. */
export interface TreePlan {
  /** Frames that the Ultravisor reserves for itself, in ascending order. */
  readonly reserved: readonly Gfn[];
  /** The tree with these frames in its reserve map, as long as the original. */
  readonly newTree: Uint8Array;
  readonly tokens: ReadonlyMap<string, number>;
  /** The kernel's command line, without its final NUL. */
  readonly bootargs: Uint8Array;
  readonly initrd: EsmRange;
  /** Where the boot wrapper put the blob; null if it has to be before the initrd (7.1). */
  readonly blob: EsmRange | null;
  /** The text of RTAS, without its data (7.5). */
  readonly rtasText: EsmRange;
}

/** A range of guest memory in bytes, within guest physical space. */
export interface EsmRange {
  readonly base: GuestPhysical;
  readonly size: number;
}

/** The same as the tree tells it: not checked. */
interface GuestRange {
  readonly base: bigint;
  readonly size: bigint;
}

/** RTAS is 20 bytes; what a tree tells may be more, but is bounded. */
const MAX_RTAS_TEXT = 0x10000n;

/**
 * Reads the guest's device tree, which nobody vouches for, and chooses pages for the Ultravisor (6.1 step 7): the
 * highest below the top of the first memory that are registered and hold nothing the tree tells of. An FdtError says
 * what is wrong with the tree.
 * @param kernel where the guest will be entered
 * @param tree where the tree lies
 * @param isRegistered whether a frame is in a slot
 * @throws FdtError
 */
export function planTree(
  bytes: Uint8Array,
  kernel: bigint,
  tree: bigint,
  isRegistered: (gfn: Gfn) => boolean,
): TreePlan {
  const fdt = readFdt(bytes);
  checkBootCpu(fdt);
  const measured = measuredParts(fdt.root);
  const taken = [
    ...fdt.reservations.map(({ address, size }) => ({ base: address, size })),
    { base: tree, size: BigInt(bytes.length) },
    { base: kernel, size: BigInt(UV_PAGE_SIZE) },
    ...describedRanges(fdt.root),
  ];
  requireMemory(fdt.root, isRegistered);
  const reserved = chooseFrames(memoryTop(fdt.root), taken, isRegistered);
  const newTree = withReservations(fdt, reserved, bytes.length);
  return { reserved, newTree, tokens: rtasTokens(fdt.root), ...measured };
}

/** What the digests are of, but for the kernel, which the tree does not tell of (7.1, 7.5, 10.2 #74). */
function measuredParts(root: FdtNode): Pick<TreePlan, 'bootargs' | 'initrd' | 'blob' | 'rtasText'> {
  const chosen = findNode(root, '/chosen');
  const bootargs = chosen?.properties.get('bootargs');
  if (bootargs === undefined || bootargs.at(-1) !== 0) throw new FdtError('no bootargs in /chosen');
  const rtas = findNode(root, '/rtas');
  const rtasBase = needed(rtas, '/rtas', 'linux,rtas-base');
  const rtasTextSize = needed(rtas, '/rtas', 'slof,rtas-size');
  if (rtasTextSize > MAX_RTAS_TEXT) throw new FdtError(`slof,rtas-size is ${rtasTextSize}`);
  const hasBlob = optional(chosen, 'linux,esm-blob-start') !== undefined;
  return {
    bootargs: bootargs.slice(0, -1),
    initrd: startToEnd(chosen, 'linux,initrd'),
    blob: hasBlob ? startToEnd(chosen, 'linux,esm-blob') : null,
    rtasText: within('linux,rtas-base', rtasBase, rtasTextSize),
  };
}

function startToEnd(chosen: FdtNode | undefined, name: string): EsmRange {
  const start = needed(chosen, '/chosen', `${name}-start`);
  const end = needed(chosen, '/chosen', `${name}-end`);
  if (end < start) throw new FdtError(`${name}-end is below ${name}-start`);
  return within(name, start, end - start);
}

function needed(node: FdtNode | undefined, path: string, name: string): bigint {
  const value = optional(node, name);
  if (value === undefined) throw new FdtError(`no ${name} in ${path}`);
  return value;
}

function within(name: string, base: bigint, size: bigint): EsmRange {
  const first = guestPhysical(base);
  if (first === undefined || guestPhysical(base + size) === undefined) {
    throw new FdtError(`${name} is outside guest physical space`);
  }
  return { base: first, size: Number(size) };
}

/** The CPU that boots must be one of those that there can be (6.1 step 13). */
function checkBootCpu({ root, bootCpuidPhys }: Fdt): void {
  const capacity = findNode(root, '/rtas')?.properties.get('ibm,lrdr-capacity');
  if (capacity === undefined) return;
  const cores = asCells(capacity).at(-1) ?? 0;
  const servers = findNode(root, '/cpus')?.children[0]?.properties.get('ibm,ppc-interrupt-server#s');
  const threads = servers === undefined ? 1 : asCells(servers).length;
  if (bootCpuidPhys >= cores * threads) {
    throw new FdtError(`boot CPU ${bootCpuidPhys} of at most ${cores * threads}`);
  }
}

function chooseFrames(top: number, taken: readonly GuestRange[], isRegistered: (gfn: Gfn) => boolean): Gfn[] {
  const frames = Math.floor(top / UV_PAGE_SIZE);
  const busy = new Uint8Array(frames);
  const size = BigInt(UV_PAGE_SIZE);
  for (const range of taken) {
    if (range.base < BigInt(top))
      busy.fill(1, Number(range.base / size), clamp((range.base + range.size + size - 1n) / size, frames));
  }
  const reserved: Gfn[] = [];
  for (let gfn = frames - 1; gfn >= 0 && reserved.length < RESERVED_FRAMES; gfn--) {
    if (busy[gfn] === 0 && isRegistered(gfn as Gfn)) reserved.unshift(gfn as Gfn);
  }
  if (reserved.length < RESERVED_FRAMES) throw new FdtError('no room for the pages of the Ultravisor');
  return reserved;
}

function clamp(value: bigint, most: number): number {
  return value < BigInt(most) ? Number(value) : most;
}

/** Frames that follow each other become one entry, so that the tree grows as little as possible. */
function withReservations(fdt: Fdt, reserved: readonly Gfn[], length: number): Uint8Array {
  const added: { address: bigint; size: bigint }[] = [];
  for (const gfn of reserved) {
    const address = BigInt(gpaOf(gfn));
    const last = added.at(-1);
    if (last !== undefined && last.address + last.size === address) last.size += BigInt(UV_PAGE_SIZE);
    else added.push({ address, size: BigInt(UV_PAGE_SIZE) });
  }
  const reservations: FdtReservation[] = [...fdt.reservations, ...added];
  const packed = writeFdt({ ...fdt, reservations });
  if (packed.length > length) {
    throw new FdtError(`no room for ${added.length} more memory reservations in its ${length} bytes`);
  }
  return writeFdt({ ...fdt, reservations }, length - packed.length);
}

/** End of the memory node that begins at 0, in bytes, within the limit. */
function memoryTop(root: FdtNode): number {
  const reg = findNode(root, '/memory@0')?.properties.get('reg');
  if (reg === undefined) throw new FdtError('no /memory@0 with reg');
  const addressCells = cellCount(root, '#address-cells', 2);
  const sizeCells = cellCount(root, '#size-cells', 1);
  const cells = asCells(reg);
  if (cells.length < addressCells + sizeCells) throw new FdtError('a short reg in /memory@0');
  const base = joinCells(cells.slice(0, addressCells));
  if (base !== 0n) throw new FdtError('/memory@0 does not begin at 0');
  return clamp(joinCells(cells.slice(addressCells, addressCells + sizeCells)), RMO_LIMIT);
}

/**
 * Everything that the tree calls memory must be in slots: what the guest takes for memory is never a device of the hypervisor's, which would
 * see what the guest stores there.
 */
function requireMemory(root: FdtNode, isRegistered: (gfn: Gfn) => boolean): void {
  const addressCells = cellCount(root, '#address-cells', 2);
  const sizeCells = cellCount(root, '#size-cells', 1);
  const size = BigInt(UV_PAGE_SIZE);
  for (const { name, properties } of root.children.filter(({ name }) => /^memory(@|$)/.test(name))) {
    const cells = asCells(properties.get('reg') ?? new Uint8Array(0));
    for (let at = 0; at + addressCells + sizeCells <= cells.length; at += addressCells + sizeCells) {
      const first = joinCells(cells.slice(at, at + addressCells));
      const end = first + joinCells(cells.slice(at + addressCells, at + addressCells + sizeCells));
      for (let gpa = first - (first % size); gpa < end; gpa += size) {
        if (!isRegistered(Number(gpa / size) as Gfn)) throw new FdtError(`${name} is not all in memory slots`);
      }
    }
  }
}

function cellCount(root: FdtNode, name: string, standard: number): number {
  const value = root.properties.get(name);
  const count = value === undefined ? standard : asU32(value);
  if (count !== 1 && count !== 2) throw new FdtError(`${name} is ${count}`);
  return count;
}

function joinCells(cells: readonly number[]): bigint {
  return cells.reduce((value, cell) => (value << 32n) | BigInt(cell), 0n);
}

/** Initrd, blob and RTAS, where the tree tells of them. */
function describedRanges(root: FdtNode): GuestRange[] {
  const chosen = findNode(root, '/chosen');
  const initrdStart = optional(chosen, 'linux,initrd-start');
  const initrdEnd = optional(chosen, 'linux,initrd-end');
  const rtas = findNode(root, '/rtas');
  const rtasBase = optional(rtas, 'linux,rtas-base');
  const rtasSize = optional(rtas, 'rtas-size');
  const blobStart = optional(chosen, 'linux,esm-blob-start');
  const blobEnd = optional(chosen, 'linux,esm-blob-end');
  const ranges: GuestRange[] = [];
  if (blobStart !== undefined && blobEnd !== undefined && blobEnd > blobStart) {
    ranges.push({ base: blobStart, size: blobEnd - blobStart });
  }
  if (initrdStart !== undefined && initrdEnd !== undefined && initrdEnd > initrdStart) {
    ranges.push({ base: initrdStart, size: initrdEnd - initrdStart });
  }
  if (rtasBase !== undefined && rtasSize !== undefined) ranges.push({ base: rtasBase, size: rtasSize });
  return ranges;
}

function optional(node: FdtNode | undefined, name: string): bigint | undefined {
  const value = node?.properties.get(name);
  if (value === undefined) return undefined;
  return value.length === 8 ? asU64(value) : BigInt(asU32(value));
}

/**
 * The tokens of /rtas by name; a name that the tree does not have keeps QEMU's number, unless the tree gives that to another (10.3 #70).
 * Two calls with one token are refused: a buffer would be passed on to the hypervisor that the guest never gave it.
 */
function rtasTokens(root: FdtNode): Map<string, number> {
  const properties = findNode(root, '/rtas')?.properties;
  const tokens = new Map<string, number>();
  for (const name of Object.keys(RTAS_TOKEN)) {
    const value = properties?.get(name);
    if (value !== undefined) tokens.set(name, asU32(value));
  }
  const given = new Set(tokens.values());
  if (given.size < tokens.size) throw new FdtError('two RTAS calls with one token');
  for (const [name, token] of Object.entries(RTAS_TOKEN)) {
    if (!tokens.has(name) && !given.has(token)) tokens.set(name, token);
  }
  return tokens;
}
