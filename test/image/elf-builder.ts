/** What `buildElf` puts into a file; fields that are left out have sensible values. */
export interface ElfParts {
  bits: 32 | 64;
  littleEndian: boolean;
  machine?: number;
  type?: number;
  entry?: bigint;
  flags?: number;
  segments?: { type?: number; vaddr: bigint; paddr?: bigint; data: Uint8Array; memsz?: bigint; flags?: number }[];
  symbols?: { name: string; value: bigint; size?: bigint; info?: number; section?: number }[];
}

/** An ELF file laid out by hand from the System V gABI: header, program headers, data, then symbols and sections. */
export function buildElf(parts: ElfParts): Uint8Array {
  const { bits, littleEndian: le, segments = [], symbols } = parts;
  const wide = bits === 64;
  const out: number[] = [];
  const number = (size: number, value: number | bigint) => {
    const bytes = Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
    out.push(...(le ? bytes : bytes.reverse()));
  };
  const half = (value: number) => number(2, value);
  const word = (value: number) => number(4, value);
  const address = (value: number | bigint) => number(bits / 8, value);

  const ehsize = wide ? 64 : 52;
  const phentsize = wide ? 56 : 32;
  const shentsize = wide ? 64 : 40;
  const symsize = wide ? 24 : 16;
  const dataAt = ehsize + segments.length * phentsize;
  const symbolsAt = dataAt + segments.reduce((sum, { data }) => sum + data.length, 0);
  const names = ['', ...(symbols ?? []).map(({ name }) => name)];
  const strings = Array.from(`${names.join('\0')}\0`, (c) => c.charCodeAt(0));
  const stringsAt = symbolsAt + (symbols ? (symbols.length + 1) * symsize : 0);
  const shoff = stringsAt + strings.length;

  out.push(0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, le ? 1 : 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  half(parts.type ?? 2);
  half(parts.machine ?? 21);
  word(1);
  address(parts.entry ?? 0n);
  address(segments.length > 0 ? ehsize : 0);
  address(symbols ? shoff : 0);
  word(parts.flags ?? 0);
  for (const value of [ehsize, phentsize, segments.length, shentsize, symbols ? 3 : 0, 0]) half(value);

  let offset = dataAt;
  for (const { type = 1, vaddr, paddr = vaddr, data, memsz = BigInt(data.length), flags = 7 } of segments) {
    word(type);
    if (wide) word(flags);
    address(offset);
    address(vaddr);
    address(paddr);
    address(data.length);
    address(memsz);
    if (!wide) word(flags);
    address(1);
    offset += data.length;
  }
  for (const { data } of segments) out.push(...data);
  if (!symbols) return Uint8Array.from(out);

  let name = 0;
  for (const symbol of [{ name: '', value: 0n, info: 0, section: 0 }, ...symbols]) {
    const { value, size = 0n, info = 0x10, section = 0xfff1 } = symbol as (typeof symbols)[number];
    word(name);
    if (!wide) {
      address(value);
      address(size);
    }
    out.push(info, 0);
    half(section);
    if (wide) {
      address(value);
      address(size);
    }
    name += symbol.name.length + 1;
  }
  out.push(...strings);
  const sections = [
    { type: 0, at: 0, size: 0, link: 0, entry: 0 },
    { type: 2, at: symbolsAt, size: stringsAt - symbolsAt, link: 2, entry: symsize },
    { type: 3, at: stringsAt, size: strings.length, link: 0, entry: 0 },
  ];
  for (const { type, at, size, link, entry } of sections) {
    word(0);
    word(type);
    address(0);
    address(0);
    address(at);
    address(size);
    word(link);
    word(0);
    address(1);
    address(entry);
  }
  return Uint8Array.from(out);
}
