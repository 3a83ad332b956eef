import { PGM } from '../abi.ts';
import { comparisonOf } from './perform-storage.ts';
import { type Performed, type Performers, programException, type Work } from './work.ts';

/** Instructions on operands whose addresses and lengths are in registers (Principles of Operation, chapter 7). */

/** Most bytes that an instruction works on before it lets interruptions in. */
const AT_ONCE = 4096;

const min = (...values: readonly bigint[]): bigint => values.reduce((a, b) => (a < b ? a : b));

/** Bytes that lie on the page of an address. */
const onPage = (at: bigint): bigint => 4096n - (at & 0xfffn);

const isOdd = (w: Work, ...fields: readonly string[]): boolean => fields.some((f) => (w.field(f) & 1) !== 0);
const specification = (): Performed => programException(PGM.SPECIFICATION);

/** The next byte behind an address, in the mode. */
const plus = (w: Work, at: bigint, n: bigint): bigint => w.inMode(at + n);

/** An operand that a pair of registers describes. */
interface Operand {
  at: bigint;
  length: bigint;
}

/** What an instruction's length register holds: 24 bits and a padding byte, or as many bits as the mode has. */
interface Lengths {
  get(w: Work, n: number): bigint;
  set(w: Work, n: number, length: bigint): void;
}

const WITH_PAD: Lengths = {
  get: (w, n) => BigInt(w.gr32(n) & 0xffffff),
  set: (w, n, length) => w.setGr32(n, (w.gr32(n) & 0xff000000) | Number(length)),
};
const EXTENDED: Lengths = {
  get: (w, n) => w.lengthIn(n),
  set: (w, n, length) => w.setLength(n, length),
};

const operandIn = (w: Work, n: number, lengths: Lengths): Operand => ({
  at: w.addressIn(n),
  length: lengths.get(w, n + 1),
});

function putBack(w: Work, n: number, { at, length }: Operand, lengths: Lengths): void {
  w.setAddress(n, at);
  lengths.set(w, n + 1, length);
}

/** One part of a move: as much as lies on the pages at hand. @returns false where an access faulted */
function movePart(w: Work, to: Operand, from: Operand, pad: readonly number[]): boolean {
  if (from.length > 0n) {
    const n = min(to.length, from.length, onPage(to.at), onPage(from.at));
    const bytes = w.read(from.at, Number(n));
    if (bytes === null || !w.write(to.at, bytes)) return false;
    advance(w, to, n);
    advance(w, from, n);
    return true;
  }
  const n = min(to.length, onPage(to.at));
  const padding = Uint8Array.from({ length: Number(n) }, (_, i) => pad[i % pad.length] as number);
  if (!w.write(to.at, padding)) return false;
  advance(w, to, n);
  return true;
}

function advance(w: Work, operand: Operand, n: bigint): void {
  operand.at = plus(w, operand.at, n);
  operand.length -= n;
}

const lengthsCompared = (to: bigint, from: bigint): number => (to === from ? 0 : to < from ? 1 : 2);

/** MVCL. A target in the source that would change it before it is read moves nothing, with condition code 3. */
function moveLong(w: Work): Performed {
  if (isOdd(w, 'R1', 'R2')) return specification();
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  const [to, from] = [operandIn(w, r1, WITH_PAD), operandIn(w, r2, WITH_PAD)];
  const pad = w.gr32(r2 + 1) >>> 24;
  const cc = lengthsCompared(to.length, from.length);
  const finish = (code: number): Performed => {
    putBack(w, r1, to, WITH_PAD);
    putBack(w, r2, from, WITH_PAD);
    w.setCc(code);
    return 'done';
  };
  const used = min(to.length, from.length);
  if (used > 1n && w.inMode(to.at - from.at - 1n) < used - 1n) return finish(3);
  for (let work = 0; to.length > 0n; work++) {
    if (work === AT_ONCE / 512) {
      putBack(w, r1, to, WITH_PAD);
      putBack(w, r2, from, WITH_PAD);
      return 'again';
    }
    if (!movePart(w, to, from, [pad])) {
      putBack(w, r1, to, WITH_PAD);
      putBack(w, r2, from, WITH_PAD);
      return 'fault';
    }
  }
  return finish(cc);
}

/** MVCLE and MVCLU: a part of the work, and condition code 3 where some is left. */
const moveLongExtended =
  (unit: 1 | 2) =>
  (w: Work): Performed => {
    if (isOdd(w, 'R1', 'R3')) return specification();
    const [r1, r3] = [w.field('R1'), w.field('R3')];
    const [to, from] = [operandIn(w, r1, EXTENDED), operandIn(w, r3, EXTENDED)];
    if (unit === 2 && ((to.length | from.length) & 1n) !== 0n) return specification();
    const padding = Number(w.address(2) & 0xffffn);
    const pad = unit === 1 ? [padding & 0xff] : [padding >> 8, padding & 0xff];
    const cc = lengthsCompared(to.length, from.length);
    let faulted = false;
    for (let work = 0; to.length > 0n && work < AT_ONCE / 512 && !faulted; work++)
      faulted = !movePart(w, to, from, pad);
    putBack(w, r1, to, EXTENDED);
    putBack(w, r3, from, EXTENDED);
    if (faulted) return 'fault';
    w.setCc(to.length > 0n ? 3 : cc);
    return 'done';
  };

/** Compares parts until they differ or end; the shorter operand goes on with padding. */
function compareOperands(
  w: Work,
  a: Operand,
  b: Operand,
  pad: readonly number[],
  most: number,
): number | 'more' | 'fault' {
  for (let work = 0; a.length > 0n || b.length > 0n; work++) {
    if (work === most) return 'more';
    const part = (o: Operand): bigint => (o.length > 0n ? min(o.length, onPage(o.at)) : 4096n);
    const n = min(part(a), part(b));
    const bytes = (o: Operand): Uint8Array | null =>
      o.length > 0n
        ? w.read(o.at, Number(n))
        : Uint8Array.from({ length: Number(n) }, (_, i) => pad[i % pad.length] as number);
    const x = bytes(a);
    const y = x && bytes(b);
    if (x === null || y === null) return 'fault';
    const cc = comparisonOf(x, y);
    let equal = Number(n);
    if (cc !== 0) equal = x.findIndex((byte, i) => byte !== y[i]);
    equal -= equal % pad.length;
    for (const o of [a, b]) if (o.length > 0n) advance(w, o, BigInt(equal));
    if (cc !== 0) return cc;
  }
  return 0;
}

/** CLCL. */
function compareLong(w: Work): Performed {
  if (isOdd(w, 'R1', 'R2')) return specification();
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  const [a, b] = [operandIn(w, r1, WITH_PAD), operandIn(w, r2, WITH_PAD)];
  const result = compareOperands(w, a, b, [w.gr32(r2 + 1) >>> 24], AT_ONCE / 512);
  putBack(w, r1, a, WITH_PAD);
  putBack(w, r2, b, WITH_PAD);
  if (result === 'fault') return 'fault';
  if (result === 'more') return 'again';
  w.setCc(result);
  return 'done';
}

/** CLCLE and CLCLU. */
const compareLongExtended =
  (unit: 1 | 2) =>
  (w: Work): Performed => {
    if (isOdd(w, 'R1', 'R3')) return specification();
    const [r1, r3] = [w.field('R1'), w.field('R3')];
    const [a, b] = [operandIn(w, r1, EXTENDED), operandIn(w, r3, EXTENDED)];
    if (unit === 2 && ((a.length | b.length) & 1n) !== 0n) return specification();
    const padding = Number(w.address(2) & 0xffffn);
    const pad = unit === 1 ? [padding & 0xff] : [padding >> 8, padding & 0xff];
    const result = compareOperands(w, a, b, pad, AT_ONCE / 512);
    putBack(w, r1, a, EXTENDED);
    putBack(w, r3, b, EXTENDED);
    if (result === 'fault') return 'fault';
    w.setCc(result === 'more' ? 3 : result);
    return 'done';
  };

/** Bytes from an address on, to the end of its page and no more than there are up to `end`. */
function chunk(w: Work, at: bigint, end: bigint | null): Uint8Array | null {
  const room = onPage(at);
  const left = end === null ? room : min(room, w.inMode(end - at));
  return w.read(at, Number(left));
}

/** SRST: R2 the start, R1 the end, the byte in register 0. SRSTU looks for halfwords. */
const search =
  (unit: 1 | 2) =>
  (w: Work): Performed => {
    const wanted = w.gr32(0);
    if ((unit === 1 && wanted >>> 8 !== 0) || (unit === 2 && wanted >>> 16 !== 0)) return specification();
    const [r1, r2] = [w.field('R1'), w.field('R2')];
    const end = w.addressIn(r1);
    let at = w.addressIn(r2);
    for (let scanned = 0; scanned < 2 * AT_ONCE; ) {
      // An end that no step meets is the end of the address space.
      const met = w.inMode(end - at) % BigInt(unit) === 0n;
      if (at === end) {
        w.setCc(2);
        return 'done';
      }
      const crosses = unit === 2 && onPage(at) === 1n;
      const bytes = crosses ? w.read(at, 2) : chunk(w, at, met ? end : null);
      if (bytes === null) {
        w.setAddress(r2, at);
        return 'fault';
      }
      const whole = bytes.length - (bytes.length % unit);
      for (let i = 0; i < whole; i += unit) {
        const value = unit === 1 ? (bytes[i] as number) : ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
        if (value !== wanted) continue;
        w.setAddress(r1, plus(w, at, BigInt(i)));
        w.setCc(1);
        return 'done';
      }
      at = plus(w, at, BigInt(whole));
      scanned += whole;
    }
    w.setAddress(r2, at);
    w.setCc(3);
    return 'done';
  };

/** MVST: moves up to and with the byte in register 0. */
function moveString(w: Work): Performed {
  const last = w.gr32(0);
  if (last >>> 8 !== 0) return specification();
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  let [to, from] = [w.addressIn(r1), w.addressIn(r2)];
  for (let moved = 0; moved < AT_ONCE; ) {
    const n = Number(min(onPage(to), onPage(from)));
    const bytes = w.read(from, n);
    if (bytes === null) {
      w.setAddress(r1, to);
      w.setAddress(r2, from);
      return 'fault';
    }
    const found = bytes.indexOf(last);
    const part = found < 0 ? bytes : bytes.subarray(0, found + 1);
    if (!w.write(to, part)) {
      w.setAddress(r1, to);
      w.setAddress(r2, from);
      return 'fault';
    }
    if (found >= 0) {
      w.setAddress(r1, plus(w, to, BigInt(found)));
      w.setCc(1);
      return 'done';
    }
    to = plus(w, to, BigInt(n));
    from = plus(w, from, BigInt(n));
    moved += n;
  }
  w.setAddress(r1, to);
  w.setAddress(r2, from);
  w.setCc(3);
  return 'done';
}

/** CLST: compares up to the byte in register 0; a string that ends first is the lower one. */
function compareString(w: Work): Performed {
  const last = w.gr32(0);
  if (last >>> 8 !== 0) return specification();
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  let [a, b] = [w.addressIn(r1), w.addressIn(r2)];
  const stop = (i: number): void => {
    w.setAddress(r1, plus(w, a, BigInt(i)));
    w.setAddress(r2, plus(w, b, BigInt(i)));
  };
  for (let compared = 0; compared < AT_ONCE; ) {
    const n = Number(min(onPage(a), onPage(b)));
    const x = w.read(a, n);
    const y = x && w.read(b, n);
    if (x === null || y === null) {
      stop(0);
      return 'fault';
    }
    for (let i = 0; i < n; i++) {
      const [p, q] = [x[i] as number, y[i] as number];
      if (p === q && p !== last) continue;
      if (p === q) {
        w.setCc(0);
        return 'done';
      }
      stop(i);
      w.setCc(p === last || (q !== last && p < q) ? 1 : 2);
      return 'done';
    }
    a = plus(w, a, BigInt(n));
    b = plus(w, b, BigInt(n));
    compared += n;
  }
  stop(0);
  w.setCc(3);
  return 'done';
}

/** CKSM: adds words with end-around carry; what is short of a word counts as if zeros followed. */
function checksum(w: Work): Performed {
  if (isOdd(w, 'R2')) return specification();
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  const from = operandIn(w, r2, EXTENDED);
  let sum = BigInt(w.gr32(r1));
  const add = (word: number): void => {
    sum += BigInt(word >>> 0);
    sum = (sum & 0xffffffffn) + (sum >> 32n);
  };
  let faulted = false;
  for (let work = 0; from.length > 0n && work < AT_ONCE; ) {
    const n = min(from.length, 256n);
    const bytes = w.read(from.at, Number(n));
    if (bytes === null) {
      faulted = true;
      break;
    }
    for (let i = 0; i < bytes.length; i += 4) {
      const at = (j: number): number => bytes[i + j] ?? 0;
      add((at(0) << 24) | (at(1) << 16) | (at(2) << 8) | at(3));
    }
    advance(w, from, n);
    work += Number(n);
  }
  w.setGr32(r1, Number(sum));
  putBack(w, r2, from, EXTENDED);
  if (faulted) return 'fault';
  w.setCc(from.length > 0n ? 3 : 0);
  return 'done';
}

/** TRE: translates bytes up to the one in register 0, which ends it with condition code 1. */
function translateExtended(w: Work): Performed {
  if (isOdd(w, 'R1')) return specification();
  const [r1, r2] = [w.field('R1'), w.field('R2')];
  const operand = operandIn(w, r1, EXTENDED);
  const table = w.read(w.addressIn(r2), 256);
  const test = w.gr32(0) & 0xff;
  if (table === null) return 'fault';
  for (let work = 0; operand.length > 0n && work < AT_ONCE / 512; work++) {
    const n = min(operand.length, onPage(operand.at));
    const bytes = w.read(operand.at, Number(n));
    const found = bytes === null ? -1 : bytes.indexOf(test);
    const part = bytes?.subarray(0, found < 0 ? bytes.length : found).map((byte) => table[byte] as number);
    if (part === undefined || !w.write(operand.at, part)) {
      putBack(w, r1, operand, EXTENDED);
      return 'fault';
    }
    advance(w, operand, BigInt(part.length));
    if (found < 0) continue;
    putBack(w, r1, operand, EXTENDED);
    w.setCc(1);
    return 'done';
  }
  putBack(w, r1, operand, EXTENDED);
  w.setCc(operand.length > 0n ? 3 : 0);
  return 'done';
}

export const PERFORM_LONG: Performers = {
  mvcl: moveLong,
  clcl: compareLong,
  mvcle: moveLongExtended(1),
  mvclu: moveLongExtended(2),
  clcle: compareLongExtended(1),
  clclu: compareLongExtended(2),
  srst: search(1),
  srstu: search(2),
  mvst: moveString,
  clst: compareString,
  cksm: checksum,
  tre: translateExtended,
};
