import { toyLength } from './toy-isa.ts';
import { faultText, type PageMaps, type ToyPage, trapText, undefinedText, VECTOR } from './toy-model.ts';

type Access = 'load' | 'store' | 'fetch';

/** Thrown where an instruction ends early; the state is that of before it. */
class Ends extends Error {
  readonly text: string;
  readonly vector: number;

  constructor(text: string, vector: number) {
    super(text);
    this.text = text;
    this.vector = vector;
  }
}

const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const s64 = (v: bigint): bigint => BigInt.asIntN(64, v);

/**
 * The toy architecture again, as plainly as it can be said and with nothing of the engine's: it decodes by hand, keeps no caches, and does
 * one instruction at a time. The engine must agree with it.
 */
export class Reference {
  readonly r = new Array<bigint>(16).fill(0n);
  readonly f = [0, 0, 0, 0];
  sticky = 0;
  readonly events: string[] = [];
  readonly #maps: PageMaps;
  readonly #ram: Uint8Array;
  pc = 0n;
  old = 0n;
  ticks = 0;
  narrow = false;

  constructor(maps: PageMaps, ram: Uint8Array) {
    this.#maps = maps;
    this.#ram = ram;
  }

  state(): Record<string, bigint> {
    const named = (prefix: string, values: readonly (bigint | number)[]): [string, bigint][] =>
      values.map((v, i) => [`${prefix}${i}`, BigInt(v)]);
    return {
      pc: this.pc,
      ...Object.fromEntries([...named('r', this.r), ...named('f', this.f)]),
      sticky: BigInt(this.sticky),
      old: this.old,
      ticks: BigInt(this.ticks),
    };
  }

  step(): void {
    try {
      const text = this.#access('fetch', this.pc, 2);
      const length = toyLength(text[0] * 256 + text[1]);
      this.#execute(this.#access('fetch', this.pc, length), length, false);
    } catch (e) {
      if (!(e instanceof Ends)) throw e;
      this.events.push(e.text);
      this.old = this.pc;
      this.pc = BigInt(e.vector);
    }
  }

  #page(access: Access, address: bigint, space: number): ToyPage {
    const page = this.#maps[space].get(Number(address >> 12n));
    const odd = access === 'fetch' && (address & 1n) === 1n;
    if (page === undefined || odd || (access === 'store' && !page.write) || (access === 'fetch' && !page.execute)) {
      throw new Ends(faultText(access, address, space, this.pc), VECTOR.fault);
    }
    return page;
  }

  /** Places in RAM of the bytes at an address; the first byte of each page is checked, before any byte is touched. */
  #places(access: Access, address: bigint, length: number, space = 0): number[] {
    const places: number[] = [];
    let page: ToyPage | undefined;
    for (let i = 0; i < length; i++) {
      const at = i === 0 ? address : this.#cut(address + BigInt(i));
      if (page === undefined || (at & 0xfffn) === 0n) page = this.#page(access, at, space);
      places.push(page.ram * 4096 + Number(at & 0xfffn));
    }
    return places;
  }

  #access(access: 'load' | 'fetch', address: bigint, length: number, space = 0): number[] {
    return this.#places(access, address, length, space).map((p) => this.#ram[p]);
  }

  #load(address: bigint, length: number, space = 0, reverse = false): bigint {
    const bytes = this.#access('load', address, length, space);
    if (reverse) bytes.reverse();
    return bytes.reduce((v, byte) => (v << 8n) | BigInt(byte), 0n);
  }

  #store(address: bigint, length: number, value: bigint, space = 0): void {
    this.#places('store', address, length, space).forEach((p, i) => {
      this.#ram[p] = Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn);
    });
  }

  #cut(address: bigint): bigint {
    return this.narrow ? BigInt.asUintN(32, address) : u64(address);
  }

  #arithmetic(a: bigint, b: bigint, exact: bigint, carry: boolean): bigint {
    const result = u64(a + b);
    const signed = s64(result);
    this.f.splice(0, 4, +(result === 0n), +(signed < 0n), +carry, +(signed !== exact));
    return result;
  }

  /** @param length of what lies at pc, which for an executed instruction is the EXECUTE */
  #execute(t: readonly number[], length: number, executed: boolean): void {
    const { r, f } = this;
    const [op, second] = t;
    const half = (i: number): number => (t[i] << 8) | t[i + 1];
    const short = (i: number): bigint => BigInt.asIntN(16, BigInt(half(i)));
    const [x, y] = [second >> 4, second & 15];
    const base = (n: number, d: bigint): bigint => this.#cut(n === 0 ? d : r[n] + d);
    const address = (): bigint => base(y, short(2));
    const next = this.#cut(this.pc + BigInt(length));
    const relative = (disp: bigint): bigint => u64(this.pc + disp * 2n);
    const size = 1 << (op & 3);
    let to = next;

    if (op === 0x01) r[x] = this.#arithmetic(r[x], r[y], s64(r[x]) + s64(r[y]), r[x] + r[y] >= 1n << 64n);
    else if (op === 0x02) r[x] = this.#arithmetic(r[x], -r[y], s64(r[x]) - s64(r[y]), r[x] < r[y]);
    else if (op === 0x03) r[x] = r[y];
    else if (op === 0x04) this.#arithmetic(r[x], -r[y], s64(r[x]) - s64(r[y]), r[x] < r[y]);
    else if (op === 0x05) to = r[second === 0xfe ? 14 : y] & ~1n;
    else if (op === 0x07) to = r[y];
    else if (op === 0x06) {
      to = r[y] & ~1n;
      r[x] = next;
    } else if (op === 0x08) throw new Ends(trapText(+(second !== 0), second, this.pc), VECTOR.trap);
    else if (op === 0x09) {
      if (r[x] < r[y]) throw new Ends(trapText(0x101, x, this.pc), VECTOR.trap);
    } else if (op === 0x0a) f[second >> 6] = +((r[y] & 0xffffffffn) !== 0n);
    else if (op === 0x0b) r[y] = BigInt(f[second >> 6]);
    else if (op === 0x0c) {
      // `help`: tests against this reference put nothing behind it.
    } else if (op === 0x0d) {
      r[x] = u64(r[x] + BigInt(y));
      this.ticks = (this.ticks + 1) >>> 0;
    } else if (op === 0x0e) {
      if (s64(r[x]) < s64(r[y])) r[x] = r[y];
      else this.ticks = (this.ticks + 1) >>> 0;
    } else if (op === 0x0f) f[second >> 6] = +(f[(second >> 4) & 3] === 0 || f[(second >> 2) & 3] === 0);
    else if (op === 0x10) f.splice(0, 4, +(r[x] === r[y]), +(s64(r[x]) < s64(r[y])), +(r[x] < r[y]), this.sticky);
    else if (op === 0x11) this.sticky = +((r[y] & 0xffffffffn) !== 0n);
    else if (op === 0x40) r[x] = u64(short(2));
    else if (op === 0x41) r[x] = u64(r[y] + short(2));
    else if (op >= 0x50 && op <= 0x53) r[x] = this.#load(address(), size);
    else if (op >= 0x54 && op <= 0x57) r[x] = u64(BigInt.asIntN(8 * size, this.#load(address(), size)));
    else if (op >= 0x58 && op <= 0x5b) this.#store(address(), size, r[x]);
    else if (op === 0x5c) r[x] = this.#load(address(), 8, 1);
    else if (op === 0x5d) this.#store(address(), 8, r[x], 1);
    else if (op === 0x5e) {
      const moved = u64(r[y] + short(2));
      const value = this.#load(this.#cut(moved), 8);
      r[y] = moved;
      r[x] = value;
    } else if (op === 0x5f) {
      const at = base(t[2] >> 4, BigInt.asIntN(12, BigInt(half(2) & 0xfff)));
      r[y] = this.#load(at, 1 << (second >> 6), 0, true);
    } else if (op === 0x80 || op === 0x81) {
      // N is the last bit of the first byte, the mask the first four of the second.
      const any = f.some((flag, i) => flag !== 0 && (x & (8 >> i)) !== 0);
      if (any !== (op === 0x81)) to = relative(short(2));
    } else if (op === 0x82) {
      r[x] = next;
      to = relative(short(2));
    } else if ((op === 0x84 || op === 0x85) && !executed) {
      return this.#executeOther(address() & ~1n, r[x], op, length);
    } else if (op === 0xc0) {
      const at = (i: number): bigint => base(t[i] >> 4, BigInt(half(i) & 0xfff));
      const from = this.#access('load', at(4), second + 1);
      this.#places('store', at(2), second + 1).forEach((p, i) => {
        this.#ram[p] = from[i];
      });
    } else if (op === 0xc1) r[x] = u64(BigInt.asIntN(32, BigInt(half(2) * 65536 + half(4))));
    else if (op === 0xc2) {
      r[x] = next;
      to = relative(BigInt.asIntN(32, BigInt(half(2) * 65536 + half(4))));
    } else if (op === 0xc4 && (t[5] === 1 || t[5] === 2)) {
      r[x] = u64(t[5] === 1 ? r[y] + short(2) : r[y] - short(2));
    } else if (op === 0xc3) {
      if (s64(r[x]) !== short(4)) to = relative(short(2));
    } else {
      const head = ((half(0) << 16) | (t.length > 2 ? half(2) : 0)) >>> 0;
      throw new Ends(undefinedText(head, t.length > 4 ? half(4) : 0, this.pc), VECTOR.undefined);
    }
    this.pc = to;
  }

  #executeOther(at: bigint, register: bigint, op: number, length: number): void {
    const text = this.#access('load', at, 2);
    for (let i = 2; i < toyLength(text[0] * 256 + text[1]); i += 2) {
      text.push(...this.#access('load', u64(at + BigInt(i)), 2));
    }
    text[1] |= Number(register & 0xffn);
    if (op === 0x84 && (text[0] === 0x84 || text[0] === 0x85)) throw new Ends(trapText(0x100, 0, this.pc), VECTOR.trap);
    this.#execute(text, length, true);
  }
}
