import { DXC, PGM, PSW } from '../abi.ts';
import { psw } from './state.ts';
import { type Performed, type Performers, programException, type Work } from './work.ts';

/** Decimal numbers (Principles of Operation, chapter 8) and conversions from and to them (chapter 7). */

const dataException = (): Performed => programException(PGM.DATA, DXC.DECIMAL_OPERAND);

/** A packed number: digits, and a sign in the last four bits. */
interface Packed {
  readonly value: bigint;
  readonly negative: boolean;
}

const isNegative = (sign: number): boolean => sign === 0xb || sign === 0xd;

/** @returns null where a digit or the sign is none */
function unpackDecimal(bytes: Uint8Array): Packed | null {
  let value = 0n;
  for (let i = 0; i < bytes.length; i++) {
    const [left, right] = [(bytes[i] as number) >> 4, (bytes[i] as number) & 15];
    if (left > 9) return null;
    value = value * 10n + BigInt(left);
    if (i === bytes.length - 1) return right < 10 ? null : { value, negative: isNegative(right) };
    if (right > 9) return null;
    value = value * 10n + BigInt(right);
  }
  return null;
}

/** Digits from the right, as many as fit; the sign is preferred plus or minus. */
function packDecimal(value: bigint, negative: boolean, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let rest = value;
  const digit = (): number => {
    const d = Number(rest % 10n);
    rest /= 10n;
    return d;
  };
  bytes[length - 1] = (digit() << 4) | (negative ? 0xd : 0xc);
  for (let i = length - 2; i >= 0; i--) bytes[i] = digit() | (digit() << 4);
  return bytes;
}

const limit = (length: number): bigint => 10n ** BigInt(2 * length - 1);

const signed = ({ value, negative }: Packed): bigint => (negative ? -value : value);

const lengthOf = (w: Work, n: 1 | 2): number => w.field(`L${n}`) + 1;

/** Puts a result into the first operand. Overflow cuts digits off, and ends in an interruption if the program mask says so. */
function putResult(w: Work, at: bigint, length: number, result: bigint): Performed {
  const magnitude = result < 0n ? -result : result;
  const cut = magnitude % limit(length);
  const overflow = cut !== magnitude;
  // What is left of a negative number after an overflow keeps its sign, be it zero.
  const negative = result < 0n;
  if (!w.write(at, packDecimal(cut, negative, length))) return 'fault';
  w.setCc(overflow ? 3 : result === 0n ? 0 : result < 0n ? 1 : 2);
  if (!overflow || (w.context.get64(psw) & PSW.DECIMAL_OVERFLOW) === 0n) return 'done';
  return programException(PGM.DECIMAL_OVERFLOW);
}

/** Two packed operands; the first may be left unread. */
function operands(w: Work): { first: Uint8Array; second: Uint8Array } | null {
  const first = w.read(w.address(1), lengthOf(w, 1));
  const second = first && w.read(w.address(2), lengthOf(w, 2));
  return first === null || second === null ? null : { first, second };
}

const adding =
  (combine: (a: bigint, b: bigint) => bigint) =>
  (w: Work): Performed => {
    const bytes = operands(w);
    if (bytes === null) return 'fault';
    const [a, b] = [unpackDecimal(bytes.first), unpackDecimal(bytes.second)];
    if (a === null || b === null) return dataException();
    return putResult(w, w.address(1), bytes.first.length, combine(signed(a), signed(b)));
  };

function zeroAndAdd(w: Work): Performed {
  const bytes = operands(w);
  if (bytes === null) return 'fault';
  const b = unpackDecimal(bytes.second);
  return b === null ? dataException() : putResult(w, w.address(1), bytes.first.length, signed(b));
}

function compareDecimal(w: Work): Performed {
  const bytes = operands(w);
  if (bytes === null) return 'fault';
  const [a, b] = [unpackDecimal(bytes.first), unpackDecimal(bytes.second)];
  if (a === null || b === null) return dataException();
  w.setCc(signed(a) === signed(b) ? 0 : signed(a) < signed(b) ? 1 : 2);
  return 'done';
}

/** MP: the first operand has as many bytes of zeros on the left as the second has bytes. */
function multiplyDecimal(w: Work): Performed {
  const [l1, l2] = [lengthOf(w, 1), lengthOf(w, 2)];
  if (l2 > 8 || l2 >= l1) return programException(PGM.SPECIFICATION);
  const bytes = operands(w);
  if (bytes === null) return 'fault';
  const [a, b] = [unpackDecimal(bytes.first), unpackDecimal(bytes.second)];
  if (a === null || b === null || bytes.first.subarray(0, l2).some((byte) => byte !== 0)) return dataException();
  const product = packDecimal(a.value * b.value, a.negative !== b.negative, l1);
  return w.write(w.address(1), product) ? 'done' : 'fault';
}

/** DP: quotient and remainder side by side in the first operand. */
function divideDecimal(w: Work): Performed {
  const [l1, l2] = [lengthOf(w, 1), lengthOf(w, 2)];
  if (l2 > 8 || l2 >= l1) return programException(PGM.SPECIFICATION);
  const bytes = operands(w);
  if (bytes === null) return 'fault';
  const [a, b] = [unpackDecimal(bytes.first), unpackDecimal(bytes.second)];
  if (a === null || b === null) return dataException();
  if (b.value === 0n || a.value / b.value >= limit(l1 - l2)) return programException(PGM.DECIMAL_DIVIDE);
  const result = new Uint8Array(l1);
  result.set(packDecimal(a.value / b.value, a.negative !== b.negative, l1 - l2));
  result.set(packDecimal(a.value % b.value, a.negative, l2), l1 - l2);
  return w.write(w.address(1), result) ? 'done' : 'fault';
}

/** SRP: by six bits of the second operand's address, to the left, or to the right with a rounding digit added. */
function shiftAndRound(w: Work): Performed {
  const length = lengthOf(w, 1);
  const at = w.address(1);
  const bytes = w.read(at, length);
  if (bytes === null) return 'fault';
  const a = unpackDecimal(bytes);
  const rounding = w.field('I3');
  if (a === null || rounding > 9) return dataException();
  const amount = Number(BigInt.asIntN(6, w.address(2)));
  const shifted =
    amount >= 0 ? a.value * 10n ** BigInt(amount) : (a.value / 10n ** BigInt(-amount - 1) + BigInt(rounding)) / 10n;
  return putResult(w, at, length, a.negative ? -shifted : shifted);
}

/** TP: whether digits and sign are valid. */
function testDecimal(w: Work): Performed {
  const bytes = w.read(w.address(1), w.field('L1') + 1);
  if (bytes === null) return 'fault';
  const nibbles = [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
  const sign = nibbles.pop() as number;
  w.setCc((sign < 10 ? 1 : 0) + (nibbles.some((digit) => digit > 9) ? 2 : 0));
  return 'done';
}

/**
 * The second operand of an instruction that goes byte by byte from right to left: where it lies on the first one, what was stored there counts.
 * @returns byte `fromRight`, with result bytes from `written` on stored
 */
function lateSource(w: Work, second: Uint8Array, result: Uint8Array): (fromRight: number, written: number) => number {
  const distance = w.inMode(w.address(2) - w.address(1));
  return (fromRight, written) => {
    const index = second.length - 1 - fromRight;
    if (index < 0) return 0;
    const inResult = w.inMode(distance + BigInt(index));
    const isStored = inResult < BigInt(result.length) && Number(inResult) >= written;
    return (isStored ? result[Number(inResult)] : second[index]) as number;
  };
}

/** PACK: digits of zoned bytes next to each other, the last byte's halves exchanged. No check, byte by byte from the right. */
function pack(w: Work): Performed {
  const [l1, l2] = [lengthOf(w, 1), lengthOf(w, 2)];
  const zoned = w.read(w.address(2), l2);
  if (zoned === null) return 'fault';
  const result = new Uint8Array(l1);
  const source = lateSource(w, zoned, result);
  const last = source(0, l1);
  result[l1 - 1] = ((last & 15) << 4) | (last >> 4);
  for (let i = 1; i < l1; i++) {
    const at = l1 - 1 - i;
    result[at] = (source(2 * i - 1, at + 1) & 15) | ((source(2 * i, at + 1) & 15) << 4);
  }
  return w.write(w.address(1), result) ? 'done' : 'fault';
}

/** UNPK: each digit gets a zone of its own. */
function unpack(w: Work): Performed {
  const [l1, l2] = [lengthOf(w, 1), lengthOf(w, 2)];
  const packed = w.read(w.address(2), l2);
  if (packed === null) return 'fault';
  const result = new Uint8Array(l1);
  const source = lateSource(w, packed, result);
  const last = source(0, l1);
  result[l1 - 1] = ((last & 15) << 4) | (last >> 4);
  // A byte makes two: it is read once.
  for (let i = 1; i < l1; i += 2) {
    const at = l1 - 1 - i;
    const byte = source((i + 1) / 2, at + 1);
    result[at] = 0xf0 | (byte & 15);
    if (at > 0) result[at - 1] = 0xf0 | (byte >> 4);
  }
  return w.write(w.address(1), result) ? 'done' : 'fault';
}

/** MVO: the second operand half a byte to the left of the first one's last half. */
function moveWithOffset(w: Work): Performed {
  const bytes = operands(w);
  if (bytes === null) return 'fault';
  const { first, second } = bytes;
  const result = new Uint8Array(first.length);
  const source = lateSource(w, second, result);
  const end = first.length - 1;
  let byte = source(0, end + 1);
  result[end] = ((first[end] as number) & 15) | ((byte & 15) << 4);
  for (let i = 1; i <= end; i++) {
    const left = byte >> 4;
    byte = source(i, end - i + 1);
    result[end - i] = left | ((byte & 15) << 4);
  }
  return w.write(w.address(1), result) ? 'done' : 'fault';
}

/** PKA, PKU: characters of one or two bytes to 16 packed bytes. */
const packCharacters =
  (unit: 1 | 2) =>
  (w: Work): Performed => {
    const length = w.field('L2') + 1;
    if (length > 32 * unit || length % unit !== 0) return programException(PGM.SPECIFICATION);
    const bytes = w.read(w.address(2), length);
    if (bytes === null) return 'fault';
    const digits = [...bytes].filter((_, i) => i % unit === unit - 1).map((byte) => byte & 15);
    const nibbles = [...new Array<number>(31).fill(0), ...digits].slice(-31);
    nibbles.push(0xc);
    const result = Uint8Array.from(
      { length: 16 },
      (_, i) => ((nibbles[2 * i] as number) << 4) | (nibbles[2 * i + 1] as number),
    );
    return w.write(w.address(1), result) ? 'done' : 'fault';
  };

/** UNPKA, UNPKU: 16 packed bytes to characters; the condition code tells the sign. */
const unpackCharacters =
  (unit: 1 | 2) =>
  (w: Work): Performed => {
    const length = w.field('L1') + 1;
    if (length > 32 * unit || length % unit !== 0) return programException(PGM.SPECIFICATION);
    const bytes = w.read(w.address(2), 16);
    if (bytes === null) return 'fault';
    const nibbles = [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
    const sign = nibbles.pop() as number;
    const count = length / unit;
    const digits = [...new Array<number>(32).fill(0), ...nibbles].slice(-count);
    const result = digits.flatMap((digit) => (unit === 1 ? [0x30 | digit] : [0, 0x30 | digit]));
    if (!w.write(w.address(1), new Uint8Array(result))) return 'fault';
    w.setCc(sign < 10 ? 3 : isNegative(sign) ? 1 : 0);
    return 'done';
  };

/** CVB, CVBG: a number that does not fit ends in a fixed-point-divide exception. */
const toBinary =
  (bits: 32 | 64) =>
  (w: Work): Performed => {
    const bytes = w.read(w.address(2), bits / 4);
    if (bytes === null) return 'fault';
    const decimal = unpackDecimal(bytes);
    if (decimal === null) return dataException();
    const value = signed(decimal);
    const fits = BigInt.asIntN(bits, value) === value;
    if (bits === 32) {
      // The low bits are there all the same.
      w.setGr32(w.field('R1'), Number(BigInt.asUintN(32, value)));
    } else if (fits) w.setGr(w.field('R1'), value);
    return fits ? 'done' : programException(PGM.FIXED_POINT_DIVIDE);
  };

const toDecimal =
  (bits: 32 | 64) =>
  (w: Work): Performed => {
    const value = BigInt.asIntN(bits, w.gr(w.field('R1')));
    const packed = packDecimal(value < 0n ? -value : value, value < 0n, bits / 4);
    return w.write(w.address(2), packed) ? 'done' : 'fault';
  };

/** ED, EDMK: digits into a pattern of characters, with a fill byte where they are not significant. */
const edit =
  (marks: boolean) =>
  (w: Work): Performed => {
    const at = w.address(1);
    const length = w.field('L1') + 1;
    const pattern = w.read(at, length);
    if (pattern === null) return 'fault';
    const fill = pattern[0] as number;
    const result = Uint8Array.from(pattern);
    let source = w.address(2);
    let pending: number | null = null;
    let significant = false;
    let nonZero = false;
    let mark: bigint | null = null;
    for (let i = 0; i < length; i++) {
      const character = pattern[i] as number;
      if (character === 0x22) {
        [significant, nonZero] = [false, false];
        result[i] = fill;
        continue;
      }
      if (character !== 0x20 && character !== 0x21) {
        if (!significant) result[i] = fill;
        continue;
      }
      let digit = pending;
      let sign: number | null = null;
      pending = null;
      if (digit === null) {
        const byte = w.read(source, 1)?.[0];
        if (byte === undefined) return 'fault';
        source = w.inMode(source + 1n);
        digit = byte >> 4;
        if (digit > 9) return dataException();
        if ((byte & 15) > 9) sign = byte & 15;
        else pending = byte & 15;
      }
      if (digit !== 0) {
        if (!significant) mark = w.inMode(at + BigInt(i));
        nonZero = true;
      }
      result[i] = digit === 0 && !significant ? fill : 0xf0 | digit;
      if (digit !== 0 || character === 0x21) significant = true;
      // A plus sign ends significance, a minus leaves it.
      if (sign !== null && !isNegative(sign)) significant = false;
    }
    if (!w.write(at, result)) return 'fault';
    if (marks && mark !== null) w.setAddress(1, mark);
    w.setCc(nonZero ? (significant ? 1 : 2) : 0);
    return 'done';
  };

export const PERFORM_DECIMAL: Performers = {
  ap: adding((a, b) => a + b),
  sp: adding((a, b) => a - b),
  zap: zeroAndAdd,
  cp: compareDecimal,
  mp: multiplyDecimal,
  dp: divideDecimal,
  srp: shiftAndRound,
  tp: testDecimal,
  pack,
  unpk: unpack,
  mvo: moveWithOffset,
  pka: packCharacters(1),
  pku: packCharacters(2),
  unpka: unpackCharacters(1),
  unpku: unpackCharacters(2),
  cvb: toBinary(32),
  cvby: toBinary(32),
  cvbg: toBinary(64),
  cvd: toDecimal(32),
  cvdy: toDecimal(32),
  cvdg: toDecimal(64),
  ed: edit(false),
  edmk: edit(true),
};
