import { PGM } from '../abi.ts';
import { selectedBytes } from './multiple.ts';
import { type Performed, type Performers, programException, type Work } from './work.ts';

/** Instructions on several registers or parts of one, as far as generated code leaves them to TypeScript. */

/** What LM, STM and the like do with one register. */
interface Kind {
  readonly size: 4 | 8;
  get(work: Work, n: number): bigint;
  set(work: Work, n: number, value: bigint): void;
}

const LOW: Kind = {
  size: 4,
  get: (w, n) => BigInt(w.gr32(n)),
  set: (w, n, v) => w.setGr32(n, Number(v)),
};
const HIGH: Kind = {
  size: 4,
  get: (w, n) => w.gr(n) >> 32n,
  set: (w, n, v) => w.setGr(n, (v << 32n) | BigInt(w.gr32(n))),
};
const WHOLE: Kind = { size: 8, get: (w, n) => w.gr(n), set: (w, n, v) => w.setGr(n, v) };
const ACCESS: Kind = { size: 4, get: (w, n) => BigInt(w.ar(n)), set: (w, n, v) => w.setAr(n, Number(v)) };

const count = (w: Work): number => ((w.field('R3') - w.field('R1')) & 15) + 1;

const loadMultiple =
  (kind: Kind, operand: 2 | 4 = 2) =>
  (w: Work): Performed => {
    const { size } = kind;
    const bytes = w.read(w.address(operand), count(w) * size);
    if (bytes === null) return 'fault';
    setEach(w, kind, bytes);
    return 'done';
  };

function setEach(w: Work, { size, set }: Kind, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let i = 0; i < bytes.length / size; i++) {
    set(w, w.field('R1') + i, size === 8 ? view.getBigUint64(8 * i) : BigInt(view.getUint32(4 * i)));
  }
}

const storeMultiple =
  ({ size, get }: Kind) =>
  (w: Work): Performed => {
    const bytes = new Uint8Array(count(w) * size);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < bytes.length / size; i++) {
      const value = get(w, w.field('R1') + i);
      if (size === 8) view.setBigUint64(8 * i, value);
      else view.setUint32(4 * i, Number(value));
    }
    return w.write(w.address(2), bytes) ? 'done' : 'fault';
  };

const aligned =
  (performer: (w: Work) => Performed) =>
  (w: Work): Performed =>
    (w.address(2) & 3n) === 0n ? performer(w) : programException(PGM.SPECIFICATION);

/** High halves from the second operand, low ones from the fourth. */
function loadMultipleDisjoint(w: Work): Performed {
  const [upper, lower] = [w.read(w.address(2), count(w) * 4), w.read(w.address(4), count(w) * 4)];
  if (upper === null || lower === null) return 'fault';
  setEach(w, HIGH, upper);
  setEach(w, LOW, lower);
  return 'done';
}

const storeUnderMask =
  (word: (w: Work) => number) =>
  (w: Work): Performed => {
    const value = word(w);
    const bytes = selectedBytes(w.field('M3')).map((position) => (value >>> (8 * position)) & 0xff);
    return w.write(w.address(2), new Uint8Array(bytes)) ? 'done' : 'fault';
  };

/** Dividend of 128 bits in a pair. */
function dividePair(w: Work, divisor: bigint): Performed {
  const r1 = w.field('R1');
  const dividend = (w.gr(r1) << 64n) | w.gr(r1 + 1);
  if (divisor === 0n || (dividend / divisor) >> 64n !== 0n) return programException(PGM.FIXED_POINT_DIVIDE);
  w.setGr(r1, dividend % divisor);
  w.setGr(r1 + 1, dividend / divisor);
  return 'done';
}

const numberOf = (bytes: Uint8Array): bigint => bytes.reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);

/** Compare and swap and store: GR0 says how wide both operands are, GR1 where replacement and store value lie. */
function compareSwapStore(w: Work): Performed {
  const [functionCode, characteristic] = [w.gr32(0) & 0xff, (w.gr32(0) >>> 8) & 0xff];
  const r3 = w.field('R3');
  const wide = functionCode === 2;
  const parameters = w.addressIn(1);
  const [at, storeAt] = [w.address(1), w.address(2)];
  const [bytes, stored] = [4 << functionCode, 1 << characteristic];
  const invalid =
    functionCode > 2 ||
    characteristic > 4 ||
    (wide && r3 % 2 !== 0) ||
    (parameters & 15n) !== 0n ||
    at % BigInt(bytes) !== 0n ||
    storeAt % BigInt(stored) !== 0n;
  if (invalid) return programException(PGM.SPECIFICATION);
  const replacement = w.read(parameters, bytes);
  const value = replacement && w.read(w.inMode(parameters + 16n), stored);
  const current = value && w.read(at, bytes);
  if (replacement === null || value === null || current === null) return 'fault';
  const compared = functionCode === 0 ? BigInt(w.gr32(r3)) : wide ? (w.gr(r3) << 64n) | w.gr(r3 + 1) : w.gr(r3);
  const old = numberOf(current);
  const same = old === compared;
  // Both operands are stored to, so both must let themselves be stored to before either is.
  const storeTarget = w.read(storeAt, stored);
  if (storeTarget === null || !w.write(storeAt, storeTarget) || !w.write(at, same ? replacement : current))
    return 'fault';
  if (same) w.write(storeAt, value);
  else if (functionCode === 0) w.setGr32(r3, Number(old));
  else if (wide) {
    w.setGr(r3, old >> 64n);
    w.setGr(r3 + 1, old);
  } else w.setGr(r3, old);
  w.setCc(same ? 0 : 1);
  return 'done';
}

export const PERFORM_REGISTERS: Performers = {
  lm: loadMultiple(LOW),
  lmy: loadMultiple(LOW),
  lmg: loadMultiple(WHOLE),
  lmh: loadMultiple(HIGH),
  lmd: loadMultipleDisjoint,
  lam: aligned(loadMultiple(ACCESS)),
  lamy: aligned(loadMultiple(ACCESS)),
  stm: storeMultiple(LOW),
  stmy: storeMultiple(LOW),
  stmg: storeMultiple(WHOLE),
  stmh: storeMultiple(HIGH),
  stam: aligned(storeMultiple(ACCESS)),
  stamy: aligned(storeMultiple(ACCESS)),
  stcm: storeUnderMask((w) => w.gr32(w.field('R1'))),
  stcmy: storeUnderMask((w) => w.gr32(w.field('R1'))),
  stcmh: storeUnderMask((w) => Number(w.gr(w.field('R1')) >> 32n)),
  csst: compareSwapStore,
  dlgr: (w) => dividePair(w, w.gr(w.field('R2'))),
  dlg(w) {
    const bytes = w.read(w.address(2), 8);
    return bytes === null ? 'fault' : dividePair(w, new DataView(bytes.buffer).getBigUint64(0));
  },
};
