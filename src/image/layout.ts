/** What one field of a layout is: an unsigned big-endian number, or this many bytes. */
export type LayoutField = 'u8' | 'u16' | 'u32' | 'u64' | number;

/** Fields in their order, without gaps. What is called `reserved…` is written as zeros and not read. */
export type LayoutFields = Readonly<Record<string, LayoutField>>;

type FieldValue<F extends LayoutField> = F extends 'u64' ? bigint : F extends number ? Uint8Array : number;

/** The values of a layout's fields: `bigint` for 64 bits, copies for bytes. */
export type LayoutValues<T extends LayoutFields> = {
  readonly [K in keyof T as K extends `reserved${string}` ? never : K]: FieldValue<T[K]>;
};

const NUMBER_BYTES = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;

/** A big-endian structure of a file format, said once as data: read, written and shown from that. */
export class Layout<const T extends LayoutFields> {
  /** Bytes in all. */
  readonly bytes: number;
  /** Where each field begins. */
  readonly offsets: { readonly [K in keyof T]: number };
  readonly #fields: readonly { readonly name: string; readonly type: LayoutField; readonly at: number }[];

  constructor(fields: T) {
    let at = 0;
    const placed: { name: string; type: LayoutField; at: number }[] = [];
    for (const [name, type] of Object.entries(fields)) {
      placed.push({ name, type, at });
      at += sizeOf(type);
    }
    this.#fields = placed;
    this.bytes = at;
    this.offsets = Object.fromEntries(placed.map((field) => [field.name, field.at])) as { [K in keyof T]: number };
  }

  /** The values at an offset. Throws `RangeError` if they pass the end: whoever reads has looked for room. */
  read(bytes: Uint8Array, offset = 0): LayoutValues<T> {
    if (bytes.length - offset < this.bytes) throw new RangeError(`${this.bytes} bytes at ${offset} of ${bytes.length}`);
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, this.bytes);
    const values = this.#fields
      .filter(({ name }) => !isReserved(name))
      .map(({ name, type, at }) => [name, readField(view, bytes, offset, type, at)]);
    return Object.fromEntries(values) as LayoutValues<T>;
  }

  /** The bytes of these values. Throws `RangeError` for a value that its field cannot hold. */
  write(values: LayoutValues<T>): Uint8Array {
    const bytes = new Uint8Array(this.bytes);
    const view = new DataView(bytes.buffer);
    for (const { name, type, at } of this.#fields) {
      if (!isReserved(name)) writeField(view, type, at, (values as Record<string, unknown>)[name], name);
    }
    return bytes;
  }
}

function isReserved(name: string): boolean {
  return name.startsWith('reserved');
}

function sizeOf(type: LayoutField): number {
  return typeof type === 'number' ? type : NUMBER_BYTES[type];
}

function readField(view: DataView, bytes: Uint8Array, offset: number, type: LayoutField, at: number) {
  if (typeof type === 'number') return bytes.slice(offset + at, offset + at + type);
  if (type === 'u64') return view.getBigUint64(at);
  if (type === 'u32') return view.getUint32(at);
  return type === 'u16' ? view.getUint16(at) : view.getUint8(at);
}

function writeField(view: DataView, type: LayoutField, at: number, value: unknown, name: string): void {
  if (typeof type === 'number') {
    if (!(value instanceof Uint8Array) || value.length !== type) throw new RangeError(`${name} is not ${type} bytes`);
    new Uint8Array(view.buffer).set(value, at);
    return;
  }
  const limit = 1n << BigInt(8 * NUMBER_BYTES[type]);
  const number = type === 'u64' ? value : typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : null;
  if (typeof number !== 'bigint' || number < 0n || number >= limit) {
    throw new RangeError(`${name} is no ${type}: ${String(value)}`);
  }
  if (type === 'u64') view.setBigUint64(at, number);
  else if (type === 'u32') view.setUint32(at, Number(number));
  else if (type === 'u16') view.setUint16(at, Number(number));
  else view.setUint8(at, Number(number));
}
