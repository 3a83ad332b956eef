import {
  FDT_BEGIN_NODE,
  FDT_COMPATIBLE_VERSION,
  FDT_END,
  FDT_END_NODE,
  FDT_HEADER_SIZE,
  FDT_MAGIC,
  FDT_PROP,
  FDT_VERSION,
  isFdtName,
} from './fdt-format.ts';
import { FDT_MAX_DEPTH, FDT_MAX_NAME, type Fdt, FdtError, type FdtNode } from './fdt-tree.ts';

/**
 * Flattens a device tree to version 17: header, reservations, structure and strings without gaps, byte for byte what
 * `dtc` makes of the same tree. `spare` zero bytes are added inside the total size, for whoever edits the blob in place.
 * Throws `FdtError` for what `readFdt` would refuse to read back.
 */
export function writeFdt(fdt: Fdt, spare = 0): Uint8Array {
  const strings = new StringTable();
  const struct = new Bytes();
  if (fdt.root.name !== '') throw new FdtError(`a root node with a name, "${fdt.root.name}"`);
  writeNode(struct, strings, fdt.root, 1);
  struct.u32(FDT_END);

  const reservations = new Bytes();
  for (const { address, size } of fdt.reservations) {
    if (address === 0n && size === 0n) throw new FdtError('an empty reservation at 0, which would end the list');
    reservations.u64(address);
    reservations.u64(size);
  }
  reservations.u64(0n);
  reservations.u64(0n);

  const structAt = FDT_HEADER_SIZE + reservations.length;
  const stringsAt = structAt + struct.length;
  const out = new Bytes();
  out.u32(FDT_MAGIC);
  out.u32(stringsAt + strings.bytes.length + spare);
  out.u32(structAt);
  out.u32(stringsAt);
  out.u32(FDT_HEADER_SIZE);
  out.u32(FDT_VERSION);
  out.u32(FDT_COMPATIBLE_VERSION);
  out.u32(fdt.bootCpuidPhys);
  out.u32(strings.bytes.length);
  out.u32(struct.length);
  for (const part of [reservations, struct, strings.bytes]) out.append(part.taken());
  out.append(new Uint8Array(spare));
  return out.taken().slice();
}

function writeNode(struct: Bytes, strings: StringTable, node: FdtNode, depth: number): void {
  if (depth > FDT_MAX_DEPTH) throw new FdtError(`more than ${FDT_MAX_DEPTH} levels of nodes`);
  struct.u32(FDT_BEGIN_NODE);
  struct.string(node.name);
  struct.pad();
  for (const [name, value] of node.properties) {
    requireName('property', name);
    struct.u32(FDT_PROP);
    struct.u32(value.length);
    struct.u32(strings.offsetOf(name));
    struct.append(value);
    struct.pad();
  }
  const names = new Set<string>();
  for (const child of node.children) {
    requireName('node', child.name);
    if (names.has(child.name)) throw new FdtError(`a second node "${child.name}"`);
    names.add(child.name);
    writeNode(struct, strings, child, depth + 1);
  }
  struct.u32(FDT_END_NODE);
}

function requireName(what: string, name: string): void {
  if (name === '' || name.length > FDT_MAX_NAME || !isFdtName(name)) {
    throw new FdtError(`a ${what} cannot have the name ${JSON.stringify(name)}`);
  }
}

/** The strings block. A name that ends another one shares its bytes, as in dtc. */
class StringTable {
  readonly bytes = new Bytes();
  readonly #offsets = new Map<string, number>();

  offsetOf(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.bytes.length;
    this.bytes.string(name);
    for (let i = 0; i < name.length; i++) {
      const tail = name.slice(i);
      if (!this.#offsets.has(tail)) this.#offsets.set(tail, offset + i);
    }
    return offset;
  }
}

/** Bytes that grow at the end; numbers are big-endian. */
class Bytes {
  length = 0;
  #bytes = new Uint8Array(1024);

  u32(value: number): void {
    this.#view(4).setUint32(0, value);
  }

  u64(value: bigint): void {
    this.#view(8).setBigUint64(0, value);
  }

  string(text: string): void {
    this.append(Uint8Array.from(text, (c) => c.charCodeAt(0)));
    this.append(Uint8Array.of(0));
  }

  pad(): void {
    this.append(new Uint8Array(-this.length & 3));
  }

  append(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** What has been written, in memory that further writing may change. */
  taken(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #view(size: number): DataView {
    const at = this.#grow(size);
    return new DataView(this.#bytes.buffer, at, size);
  }

  #grow(size: number): number {
    const at = this.length;
    this.length += size;
    if (this.length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    return at;
  }
}
