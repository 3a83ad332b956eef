import { i32, i64, select } from '../../wasm/expr.ts';
import { requireAligned, SIZES } from './address.ts';
import { type ArmInstruction, type D, define, reg, regOrStack, type S, setReg, type W, zext } from './common.ts';
import { TRAP } from './helpers.ts';
import { exclusiveAddress, exclusiveSize, exclusiveValue, exclusiveValue2, x } from './state.ts';

/**
 * Exclusives, ordered accesses and atomics (Arm ARM, C4.1.88; FEAT_LSE).
 *
 * The monitor is an address, a size and the value that was loaded. The store succeeds if the monitor is open for the same address and size and memory
 * still holds the value, as in QEMU: a store by another PE that puts the same value back goes unnoticed. The CPU model closes the monitor at every
 * exception and return.
 */

const sizeBits = (size: number): string => size.toString(2).padStart(2, '0');
const suffix = (size: number): string => ['b', 'h', '', ''][size] as string;
const register = (size: number): string => (size === 3 ? 'X' : 'W');
const BYTES_OF_PAIR = [0, 0, 8, 16];

function base(s: S, bytes: number, store: boolean): D {
  const address = s.let(regOrStack(s, 'Rn'));
  requireAligned(s, address, bytes, store);
  return address;
}

function open(s: S, address: D, bytes: number, value: D, value2: D): void {
  s.set(exclusiveSize, i32.const(bytes));
  s.set(exclusiveAddress, address);
  s.set(exclusiveValue, value);
  s.set(exclusiveValue2, value2);
}

const close = (s: S): void => s.set(exclusiveSize, i32.const(0));

function isOpen(s: S, address: D, bytes: number): W {
  return i32.and(i32.eq(s.get(exclusiveSize), i32.const(bytes)), i64.eq(s.get(exclusiveAddress), address));
}

const loadExclusive = (size: 0 | 1 | 2 | 3, ordered: 0 | 1): ArmInstruction =>
  define({
    name: `ld${ordered ? 'a' : ''}xr${suffix(size)}`,
    encoding: `${sizeBits(size)} 001000 0 1 0 .5 ${ordered} .5 Rn:5 Rt:5`,
    operands: `{${register(size)}t},[{Xn|sp}]`,
    meaning(s) {
      const address = base(s, SIZES[size], false);
      const value = s.load(address, SIZES[size]);
      open(s, address, SIZES[size], value, i64.const(0));
      setReg(s, 'Rt', value);
    },
  });

const storeExclusive = (size: 0 | 1 | 2 | 3, ordered: 0 | 1): ArmInstruction =>
  define({
    name: `st${ordered ? 'l' : ''}xr${suffix(size)}`,
    encoding: `${sizeBits(size)} 001000 0 0 0 Rs:5 ${ordered} .5 Rn:5 Rt:5`,
    operands: `{Ws},{${register(size)}t},[{Xn|sp}]`,
    meaning(s) {
      const address = base(s, SIZES[size], true);
      storeIfUnchanged(s, SIZES[size], SIZES[size], [address], [s.get(exclusiveValue)], [reg(s, 'Rt')]);
    },
  });

/** Stores the values where the monitor is open and memory is as it was; writes the status and closes the monitor. */
function storeIfUnchanged(
  s: S,
  monitored: number,
  bytes: 1 | 2 | 4 | 8,
  addresses: readonly D[],
  expected: readonly D[],
  values: readonly D[],
): void {
  const named = values.map((value) => s.let(value));
  const before = expected.map((value) => s.let(value));
  const held = s.let(isOpen(s, addresses[0] as D, monitored));
  const finish = (status: number): void => {
    close(s);
    setReg(s, 'Rs', i64.const(status));
  };
  s.if(
    held,
    () => {
      const current = addresses.map((address) => s.load(address, bytes));
      const same = current.map((value, i) => i64.eq(value, before[i] as D)).reduce(i32.and);
      s.if(
        same,
        () => {
          addresses.forEach((address, i) => {
            s.store(address, bytes, named[i] as D);
          });
          finish(0);
        },
        () => finish(1),
      );
    },
    () => finish(1),
  );
}

const secondHalf = (s: S, address: D, size: 2 | 3): D => s.let(i64.add(address, i64.const(1 << size)));

const loadExclusivePair = (size: 2 | 3, ordered: 0 | 1): ArmInstruction =>
  define({
    name: `ld${ordered ? 'a' : ''}xp`,
    encoding: `1 ${size - 2} 001000 0 1 1 .5 ${ordered} Rt2:5 Rn:5 Rt:5`,
    operands: `{${register(size)}t},{${register(size)}t2},[{Xn|sp}]`,
    meaning(s) {
      const bytes = BYTES_OF_PAIR[size] as number;
      const address = base(s, bytes, false);
      const a = s.load(address, SIZES[size]);
      const b = s.load(secondHalf(s, address, size), SIZES[size]);
      open(s, address, bytes, a, b);
      setReg(s, 'Rt', a);
      setReg(s, 'Rt2', b);
    },
  });

const storeExclusivePair = (size: 2 | 3, ordered: 0 | 1): ArmInstruction =>
  define({
    name: `st${ordered ? 'l' : ''}xp`,
    encoding: `1 ${size - 2} 001000 0 0 1 Rs:5 ${ordered} Rt2:5 Rn:5 Rt:5`,
    operands: `{Ws},{${register(size)}t},{${register(size)}t2},[{Xn|sp}]`,
    meaning(s) {
      const bytes = BYTES_OF_PAIR[size] as number;
      const address = base(s, bytes, true);
      const expected = [s.get(exclusiveValue), s.get(exclusiveValue2)];
      const addresses = [address, secondHalf(s, address, size)];
      storeIfUnchanged(s, bytes, SIZES[size], addresses, expected, [reg(s, 'Rt'), reg(s, 'Rt2')]);
    },
  });

/** LDAR, LDLAR, STLR, STLLR: with one PE at a time every access is ordered. */
const ordered = (size: 0 | 1 | 2 | 3, load: 0 | 1, o0: 0 | 1): ArmInstruction =>
  define({
    name: `${load ? (o0 ? 'ldar' : 'ldlar') : o0 ? 'stlr' : 'stllr'}${suffix(size)}`,
    encoding: `${sizeBits(size)} 001000 1 ${load} 0 .5 ${o0} .5 Rn:5 Rt:5`,
    operands: `{${register(size)}t},[{Xn|sp}]`,
    meaning(s) {
      const address = base(s, SIZES[size], load === 0);
      if (load === 1) setReg(s, 'Rt', s.load(address, SIZES[size]));
      else s.store(address, SIZES[size], reg(s, 'Rt'));
    },
  });

/** The value of a register as an access of the size sees it. */
function cutTo(size: 0 | 1 | 2 | 3, value: D): D {
  if (size === 3) return value;
  return size === 2 ? zext(value) : i64.and(value, i64.const(size === 0 ? 0xff : 0xffff));
}

/** Mnemonic letters of acquire and release. */
const ordering = (acquire: number, release: number): string => `${acquire ? 'a' : ''}${release ? 'l' : ''}`;
const ORDERINGS = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
] as const;

const compareAndSwap = (size: 0 | 1 | 2 | 3, acquire: 0 | 1, release: 0 | 1): ArmInstruction =>
  define({
    name: `cas${ordering(acquire, release)}${suffix(size)}`,
    encoding: `${sizeBits(size)} 001000 1 ${acquire} 1 Rs:5 ${release} 11111 Rn:5 Rt:5`,
    operands: `{${register(size)}s},{${register(size)}t},[{Xn|sp}]`,
    meaning(s) {
      const bytes = SIZES[size];
      const address = base(s, bytes, true);
      const expected = s.let(cutTo(size, reg(s, 'Rs')));
      const current = s.load(address, bytes);
      // Written back where it differs, too, so that an address that cannot be written always faults.
      s.store(address, bytes, select(i64.eq(current, expected), reg(s, 'Rt'), current));
      setReg(s, 'Rs', current);
    },
  });

const compareAndSwapPair = (size: 2 | 3, acquire: 0 | 1, release: 0 | 1): ArmInstruction =>
  define({
    name: `casp${ordering(acquire, release)}`,
    encoding: `0 ${size - 2} 001000 0 ${acquire} 1 Rs:5 ${release} 11111 Rn:5 Rt:5`,
    operands: `{${register(size)}s},{${register(size)}s+1},{${register(size)}t},{${register(size)}t+1},[{Xn|sp}]`,
    meaning(s) {
      const odd = i32.and(i32.or(s.field('Rs'), s.field('Rt')), i32.const(1));
      s.if(odd, () => s.trap(TRAP.undefined));
      const bytes = SIZES[size];
      const address = base(s, BYTES_OF_PAIR[size] as number, true);
      const addresses = [address, secondHalf(s, address, size)];
      const number = (field: string, half: number): W => i32.or(s.field(field), i32.const(half));
      const current = addresses.map((at) => s.load(at, bytes));
      const same = current
        .map((value, half) => i64.eq(value, cutTo(size, s.getAt(x, number('Rs', half)))))
        .reduce(i32.and);
      const equal = s.let(same);
      addresses.forEach((at, half) => {
        s.store(at, bytes, select(equal, s.getAt(x, number('Rt', half)), current[half] as D));
      });
      // Rs is even, so the second register can be the zero register.
      const first = s.let(current[0] as D);
      const second = s.let(current[1] as D);
      s.setAt(x, number('Rs', 0), first);
      s.setAt(x, number('Rs', 1), second);
      s.setAt(x, i32.const(31), i64.const(0));
    },
  });

type Operation = (size: 0 | 1 | 2 | 3, old: D, value: D) => D;

/** An access's value as a signed number. */
const signedOf = (size: 0 | 1 | 2 | 3, value: D): D =>
  [i64.extend8, i64.extend16, i64.extend32, (v: D): D => v][size]?.(value) as D;

/** Operations of FEAT_LSE, by bits 15 to 12 of the encoding. Both operands are cut to the size. */
const OPERATIONS: readonly (readonly [name: string, opcode: string, operation: Operation])[] = [
  ['ldadd', '0 000', (_, old, value) => i64.add(old, value)],
  ['ldclr', '0 001', (_, old, value) => i64.and(old, i64.not(value))],
  ['ldeor', '0 010', (_, old, value) => i64.xor(old, value)],
  ['ldset', '0 011', (_, old, value) => i64.or(old, value)],
  ['ldsmax', '0 100', (size, old, value) => select(i64.gtS(signedOf(size, old), signedOf(size, value)), old, value)],
  ['ldsmin', '0 101', (size, old, value) => select(i64.ltS(signedOf(size, old), signedOf(size, value)), old, value)],
  ['ldumax', '0 110', (_, old, value) => select(i64.gtU(old, value), old, value)],
  ['ldumin', '0 111', (_, old, value) => select(i64.ltU(old, value), old, value)],
  ['swp', '1 000', (_, _old, value) => value],
];

const atomic = (
  [name, opcode, operation]: (typeof OPERATIONS)[number],
  size: 0 | 1 | 2 | 3,
  acquire: 0 | 1,
  release: 0 | 1,
): ArmInstruction =>
  define({
    name: `${name}${ordering(acquire, release)}${suffix(size)}`,
    encoding: `${sizeBits(size)} 111 0 00 ${acquire} ${release} 1 Rs:5 ${opcode} 00 Rn:5 Rt:5`,
    operands: `{${register(size)}s},{${register(size)}t},[{Xn|sp}]`,
    meaning(s) {
      const address = base(s, SIZES[size], true);
      const value = s.let(cutTo(size, reg(s, 'Rs')));
      const old = s.load(address, SIZES[size]);
      s.store(address, SIZES[size], operation(size, old, value));
      setReg(s, 'Rt', old);
    },
  });

const ALL = [0, 1, 2, 3] as const;
const BOTH = [0, 1] as const;

export const EXCLUSIVE: readonly ArmInstruction[] = [
  ...ALL.flatMap((size) => [
    ...BOTH.flatMap((o0) => [
      loadExclusive(size, o0),
      storeExclusive(size, o0),
      ordered(size, 0, o0),
      ordered(size, 1, o0),
    ]),
    ...ORDERINGS.flatMap(([acquire, release]) => [
      compareAndSwap(size, acquire, release),
      ...OPERATIONS.map((operation) => atomic(operation, size, acquire, release)),
    ]),
  ]),
  ...([2, 3] as const).flatMap((size) => [
    ...BOTH.flatMap((o0) => [loadExclusivePair(size, o0), storeExclusivePair(size, o0)]),
    ...ORDERINGS.map(([acquire, release]) => compareAndSwapPair(size, acquire, release)),
  ]),
  define({
    name: 'clrex',
    encoding: '1101010100 0 00 011 0011 CRm:4 010 11111',
    operands: '{CRm?}',
    meaning: close,
  }),
];
