import type { AccessSize } from '../../engine/ir.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import { type D, extended, low, reg, regOrStack, type S } from './common.ts';
import { TRAP } from './helpers.ts';
import { trapAddress } from './state.ts';

/** The engine's address spaces. */
export const SPACE = {
  /** As the current exception level accesses memory. */
  current: 0,
  /** As EL0 would: LDTR and STTR. */
  unprivileged: 1,
} as const;

/** Traps where `address` is not a multiple of `size`. */
export function requireAligned(s: S, address: D, size: number, store: boolean): void {
  if (size === 1) return;
  s.if(i32.and(low(address), i32.const(size - 1)), () => {
    s.set(trapAddress, address);
    s.trap(TRAP.alignment, i32.const(store ? 1 : 0));
  });
}

/** The same where SCTLR_ELx.A asks for it. */
export function checkAligned(s: S, address: D, size: number, store: boolean): void {
  if (s.mode.alignmentChecked) requireAligned(s, address, size, store);
}

/** How an address is formed and whether the base register changes. */
export interface Addressing {
  readonly name: 'unsigned' | 'unscaled' | 'post' | 'unprivileged' | 'pre' | 'register';
  /** Bits 25 to 10 of the encoding, without `opc` in bits 23 and 22. */
  readonly class: string;
  readonly rest: string;
  readonly operand: string;
}

export const ADDRESSINGS: readonly Addressing[] = [
  { name: 'unsigned', class: '01', rest: 'imm12:12', operand: '[{Xn|sp}{imm12?}]' },
  { name: 'unscaled', class: '00', rest: '0 imm9:9 00', operand: '[{Xn|sp}{imm9?}]' },
  { name: 'post', class: '00', rest: '0 imm9:9 01', operand: '[{Xn|sp}],{imm9}' },
  { name: 'unprivileged', class: '00', rest: '0 imm9:9 10', operand: '[{Xn|sp}{imm9?}]' },
  { name: 'pre', class: '00', rest: '0 imm9:9 11', operand: '[{Xn|sp},{imm9}]!' },
  { name: 'register', class: '00', rest: '1 Rm:5 option:3 S:1 10', operand: '[{Xn|sp},{Rm:option}{S?}]' },
];

/** The address that is accessed, and what the base register becomes; both named. */
export interface Addresses {
  readonly access: D;
  readonly writeBack: D | null;
}

/** Register forms split on `option`, so that the extension is known. */
export const splitOf = (how: Addressing): readonly string[] => (how.name === 'register' ? ['option'] : []);

/** @param scale log2 of the access's size, which scales unsigned immediates and shifted registers */
export function addressOf(s: S, how: Addressing, scale: number): Addresses {
  const base = regOrStack(s, 'Rn');
  switch (how.name) {
    case 'unsigned':
      return {
        access: s.let(i64.add(base, i64.extendU(i32.shl(s.field('imm12'), i32.const(scale))))),
        writeBack: null,
      };
    case 'register': {
      const offset = extended(s.split('option'), reg(s, 'Rm'));
      const shift = i64.extendU(i32.mul(s.field('S'), i32.const(scale)));
      return { access: s.let(i64.add(base, i64.shl(offset, shift))), writeBack: null };
    }
    default: {
      const offset = i64.extendS(s.signedField('imm9'));
      if (how.name === 'post') {
        const access = s.let(base);
        return { access, writeBack: s.let(i64.add(access, offset)) };
      }
      const access = s.let(i64.add(base, offset));
      return { access, writeBack: how.name === 'pre' ? access : null };
    }
  }
}

/** Sizes by log2. */
export const SIZES = [1, 2, 4, 8] as const satisfies readonly AccessSize[];
