import { i32, i64 } from '../../wasm/expr.ts';
import { type D, ones, type S, type W } from './common.ts';

/** A bitmask immediate (Arm ARM, DecodeBitMasks), or null where N:immr:imms is not allocated. */
export function decodeBitMask(n: number, immr: number, imms: number, wide: boolean): bigint | null {
  const length = 31 - Math.clz32((n << 6) | (~imms & 0x3f));
  if (length < 1 || (!wide && n !== 0)) return null;
  const size = 1 << length;
  const levels = size - 1;
  const s = imms & levels;
  const r = BigInt(immr & levels);
  if (s === levels) return null;
  const element = (1n << BigInt(s + 1)) - 1n;
  const width = BigInt(size);
  const rotated = BigInt.asUintN(size, (element >> r) | (element << (width - r)));
  let mask = 0n;
  for (let at = 0n; at < 64n; at += width) mask |= rotated << at;
  return wide ? mask : BigInt.asUintN(32, mask);
}

/** A bitmask immediate of an instruction, and whether it is allocated. */
export interface BitMask {
  readonly value: D;
  readonly allocated: W;
}

/** The immediate of the fields N, immr and imms as an expression. Cut to 32 bits in the narrow form, where N must be 0. */
export function bitMask(s: S, wide: boolean): BitMask {
  const [n, immr, imms] = ['N', 'immr', 'imms'].map((name) => s.known(s.field(name)));
  if (n !== undefined && immr !== undefined && imms !== undefined) {
    const mask = decodeBitMask(n, immr, imms, wide);
    return { value: i64.const(mask ?? 0n), allocated: i32.const(mask === null ? 0 : 1) };
  }
  const key = s.let(i32.or(i32.shl(s.field('N'), i32.const(6)), i32.xor(s.field('imms'), i32.const(0x3f))));
  const length = s.let(i32.sub(i32.const(31), i32.clz(key)));
  const levels = s.let(i32.sub(i32.shl(i32.const(1), length), i32.const(1)));
  const size = i32.add(levels, i32.const(1));
  const last = s.let(i32.and(s.field('imms'), levels));
  const rotation = s.let(i32.and(s.field('immr'), levels));
  const element = s.let(ones(last));
  const whole = s.let(ones(levels));
  const right = i64.shrU(element, i64.extendU(rotation));
  const left = i64.shl(element, i64.extendU(i32.sub(size, rotation)));
  const rotated = i64.and(i64.or(right, left), whole);
  // All ones divided by the ones of an element has a one where each element begins.
  const value = i64.mul(rotated, i64.divU(i64.const(-1n), whole));
  const reserved = i32.or(i32.leS(length, i32.const(0)), i32.eq(last, levels));
  const wrong = wide ? reserved : i32.or(reserved, s.field('N'));
  return { value: wide ? value : i64.and(value, i64.const(0xffffffffn)), allocated: i32.eqz(wrong) };
}
