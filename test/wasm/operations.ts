import { byteSwap16, byteSwap32, byteSwap64, type Expr, f32, f64, i32, i64, select } from '../../src/wasm/expr.ts';
import { F32, F64, I32, I64, type ValType } from '../../src/wasm/types.ts';
import { CORNERS_32, CORNERS_64, CORNERS_F64, type Value } from './harness.ts';

type Any = Expr<never>;

/** An expression constructor and, written anew from the WebAssembly specification, what it computes. */
export interface Operation {
  readonly name: string;
  readonly params: readonly ValType[];
  readonly result: ValType;
  readonly build: (...operands: Any[]) => Expr;
  /** null where execution traps. */
  readonly reference: (...values: never[]) => Value | null;
}

type Integers = (x: bigint, y: bigint, bits: number) => bigint | null;

const unsigned = (v: bigint, bits: number): bigint => BigInt.asUintN(bits, v);
const binary = (v: bigint, bits: number): string => unsigned(v, bits).toString(2).padStart(bits, '0');
const truth = (b: boolean): bigint => (b ? 1n : 0n);
const distance = (y: bigint, bits: number): bigint => unsigned(y, bits) % BigInt(bits);
const smallest = (bits: number): bigint => -(1n << BigInt(bits - 1));

// Operands are signed; results are taken modulo 2^bits. Rotations and counts work on the digits, to share no trick with the code.
const SAME_TYPE: Record<string, Integers> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  divS: (x, y, n) => (y === 0n || (y === -1n && x === smallest(n)) ? null : x / y),
  divU: (x, y, n) => (y === 0n ? null : unsigned(x, n) / unsigned(y, n)),
  remS: (x, y) => (y === 0n ? null : x % y),
  remU: (x, y, n) => (y === 0n ? null : unsigned(x, n) % unsigned(y, n)),
  and: (x, y) => x & y,
  or: (x, y) => x | y,
  xor: (x, y) => x ^ y,
  shl: (x, y, n) => x << distance(y, n),
  shrS: (x, y, n) => x >> distance(y, n),
  shrU: (x, y, n) => unsigned(x, n) >> distance(y, n),
  rotl: (x, y, n) => {
    const digits = binary(x, n);
    const by = Number(distance(y, n));
    return BigInt(`0b${digits.slice(by)}${digits.slice(0, by)}`);
  },
  rotr: (x, y, n) => {
    const digits = binary(x, n);
    const by = n - Number(distance(y, n));
    return BigInt(`0b${digits.slice(by)}${digits.slice(0, by)}`);
  },
};

const COMPARISONS: Record<string, Integers> = {
  eq: (x, y) => truth(x === y),
  ne: (x, y) => truth(x !== y),
  ltS: (x, y) => truth(x < y),
  ltU: (x, y, n) => truth(unsigned(x, n) < unsigned(y, n)),
  gtS: (x, y) => truth(x > y),
  gtU: (x, y, n) => truth(unsigned(x, n) > unsigned(y, n)),
  leS: (x, y) => truth(x <= y),
  leU: (x, y, n) => truth(unsigned(x, n) <= unsigned(y, n)),
  geS: (x, y) => truth(x >= y),
  geU: (x, y, n) => truth(unsigned(x, n) >= unsigned(y, n)),
};

const UNARY: Record<string, (x: bigint, bits: number) => bigint> = {
  clz: (x, n) => BigInt(`${binary(x, n)}1`.indexOf('1')),
  ctz: (x, n) => BigInt(`1${binary(x, n)}`.length - 1 - `1${binary(x, n)}`.lastIndexOf('1')),
  popcnt: (x, n) => BigInt(binary(x, n).replaceAll('0', '').length),
  extend8: (x) => BigInt.asIntN(8, x),
  extend16: (x) => BigInt.asIntN(16, x),
};

function integer(type: ValType, value: bigint | null): Value | null {
  if (value === null) return null;
  return type === I32 ? Number(BigInt.asIntN(32, value)) : BigInt.asIntN(64, value);
}

function of(
  name: string,
  params: readonly ValType[],
  result: ValType,
  build: (...operands: Any[]) => Expr,
  reference: (...values: never[]) => Value | null,
): Operation {
  return { name, params, result, build, reference };
}

function integerOperations(prefix: string, type: ValType, bits: number, library: object): Operation[] {
  const constructors = library as Record<string, (...operands: Any[]) => Expr>;
  const two = (name: string, result: ValType, f: Integers): Operation =>
    of(`${prefix}.${name}`, [type, type], result, constructors[name], (x: Value, y: Value) =>
      integer(result, f(BigInt(x), BigInt(y), bits)),
    );
  return [
    ...Object.entries(SAME_TYPE).map(([name, f]) => two(name, type, f)),
    ...Object.entries(COMPARISONS).map(([name, f]) => two(name, I32, f)),
    ...Object.entries(UNARY).map(([name, f]) =>
      of(`${prefix}.${name}`, [type], type, constructors[name], (x: Value) => integer(type, f(BigInt(x), bits))),
    ),
    of(`${prefix}.eqz`, [type], I32, constructors.eqz, (x: Value) => Number(BigInt(x) === 0n)),
  ];
}

const reversed = (v: bigint, bytes: number): bigint => {
  const digits = unsigned(v, bytes * 8)
    .toString(16)
    .padStart(bytes * 2, '0');
  return BigInt(`0x${(digits.match(/../g) ?? []).reverse().join('')}`);
};

const scratch = new DataView(new ArrayBuffer(8));

export const INTEGER_OPERATIONS: readonly Operation[] = [
  ...integerOperations('i32', I32, 32, i32),
  ...integerOperations('i64', I64, 64, i64),
  of('i32.wrap', [I64], I32, i32.wrap as never, (x: bigint) => Number(BigInt.asIntN(32, x))),
  of('i64.extendS', [I32], I64, i64.extendS as never, (x: number) => BigInt(x)),
  of('i64.extendU', [I32], I64, i64.extendU as never, (x: number) => BigInt(x >>> 0)),
  of('i64.extend32', [I64], I64, i64.extend32 as never, (x: bigint) => BigInt.asIntN(32, x)),
  of('i64.not', [I64], I64, i64.not as never, (x: bigint) => ~x),
  of('i64.neg', [I64], I64, i64.neg as never, (x: bigint) => BigInt.asIntN(64, -x)),
  of('byteSwap16', [I32], I32, byteSwap16 as never, (x: number) => Number(reversed(BigInt(x), 2))),
  of('byteSwap32', [I32], I32, byteSwap32 as never, (x: number) => Number(BigInt.asIntN(32, reversed(BigInt(x), 4)))),
  of('byteSwap64', [I64], I64, byteSwap64 as never, (x: bigint) => BigInt.asIntN(64, reversed(x, 8))),
  of('select i32', [I32, I32, I32], I32, select as never, (c: number, x: number, y: number) => (c !== 0 ? x : y)),
  of('select i64', [I32, I64, I64], I64, select as never, (c: number, x: bigint, y: bigint) => (c !== 0 ? x : y)),
];

/** Round half to even, the sign of zero kept: WebAssembly's `nearest`, for which JavaScript has no function. */
function nearest(x: number): number {
  const down = Math.floor(x);
  const up = Math.ceil(x);
  const rounded = x - down < up - x ? down : x - down > up - x ? up : down % 2 === 0 ? down : up;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

const arithmetic = (name: keyof typeof f64, reference: (x: number, y: number) => number): Operation =>
  of(`f64.${name}`, [F64, F64], F64, f64[name] as never, reference);
const rounding = (name: keyof typeof f64, reference: (x: number) => number): Operation =>
  of(`f64.${name}`, [F64], F64, f64[name] as never, reference);
const comparison = (name: keyof typeof f64, reference: (x: number, y: number) => boolean): Operation =>
  of(`f64.${name}`, [F64, F64], I32, f64[name] as never, (x: number, y: number) => Number(reference(x, y)));

/** Operands and result are rounded to single precision; for these operations rounding the double again is harmless. */
const single = (name: keyof typeof f32, reference: (x: number, y: number) => number): Operation =>
  of(`f32.${name}`, [F32, F32], F32, f32[name] as never, (x: number, y: number) =>
    Math.fround(reference(Math.fround(x), Math.fround(y))),
  );

/** A single from an integer, rounded once: what a double does not hold keeps that there is more of it. */
function singleFrom(x: bigint): number {
  const size = x < 0n ? -x : x;
  if (size < 1n << 53n) return Math.fround(Number(x));
  const top = (size >> 11n) | ((size & 0x7ffn) === 0n ? 0n : 1n);
  return Math.fround(Number(x < 0n ? -top : top)) * 2 ** 11;
}

/** Towards zero, to the nearest number that the type has; 0 for NaN. The result is signed, as all of i64. */
const saturated = (low: bigint, high: bigint) => (x: number) => {
  if (Number.isNaN(x)) return 0n;
  if (x <= Number(low)) return BigInt.asIntN(64, low);
  return BigInt.asIntN(64, x >= Number(high) ? high : BigInt(Math.trunc(x)));
};

export const FLOAT_OPERATIONS: readonly Operation[] = [
  arithmetic('add', (x, y) => x + y),
  arithmetic('sub', (x, y) => x - y),
  arithmetic('mul', (x, y) => x * y),
  arithmetic('div', (x, y) => x / y),
  arithmetic('min', Math.min),
  arithmetic('max', Math.max),
  arithmetic('copysign', (x, y) => (y < 0 || Object.is(y, -0) ? -Math.abs(x) : Math.abs(x))),
  single('add', (x, y) => x + y),
  single('sub', (x, y) => x - y),
  single('mul', (x, y) => x * y),
  single('div', (x, y) => x / y),
  of('f32.sqrt', [F32], F32, f32.sqrt as never, (x: number) => Math.fround(Math.sqrt(Math.fround(x)))),
  of('f32.convertI64S', [I64], F32, f32.convertI64S as never, singleFrom),
  of('f32.convertI64U', [I64], F32, f32.convertI64U as never, (x: bigint) => singleFrom(unsigned(x, 64))),
  of('i64.truncSatF64S', [F64], I64, i64.truncSatF64S as never, saturated(-(1n << 63n), (1n << 63n) - 1n)),
  of('i64.truncSatF64U', [F64], I64, i64.truncSatF64U as never, saturated(0n, (1n << 64n) - 1n)),
  rounding('sqrt', Math.sqrt),
  rounding('abs', Math.abs),
  rounding('neg', (x) => -x),
  rounding('ceil', Math.ceil),
  rounding('floor', Math.floor),
  rounding('trunc', Math.trunc),
  rounding('nearest', nearest),
  comparison('eq', (x, y) => x === y),
  comparison('ne', (x, y) => x !== y),
  comparison('lt', (x, y) => x < y),
  comparison('gt', (x, y) => x > y),
  comparison('le', (x, y) => x <= y),
  comparison('ge', (x, y) => x >= y),
  of('f64.convertI64S', [I64], F64, f64.convertI64S as never, (x: bigint) => Number(x)),
  of('f64.convertI64U', [I64], F64, f64.convertI64U as never, (x: bigint) => Number(unsigned(x, 64))),
  of('f64.promoteF32', [F32], F64, f64.promoteF32 as never, (x: number) => Math.fround(x)),
  of('f32.demoteF64', [F64], F32, f32.demoteF64 as never, Math.fround as never),
  of('f64.reinterpretI64', [I64], F64, f64.reinterpretI64 as never, (x: bigint) => {
    scratch.setBigInt64(0, x);
    return scratch.getFloat64(0);
  }),
  of('i64.reinterpretF64', [F64], I64, i64.reinterpretF64 as never, (x: number) => {
    scratch.setFloat64(0, x);
    return scratch.getBigInt64(0);
  }),
  of('f32.reinterpretI32', [I32], F32, f32.reinterpretI32 as never, (x: number) => {
    scratch.setInt32(0, x);
    return scratch.getFloat32(0);
  }),
  of('i32.reinterpretF32', [F32], I32, i32.reinterpretF32 as never, (x: number) => {
    scratch.setFloat32(0, x);
    return scratch.getInt32(0);
  }),
];

export function cornersOf(type: ValType): readonly Value[] {
  if (type === I32) return CORNERS_32;
  return type === I64 ? CORNERS_64 : CORNERS_F64;
}

export function constantOf(type: ValType, value: Value): Any {
  if (type === I32) return i32.const(value as number) as unknown as Any;
  if (type === I64) return i64.const(value as bigint) as unknown as Any;
  if (type === F64) return f64.const(value as number) as unknown as Any;
  return f32.demoteF64(f64.const(value as number)) as unknown as Any;
}
