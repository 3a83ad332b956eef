import {
  FDT_BEGIN_NODE,
  FDT_COMPATIBLE_VERSION,
  FDT_END,
  FDT_END_NODE,
  FDT_HEADER_SIZE,
  FDT_HEADER_SIZE_16,
  FDT_MAGIC,
  FDT_NOP,
  FDT_PROP,
  FDT_VERSION,
  isFdtName,
} from './fdt-format.ts';
import { FDT_MAX_DEPTH, FDT_MAX_NAME, type Fdt, FdtError, type FdtNode, type FdtReservation } from './fdt-tree.ts';
import { hex } from './hex.ts';

/**
 * Reads a flattened device tree of version 17, or of version 16 as Linux's prom_init makes it (Devicetree
 * Specification v0.4, chapter 5). `blob` begins with the header and may go on after the tree. Nothing in it is trusted,
 * the result shares no memory with it, and the time is linear in its size. Throws `FdtError`.
 *
 * What two readers could understand differently is refused: properties after child nodes, two properties or two
 * children of one name, a root with a name.
 */
export function readFdt(blob: Uint8Array): Fdt {
  const header = readHeader(blob);
  const tree = blob.subarray(0, header.totalSize);
  return {
    root: readStructure(tree, header),
    reservations: readReservations(tree, header.reservations),
    bootCpuidPhys: header.bootCpuidPhys,
  };
}

/** The size that the header at the start of `blob` claims for the tree, in bytes. Throws `FdtError` if it is none. */
export function fdtTotalSize(blob: Uint8Array): number {
  if (blob.length < 8) throw new FdtError(`${blob.length} bytes are too few for a header`, 0);
  const view = viewOf(blob);
  if (view.getUint32(0) !== FDT_MAGIC) throw new FdtError(`no magic but ${hex(view.getUint32(0))}`, 0);
  return view.getUint32(4);
}

interface Header {
  readonly totalSize: number;
  readonly reservations: number;
  readonly struct: number;
  readonly structEnd: number;
  readonly strings: number;
  readonly stringsEnd: number;
  readonly bootCpuidPhys: number;
}

function readHeader(blob: Uint8Array): Header {
  const totalSize = fdtTotalSize(blob);
  if (totalSize > blob.length) throw new FdtError(`total size ${hex(totalSize)} passes the end ${hex(blob.length)}`, 4);
  if (totalSize < FDT_HEADER_SIZE_16) throw new FdtError(`total size ${hex(totalSize)} is less than a header`, 4);
  const view = viewOf(blob);
  const version = view.getUint32(20);
  const compatible = view.getUint32(24);
  if (version < FDT_COMPATIBLE_VERSION) throw new FdtError(`version ${version} is too old`, 20);
  if (compatible > FDT_VERSION) throw new FdtError(`version ${version} is compatible down to ${compatible} only`, 24);
  const sized = version >= FDT_VERSION;
  if (sized && totalSize < FDT_HEADER_SIZE) throw new FdtError(`total size ${hex(totalSize)} is less than a header`, 4);

  const headerSize = sized ? FDT_HEADER_SIZE : FDT_HEADER_SIZE_16;
  const start = (field: string, at: number, alignment: number) => {
    const offset = view.getUint32(at);
    if (offset < headerSize || offset > totalSize)
      throw new FdtError(`${field} ${hex(offset)} is outside the tree`, at);
    if (offset % alignment !== 0) throw new FdtError(`${field} ${hex(offset)} is no multiple of ${alignment}`, at);
    return offset;
  };
  const end = (field: string, at: number, offset: number) => {
    const size = view.getUint32(at);
    if (size > totalSize - offset) throw new FdtError(`${field} ${hex(size)} passes the end of the tree`, at);
    return offset + size;
  };
  const struct = start('off_dt_struct', 8, 4);
  const strings = start('off_dt_strings', 12, 1);
  return {
    totalSize,
    reservations: start('off_mem_rsvmap', 16, 8),
    struct,
    structEnd: sized ? end('size_dt_struct', 36, struct) : totalSize,
    strings,
    stringsEnd: end('size_dt_strings', 32, strings),
    bootCpuidPhys: view.getUint32(28),
  };
}

function readReservations(tree: Uint8Array, start: number): FdtReservation[] {
  const view = viewOf(tree);
  const reservations: FdtReservation[] = [];
  for (let at = start; ; at += 16) {
    if (at + 16 > tree.length) throw new FdtError('the memory reservation block has no end', at);
    const address = view.getBigUint64(at);
    const size = view.getBigUint64(at + 8);
    if (address === 0n && size === 0n) return reservations;
    reservations.push({ address, size });
  }
}

/** A node that has begun and not yet ended, with the names of its children. */
interface OpenNode {
  readonly node: FdtNode;
  readonly childNames: Set<string>;
}

function readStructure(tree: Uint8Array, header: Header): FdtNode {
  const view = viewOf(tree);
  const { structEnd } = header;
  const open: OpenNode[] = [];
  let root: FdtNode | undefined;
  let at = header.struct;

  // `at` only grows, so every turn of the loop uses up input.
  for (;;) {
    const token = at;
    if (token + 4 > structEnd) throw new FdtError('the structure block has no end', token);
    const kind = view.getUint32(token);
    at += 4;
    const parent = open.at(-1);
    if (kind === FDT_BEGIN_NODE) {
      if (open.length === FDT_MAX_DEPTH) throw new FdtError(`more than ${FDT_MAX_DEPTH} levels of nodes`, token);
      const name = readName(tree, at, structEnd, 'node');
      const child: OpenNode = { node: { name, properties: new Map(), children: [] }, childNames: new Set() };
      if (parent) {
        if (name === '') throw new FdtError('a node without a name', token);
        if (parent.childNames.has(name)) throw new FdtError(`a second node "${name}"`, token);
        parent.childNames.add(name);
        parent.node.children.push(child.node);
      } else {
        if (root) throw new FdtError('a second root node', token);
        if (name !== '') throw new FdtError(`a root node with a name, "${name}"`, token);
        root = child.node;
      }
      open.push(child);
      at = alignedUp(at + name.length + 1);
    } else if (kind === FDT_PROP) {
      if (!parent) throw new FdtError('a property outside every node', token);
      if (at + 8 > structEnd) throw new FdtError('a property passes the end of the structure block', token);
      const length = view.getUint32(at);
      const nameOffset = view.getUint32(at + 4);
      at += 8;
      if (length > structEnd - at) throw new FdtError(`a property of ${hex(length)} bytes passes the end`, token);
      if (nameOffset >= header.stringsEnd - header.strings) {
        throw new FdtError(`a property name at ${hex(nameOffset)} is outside the strings block`, token);
      }
      const name = readName(tree, header.strings + nameOffset, header.stringsEnd, 'property');
      if (name === '') throw new FdtError('a property without a name', token);
      const { properties, children } = parent.node;
      if (children.length > 0) throw new FdtError(`property "${name}" follows a child node`, token);
      if (properties.has(name)) throw new FdtError(`a second property "${name}"`, token);
      properties.set(name, tree.slice(at, at + length));
      at = alignedUp(at + length);
    } else if (kind === FDT_END_NODE) {
      if (!open.pop()) throw new FdtError('the end of a node that never began', token);
    } else if (kind === FDT_END) {
      if (!root || parent) throw new FdtError('the structure block ends within a node', token);
      return root;
    } else if (kind !== FDT_NOP) {
      throw new FdtError(`unknown token ${hex(kind)}`, token);
    }
  }
}

function readName(tree: Uint8Array, at: number, end: number, what: string): string {
  const length = tree.subarray(at, Math.min(end, at + FDT_MAX_NAME + 1)).indexOf(0);
  if (length < 0) throw new FdtError(`a ${what} name that has no end within ${FDT_MAX_NAME} bytes`, at);
  const name = String.fromCharCode(...tree.subarray(at, at + length));
  if (!isFdtName(name)) throw new FdtError(`a ${what} name with a character that no name may have`, at);
  return name;
}

function alignedUp(offset: number): number {
  return offset + (-offset & 3);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
