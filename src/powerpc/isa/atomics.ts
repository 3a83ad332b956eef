import type { AccessSize } from '../../engine/ir.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import { type D, define, low, type PowerInstruction, reg, type S, setCrField, setReg } from './common.ts';
import { TRAP } from './helpers.ts';
import { address } from './load-store.ts';
import { reserveAddress, reserved, reserveValue } from './state.ts';

/**
 * Load and reserve, store conditional (Power ISA 3.0B, book II, 4.6.2).
 *
 * A reservation is the effective address and the value that was loaded. The store succeeds if the reservation is held, for the same address, and
 * memory still holds the value. So a store by another thread that puts the same value back goes unnoticed; programs that count on the
 * difference (ABA) do not run right. The CPU model drops the reservation at every interrupt and return.
 */

function aligned(s: S, ea: D, size: AccessSize): void {
  if (size === 1) return;
  s.if(i32.and(low(ea), i32.const(size - 1)), () => s.trap(TRAP.alignment));
}

function loadReserve(name: string, xo: string, size: AccessSize): PowerInstruction {
  return define({
    name,
    encoding: `011111 RT:5 RA:5 RB:5 ${xo} EH:1`,
    operands: '{RT},{RA},{RB}',
    meaning(s) {
      const ea = address(s, 'X', false);
      aligned(s, ea, size);
      const value = s.load(ea, size);
      s.set(reserved, i32.const(1));
      s.set(reserveAddress, ea);
      s.set(reserveValue, value);
      setReg(s, 'RT', value);
    },
  });
}

function storeConditional(name: string, xo: string, size: AccessSize): PowerInstruction {
  return define({
    name,
    encoding: `011111 RS:5 RA:5 RB:5 ${xo} 1`,
    operands: '{RS},{RA},{RB}',
    meaning(s) {
      const ea = address(s, 'X', false);
      aligned(s, ea, size);
      const held = s.let(i32.and(s.get(reserved), i64.eq(s.get(reserveAddress), ea)));
      const current = s.load(ea, size);
      const done = s.let(i32.and(held, i64.eq(current, s.get(reserveValue))));
      s.if(done, () => s.store(ea, size, reg(s, 'RS')));
      s.set(reserved, i32.const(0));
      setCrField(s, i32.const(0), i32.const(0), i32.const(0), done);
    },
  });
}

export const ATOMICS: readonly PowerInstruction[] = [
  loadReserve('lbarx', '0000110100', 1),
  loadReserve('lharx', '0001110100', 2),
  loadReserve('lwarx', '0000010100', 4),
  loadReserve('ldarx', '0001010100', 8),
  storeConditional('stbcx.', '1010110110', 1),
  storeConditional('sthcx.', '1011010110', 2),
  storeConditional('stwcx.', '0010010110', 4),
  storeConditional('stdcx.', '0011010110', 8),
];
