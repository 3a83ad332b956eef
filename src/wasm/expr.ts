import { OP } from './opcode.ts';
import { F32, F64, I32, I64, V128, type ValType } from './types.ts';

/**
 * One node of a typed WebAssembly expression tree. Trees are immutable and free of side effects but for `call` nodes and loads, so
 * a node may be shared only where evaluating it twice is harmless; `FunctionBuilder.let` gives a name to a value.
 *
 * `op` is an opcode of `opcode.ts`. Negative values are leaves whose lowering belongs to the layer above
 * (`FunctionBuilder.lowerLeaf`): the engine's register slots and temporaries.
 */
export class Expr<T extends ValType = ValType> {
  readonly type: T;
  readonly op: number;
  readonly a: Expr | null;
  readonly b: Expr | null;
  readonly c: Expr | null;
  /** Constant value, local index, function index, lane, or the leaf's own number. */
  readonly imm: number | bigint;
  /** Memory offset of loads; the leaf's own second number otherwise. */
  readonly offset: number;

  constructor(
    type: T,
    op: number,
    a: Expr | null,
    b: Expr | null,
    c: Expr | null,
    imm: number | bigint,
    offset: number,
  ) {
    this.type = type;
    this.op = op;
    this.a = a;
    this.b = b;
    this.c = c;
    this.imm = imm;
    this.offset = offset;
  }
}

/** A call: its arguments do not fit the three operands of other nodes. */
export class CallExpr<T extends ValType = ValType> extends Expr<T> {
  readonly args: readonly Expr[];

  constructor(type: T, functionIndex: number, args: readonly Expr[]) {
    super(type, OP.call, null, null, null, functionIndex, 0);
    this.args = args;
  }
}

/** A byte shuffle of two vectors. */
export class ShuffleExpr extends Expr<V128> {
  readonly lanes: readonly number[];

  constructor(a: Expr<V128>, b: Expr<V128>, lanes: readonly number[]) {
    super(V128, OP.i8x16_shuffle, a, b, null, 0, 0);
    this.lanes = lanes;
  }
}

type E32 = Expr<I32>;
type E64 = Expr<I64>;
type D64 = Expr<F64>;
type D32 = Expr<F32>;

export function unary<T extends ValType>(type: T, op: number, a: Expr): Expr<T> {
  return new Expr(type, op, a, null, null, 0, 0);
}

export function binary<T extends ValType>(type: T, op: number, a: Expr, b: Expr): Expr<T> {
  return new Expr(type, op, a, b, null, 0, 0);
}

/** Whether the node is an i32 or i64 constant. */
export function isConst(e: Expr): boolean {
  return e.op === OP.i32_const || e.op === OP.i64_const;
}

function n32(e: E32): number {
  return e.imm as number;
}

function n64(e: E64): bigint {
  return e.imm as bigint;
}

function is32(e: E32, v: number): boolean {
  return e.op === OP.i32_const && e.imm === v;
}

function is64(e: E64, v: bigint): boolean {
  return e.op === OP.i64_const && e.imm === v;
}

function k32(v: number): E32 {
  return new Expr(I32, OP.i32_const, null, null, null, v | 0, 0);
}

function k64(v: bigint | number): E64 {
  return new Expr(I64, OP.i64_const, null, null, null, BigInt.asIntN(64, BigInt(v)), 0);
}

const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);

function fold32(op: number, a: E32, b: E32, f: (x: number, y: number) => number): E32 {
  return a.op === OP.i32_const && b.op === OP.i32_const ? k32(f(n32(a), n32(b))) : binary(I32, op, a, b);
}

function fold64(op: number, a: E64, b: E64, f: (x: bigint, y: bigint) => bigint): E64 {
  return a.op === OP.i64_const && b.op === OP.i64_const ? k64(f(n64(a), n64(b))) : binary(I64, op, a, b);
}

function compare64(op: number, a: E64, b: E64, f: (x: bigint, y: bigint) => boolean): E32 {
  return a.op === OP.i64_const && b.op === OP.i64_const ? k32(f(n64(a), n64(b)) ? 1 : 0) : binary(I32, op, a, b);
}

const COMPARISONS = new Set<number>();
for (let op: number = OP.i32_eqz; op <= OP.f64_ge; op++) COMPARISONS.add(op);

/** Whether the node can only be 0 or 1. */
export function isBoolean(e: E32): boolean {
  if (COMPARISONS.has(e.op)) return true;
  if (e.op === OP.i32_const) return e.imm === 0 || e.imm === 1;
  if (e.op === OP.i32_and) return isBoolean(e.a as E32) || isBoolean(e.b as E32);
  if (e.op === OP.i32_or || e.op === OP.i32_xor) return isBoolean(e.a as E32) && isBoolean(e.b as E32);
  return false;
}

/** i32 operations; operands that are constants are folded. Shift counts count modulo 32, as in WebAssembly. */
export const i32 = {
  const: k32,
  add: (a: E32, b: E32): E32 => (is32(b, 0) ? a : is32(a, 0) ? b : fold32(OP.i32_add, a, b, (x, y) => x + y)),
  sub: (a: E32, b: E32): E32 => (is32(b, 0) ? a : fold32(OP.i32_sub, a, b, (x, y) => x - y)),
  mul: (a: E32, b: E32): E32 => fold32(OP.i32_mul, a, b, Math.imul),
  divS: (a: E32, b: E32): E32 => binary(I32, OP.i32_div_s, a, b),
  divU: (a: E32, b: E32): E32 => binary(I32, OP.i32_div_u, a, b),
  remS: (a: E32, b: E32): E32 => binary(I32, OP.i32_rem_s, a, b),
  remU: (a: E32, b: E32): E32 => binary(I32, OP.i32_rem_u, a, b),
  and(a: E32, b: E32): E32 {
    if (is32(b, -1) || (is32(b, 1) && isBoolean(a))) return a;
    if (is32(a, -1) || (is32(a, 1) && isBoolean(b))) return b;
    if (is32(a, 0) || is32(b, 0)) return k32(0);
    return fold32(OP.i32_and, a, b, (x, y) => x & y);
  },
  or(a: E32, b: E32): E32 {
    if (is32(b, 0)) return a;
    if (is32(a, 0)) return b;
    return fold32(OP.i32_or, a, b, (x, y) => x | y);
  },
  xor(a: E32, b: E32): E32 {
    if (is32(b, 0)) return a;
    if (is32(a, 0)) return b;
    if (is32(b, 1) && isBoolean(a)) return i32.eqz(a);
    return fold32(OP.i32_xor, a, b, (x, y) => x ^ y);
  },
  shl: (a: E32, b: E32): E32 => (is32(b, 0) ? a : fold32(OP.i32_shl, a, b, (x, y) => x << y)),
  shrS: (a: E32, b: E32): E32 => (is32(b, 0) ? a : fold32(OP.i32_shr_s, a, b, (x, y) => x >> y)),
  shrU: (a: E32, b: E32): E32 => (is32(b, 0) ? a : fold32(OP.i32_shr_u, a, b, (x, y) => x >>> y)),
  /** By a constant it becomes a rotation to the right: V8 (11.3) knows only of that one that it leaves the upper half of a register 0. */
  rotl(a: E32, b: E32): E32 {
    if (b.op !== OP.i32_const) return binary(I32, OP.i32_rotl, a, b);
    const by = n32(b) & 31;
    if (by === 0) return a;
    if (a.op === OP.i32_const) return k32((n32(a) << by) | (n32(a) >>> (32 - by)));
    return binary(I32, OP.i32_rotr, a, k32(32 - by));
  },
  rotr: (a: E32, b: E32): E32 => (is32(b, 0) ? a : binary(I32, OP.i32_rotr, a, b)),
  clz: (a: E32): E32 => unary(I32, OP.i32_clz, a),
  ctz: (a: E32): E32 => unary(I32, OP.i32_ctz, a),
  popcnt: (a: E32): E32 => unary(I32, OP.i32_popcnt, a),
  /** 1 where a is 0; the negation of a boolean. */
  eqz(a: E32): E32 {
    if (a.op === OP.i32_const) return k32(n32(a) === 0 ? 1 : 0);
    if (a.op === OP.i32_eqz && isBoolean(a.a as E32)) return a.a as E32;
    const inverse = INVERSE.get(a.op);
    if (inverse !== undefined) return new Expr(I32, inverse, a.a, a.b, null, 0, 0);
    return unary(I32, OP.i32_eqz, a);
  },
  eq: (a: E32, b: E32): E32 => (is32(b, 0) ? i32.eqz(a) : fold32(OP.i32_eq, a, b, (x, y) => (x === y ? 1 : 0))),
  ne: (a: E32, b: E32): E32 => (is32(b, 0) && isBoolean(a) ? a : fold32(OP.i32_ne, a, b, (x, y) => (x !== y ? 1 : 0))),
  ltS: (a: E32, b: E32): E32 => fold32(OP.i32_lt_s, a, b, (x, y) => (x < y ? 1 : 0)),
  ltU: (a: E32, b: E32): E32 => fold32(OP.i32_lt_u, a, b, (x, y) => (x >>> 0 < y >>> 0 ? 1 : 0)),
  gtS: (a: E32, b: E32): E32 => fold32(OP.i32_gt_s, a, b, (x, y) => (x > y ? 1 : 0)),
  gtU: (a: E32, b: E32): E32 => fold32(OP.i32_gt_u, a, b, (x, y) => (x >>> 0 > y >>> 0 ? 1 : 0)),
  leS: (a: E32, b: E32): E32 => fold32(OP.i32_le_s, a, b, (x, y) => (x <= y ? 1 : 0)),
  leU: (a: E32, b: E32): E32 => fold32(OP.i32_le_u, a, b, (x, y) => (x >>> 0 <= y >>> 0 ? 1 : 0)),
  geS: (a: E32, b: E32): E32 => fold32(OP.i32_ge_s, a, b, (x, y) => (x >= y ? 1 : 0)),
  geU: (a: E32, b: E32): E32 => fold32(OP.i32_ge_u, a, b, (x, y) => (x >>> 0 >= y >>> 0 ? 1 : 0)),
  extend8: (a: E32): E32 => (a.op === OP.i32_const ? k32((n32(a) << 24) >> 24) : unary(I32, OP.i32_extend8_s, a)),
  extend16: (a: E32): E32 => (a.op === OP.i32_const ? k32((n32(a) << 16) >> 16) : unary(I32, OP.i32_extend16_s, a)),
  /** Low 32 bits of an i64. */
  wrap(a: E64): E32 {
    if (a.op === OP.i64_const) return k32(Number(BigInt.asIntN(32, n64(a))));
    if (a.op === OP.i64_extend_i32_s || a.op === OP.i64_extend_i32_u) return a.a as E32;
    return unary(I32, OP.i32_wrap_i64, a);
  },
  reinterpretF32: (a: Expr<F32>): E32 => unary(I32, OP.i32_reinterpret_f32, a),
  load: (address: E32, offset = 0): E32 => load(I32, OP.i32_load, address, offset),
  load8S: (address: E32, offset = 0): E32 => load(I32, OP.i32_load8_s, address, offset),
  load8U: (address: E32, offset = 0): E32 => load(I32, OP.i32_load8_u, address, offset),
  load16S: (address: E32, offset = 0): E32 => load(I32, OP.i32_load16_s, address, offset),
  load16U: (address: E32, offset = 0): E32 => load(I32, OP.i32_load16_u, address, offset),
};

/** Comparisons and their negations, where negation is exact (integers only: an unordered float is neither). */
const INVERSE = new Map<number, number>(
  (
    [
      [OP.i32_eq, OP.i32_ne],
      [OP.i32_lt_s, OP.i32_ge_s],
      [OP.i32_lt_u, OP.i32_ge_u],
      [OP.i32_gt_s, OP.i32_le_s],
      [OP.i32_gt_u, OP.i32_le_u],
      [OP.i64_eq, OP.i64_ne],
      [OP.i64_lt_s, OP.i64_ge_s],
      [OP.i64_lt_u, OP.i64_ge_u],
      [OP.i64_gt_s, OP.i64_le_s],
      [OP.i64_gt_u, OP.i64_le_u],
    ] as const
  ).flatMap(([x, y]): [number, number][] => [
    [x, y],
    [y, x],
  ]),
);

/** i64 operations; operands that are constants are folded. Shift counts count modulo 64, as in WebAssembly. */
export const i64 = {
  const: k64,
  add: (a: E64, b: E64): E64 => (is64(b, 0n) ? a : is64(a, 0n) ? b : fold64(OP.i64_add, a, b, (x, y) => x + y)),
  sub: (a: E64, b: E64): E64 => (is64(b, 0n) ? a : fold64(OP.i64_sub, a, b, (x, y) => x - y)),
  mul: (a: E64, b: E64): E64 => fold64(OP.i64_mul, a, b, (x, y) => x * y),
  divS: (a: E64, b: E64): E64 => binary(I64, OP.i64_div_s, a, b),
  divU: (a: E64, b: E64): E64 => binary(I64, OP.i64_div_u, a, b),
  remS: (a: E64, b: E64): E64 => binary(I64, OP.i64_rem_s, a, b),
  remU: (a: E64, b: E64): E64 => binary(I64, OP.i64_rem_u, a, b),
  and(a: E64, b: E64): E64 {
    if (is64(b, -1n)) return a;
    if (is64(a, -1n)) return b;
    if (is64(a, 0n) || is64(b, 0n)) return k64(0);
    if (a.op === OP.i64_extend_i32_u && b.op === OP.i64_const && n64(b) >= 0n && n64(b) <= 0xffffffffn) {
      return i64.extendU(i32.and(a.a as E32, k32(Number(BigInt.asIntN(32, n64(b))))));
    }
    return fold64(OP.i64_and, a, b, (x, y) => x & y);
  },
  or(a: E64, b: E64): E64 {
    if (is64(b, 0n)) return a;
    if (is64(a, 0n)) return b;
    return fold64(OP.i64_or, a, b, (x, y) => x | y);
  },
  xor(a: E64, b: E64): E64 {
    if (is64(b, 0n)) return a;
    if (is64(a, 0n)) return b;
    return fold64(OP.i64_xor, a, b, (x, y) => x ^ y);
  },
  not: (a: E64): E64 => i64.xor(a, k64(-1n)),
  neg: (a: E64): E64 => i64.sub(k64(0), a),
  shl: (a: E64, b: E64): E64 => (is64(b, 0n) ? a : fold64(OP.i64_shl, a, b, (x, y) => x << (y & 63n))),
  shrS: (a: E64, b: E64): E64 => (is64(b, 0n) ? a : fold64(OP.i64_shr_s, a, b, (x, y) => x >> (y & 63n))),
  shrU: (a: E64, b: E64): E64 => (is64(b, 0n) ? a : fold64(OP.i64_shr_u, a, b, (x, y) => u64(x) >> (y & 63n))),
  rotl: (a: E64, b: E64): E64 =>
    is64(b, 0n)
      ? a
      : fold64(OP.i64_rotl, a, b, (x, y) => (u64(x) << (y & 63n)) | (u64(x) >> ((64n - (y & 63n)) & 63n))),
  rotr: (a: E64, b: E64): E64 => (is64(b, 0n) ? a : binary(I64, OP.i64_rotr, a, b)),
  clz: (a: E64): E64 => unary(I64, OP.i64_clz, a),
  ctz: (a: E64): E64 => unary(I64, OP.i64_ctz, a),
  popcnt: (a: E64): E64 => unary(I64, OP.i64_popcnt, a),
  eqz: (a: E64): E32 => (a.op === OP.i64_const ? k32(n64(a) === 0n ? 1 : 0) : unary(I32, OP.i64_eqz, a)),
  eq: (a: E64, b: E64): E32 => (is64(b, 0n) ? i64.eqz(a) : compare64(OP.i64_eq, a, b, (x, y) => x === y)),
  ne: (a: E64, b: E64): E32 => compare64(OP.i64_ne, a, b, (x, y) => x !== y),
  ltS: (a: E64, b: E64): E32 => compare64(OP.i64_lt_s, a, b, (x, y) => x < y),
  ltU: (a: E64, b: E64): E32 => compare64(OP.i64_lt_u, a, b, (x, y) => u64(x) < u64(y)),
  gtS: (a: E64, b: E64): E32 => compare64(OP.i64_gt_s, a, b, (x, y) => x > y),
  gtU: (a: E64, b: E64): E32 => compare64(OP.i64_gt_u, a, b, (x, y) => u64(x) > u64(y)),
  leS: (a: E64, b: E64): E32 => compare64(OP.i64_le_s, a, b, (x, y) => x <= y),
  leU: (a: E64, b: E64): E32 => compare64(OP.i64_le_u, a, b, (x, y) => u64(x) <= u64(y)),
  geS: (a: E64, b: E64): E32 => compare64(OP.i64_ge_s, a, b, (x, y) => x >= y),
  geU: (a: E64, b: E64): E32 => compare64(OP.i64_ge_u, a, b, (x, y) => u64(x) >= u64(y)),
  /** Sign extension of an i32. */
  extendS: (a: E32): E64 => (a.op === OP.i32_const ? k64(n32(a)) : unary(I64, OP.i64_extend_i32_s, a)),
  /** Zero extension of an i32. */
  extendU: (a: E32): E64 => (a.op === OP.i32_const ? k64(n32(a) >>> 0) : unary(I64, OP.i64_extend_i32_u, a)),
  /** Sign extension of the low 8, 16 or 32 bits. */
  extend8: (a: E64): E64 => (a.op === OP.i64_const ? k64(BigInt.asIntN(8, n64(a))) : unary(I64, OP.i64_extend8_s, a)),
  extend16: (a: E64): E64 =>
    a.op === OP.i64_const ? k64(BigInt.asIntN(16, n64(a))) : unary(I64, OP.i64_extend16_s, a),
  extend32: (a: E64): E64 =>
    a.op === OP.i64_const ? k64(BigInt.asIntN(32, n64(a))) : unary(I64, OP.i64_extend32_s, a),
  /** Towards zero, saturated, 0 for NaN. */
  truncSatF64S: (a: D64): E64 => unary(I64, OP.i64_trunc_sat_f64_s, a),
  truncSatF64U: (a: D64): E64 => unary(I64, OP.i64_trunc_sat_f64_u, a),
  reinterpretF64: (a: D64): E64 =>
    a.op === OP.f64_reinterpret_i64 ? (a.a as E64) : unary(I64, OP.i64_reinterpret_f64, a),
  load: (address: E32, offset = 0): E64 => load(I64, OP.i64_load, address, offset),
};

/** f64 operations: IEEE 754 double, round to nearest even, no flags (WebAssembly core specification, 4.3.3). */
export const f64 = {
  const: (v: number): D64 => new Expr(F64, OP.f64_const, null, null, null, v, 0),
  add: (a: D64, b: D64): D64 => binary(F64, OP.f64_add, a, b),
  sub: (a: D64, b: D64): D64 => binary(F64, OP.f64_sub, a, b),
  mul: (a: D64, b: D64): D64 => binary(F64, OP.f64_mul, a, b),
  div: (a: D64, b: D64): D64 => binary(F64, OP.f64_div, a, b),
  sqrt: (a: D64): D64 => unary(F64, OP.f64_sqrt, a),
  abs: (a: D64): D64 => unary(F64, OP.f64_abs, a),
  neg: (a: D64): D64 => unary(F64, OP.f64_neg, a),
  ceil: (a: D64): D64 => unary(F64, OP.f64_ceil, a),
  floor: (a: D64): D64 => unary(F64, OP.f64_floor, a),
  trunc: (a: D64): D64 => unary(F64, OP.f64_trunc, a),
  nearest: (a: D64): D64 => unary(F64, OP.f64_nearest, a),
  min: (a: D64, b: D64): D64 => binary(F64, OP.f64_min, a, b),
  max: (a: D64, b: D64): D64 => binary(F64, OP.f64_max, a, b),
  copysign: (a: D64, b: D64): D64 => binary(F64, OP.f64_copysign, a, b),
  eq: (a: D64, b: D64): E32 => binary(I32, OP.f64_eq, a, b),
  ne: (a: D64, b: D64): E32 => binary(I32, OP.f64_ne, a, b),
  lt: (a: D64, b: D64): E32 => binary(I32, OP.f64_lt, a, b),
  gt: (a: D64, b: D64): E32 => binary(I32, OP.f64_gt, a, b),
  le: (a: D64, b: D64): E32 => binary(I32, OP.f64_le, a, b),
  ge: (a: D64, b: D64): E32 => binary(I32, OP.f64_ge, a, b),
  convertI64S: (a: E64): D64 => unary(F64, OP.f64_convert_i64_s, a),
  convertI64U: (a: E64): D64 => unary(F64, OP.f64_convert_i64_u, a),
  promoteF32: (a: Expr<F32>): D64 => unary(F64, OP.f64_promote_f32, a),
  reinterpretI64: (a: E64): D64 =>
    a.op === OP.i64_reinterpret_f64 ? (a.a as D64) : unary(F64, OP.f64_reinterpret_i64, a),
};

/** f32 operations, as far as they are needed. */
export const f32 = {
  add: (a: D32, b: D32): D32 => binary(F32, OP.f32_add, a, b),
  sub: (a: D32, b: D32): D32 => binary(F32, OP.f32_sub, a, b),
  mul: (a: D32, b: D32): D32 => binary(F32, OP.f32_mul, a, b),
  div: (a: D32, b: D32): D32 => binary(F32, OP.f32_div, a, b),
  sqrt: (a: D32): D32 => unary(F32, OP.f32_sqrt, a),
  convertI64S: (a: E64): D32 => unary(F32, OP.f32_convert_i64_s, a),
  convertI64U: (a: E64): D32 => unary(F32, OP.f32_convert_i64_u, a),
  demoteF64: (a: D64): D32 => unary(F32, OP.f32_demote_f64, a),
  reinterpretI32: (a: E32): D32 => unary(F32, OP.f32_reinterpret_i32, a),
};

/** 128-bit vector operations, as far as page encryption needs them. Addresses need no alignment. */
export const v128 = {
  load: (address: E32, offset = 0): Expr<V128> => load(V128, OP.v128_load, address, offset),
  xor: (a: Expr<V128>, b: Expr<V128>): Expr<V128> => binary(V128, OP.v128_xor, a, b),
};

/** A load of the given opcode; `offset` is the constant part of the address in bytes. */
export function load<T extends ValType>(type: T, op: number, address: E32, offset: number): Expr<T> {
  return new Expr(type, op, address, null, null, 0, offset);
}

/** `condition` non-zero: a, else b. Both are evaluated. */
export function select<T extends ValType>(condition: E32, a: Expr<T>, b: Expr<T>): Expr<T> {
  if (condition.op === OP.i32_const) return n32(condition) !== 0 ? a : b;
  return new Expr(a.type, OP.select, a, b, condition, 0, 0);
}

/** The value of a local or parameter at the time of evaluation. */
export function localGet<T extends ValType>(type: T, index: number): Expr<T> {
  return new Expr(type, OP.local_get, null, null, null, index, 0);
}

/** A call with one result. */
export function call<T extends ValType>(type: T, functionIndex: number, args: readonly Expr[]): CallExpr<T> {
  return new CallExpr(type, functionIndex, args);
}

const REVERSE_64 = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];

/**
 * The i64 with its eight bytes in reverse order: a byte shuffle is faster than shifts and masks (`docs/engine.md`).
 * `a` is evaluated twice: let-bind it first.
 */
export function byteSwap64(a: E64): E64 {
  if (a.op === OP.i64_const) {
    let v = u64(n64(a));
    let r = 0n;
    for (let i = 0; i < 8; i++, v >>= 8n) r = (r << 8n) | (v & 0xffn);
    return k64(r);
  }
  const vector = unary(V128, OP.i64x2_splat, a);
  return new Expr(I64, OP.i64x2_extract_lane, new ShuffleExpr(vector, vector, REVERSE_64), null, null, 0, 0);
}

/** The i32 with its four bytes in reverse order. `a` is evaluated twice: let-bind it first. */
export function byteSwap32(a: E32): E32 {
  const odd = i32.and(i32.rotl(a, k32(8)), k32(0x00ff00ff));
  const even = i32.and(i32.rotl(a, k32(24)), k32(0xff00ff00 | 0));
  return i32.or(odd, even);
}

/** The low 16 bits with their two bytes exchanged, zero-extended. `a` is evaluated twice: let-bind it first. */
export function byteSwap16(a: E32): E32 {
  return i32.or(i32.and(i32.shrU(a, k32(8)), k32(0xff)), i32.shl(i32.and(a, k32(0xff)), k32(8)));
}
