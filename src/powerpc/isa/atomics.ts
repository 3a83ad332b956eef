import type { AccessSize } from '../../engine/ir.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import { type D, define, low, type PowerInstruction, reg, type S, setCrField, setReg, type W } from './common.ts';
import { TRAP } from './helpers.ts';
import { address } from './load-store.ts';
import { gpr, reserveAddress, reserved, reserveValue, reserveValue2 } from './state.ts';

/**
 * Load and reserve, store conditional (Power ISA 3.0B, book II, 4.6.2).
 *
 * A reservation is the effective address and the value that was loaded. The store succeeds if the reservation is held, for the same address, and
 * memory still holds the value. So a store by another thread that puts the same value back goes unnoticed; programs that count on the
 * difference (ABA) do not run right. The CPU model drops the reservation at every interrupt and return.
 */

/** An address that is no multiple of the size is an alignment interrupt. */
export function aligned(s: S, ea: D, size: AccessSize | 16): void {
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

/** RTp names the even register of a pair, which holds the more significant half (4.6.2.2, and book I, 3.3.4). */
const pair = (s: S, field: string): readonly [even: W, odd: W] => {
  const even = s.let(i32.shl(s.field(field), i32.const(1)));
  return [even, i32.or(even, i32.const(1))];
};

/** An address register that is also the target makes an invalid form. */
function notTarget(s: S, field: string): void {
  const target = i32.shl(s.field('RTp'), i32.const(1));
  s.if(i32.eq(s.field(field), target), () => s.trap(TRAP.illegal));
}

/** Addresses of the more and of the less significant half of a quadword. */
function halves(s: S, ea: D): readonly [high: D, low: D] {
  const second = s.let(i64.or(ea, i64.const(8)));
  return s.mode.dataBigEndian ? [ea, second] : [second, ea];
}

/** An aligned quadword lies on one page: if its first half does not fault, the second does not. */
const QUADWORDS: readonly PowerInstruction[] = [
  define({
    name: 'lq',
    encoding: '111000 RTp:4 0 RA:5 DQ:12 .4',
    operands: '{RTp},{DQ}({RA})',
    meaning(s) {
      notTarget(s, 'RA');
      const ea = address(s, 'DQ', false);
      aligned(s, ea, 16);
      const [high, low] = halves(s, ea).map((half) => s.load(half, 8));
      const [even, odd] = pair(s, 'RTp');
      s.setAt(gpr, even, high as D);
      s.setAt(gpr, odd, low as D);
    },
  }),
  define({
    name: 'stq',
    encoding: '111110 RSp:4 0 RA:5 DS:14 10',
    operands: '{RSp},{DS}({RA})',
    meaning(s) {
      const ea = address(s, 'DS', false);
      aligned(s, ea, 16);
      const registers = pair(s, 'RSp');
      halves(s, ea).forEach((half, i) => {
        s.store(half, 8, s.getAt(gpr, registers[i] as W));
      });
    },
  }),
  define({
    name: 'lqarx',
    encoding: '011111 RTp:4 0 RA:5 RB:5 0100010100 EH:1',
    operands: '{RTp},{RA},{RB}',
    meaning(s) {
      notTarget(s, 'RA');
      notTarget(s, 'RB');
      const ea = address(s, 'X', false);
      aligned(s, ea, 16);
      const [high, low] = halves(s, ea).map((half) => s.load(half, 8)) as [D, D];
      const [even, odd] = pair(s, 'RTp');
      s.set(reserved, i32.const(1));
      s.set(reserveAddress, ea);
      s.set(reserveValue, high);
      s.set(reserveValue2, low);
      s.setAt(gpr, even, high);
      s.setAt(gpr, odd, low);
    },
  }),
  define({
    name: 'stqcx.',
    encoding: '011111 RSp:4 0 RA:5 RB:5 0010110110 1',
    operands: '{RSp},{RA},{RB}',
    meaning(s) {
      const ea = address(s, 'X', false);
      aligned(s, ea, 16);
      const held = s.let(i32.and(s.get(reserved), i64.eq(s.get(reserveAddress), ea)));
      const both = halves(s, ea);
      const [high, low] = both.map((half) => s.load(half, 8)) as [D, D];
      const same = i32.and(i64.eq(high, s.get(reserveValue)), i64.eq(low, s.get(reserveValue2)));
      const done = s.let(i32.and(held, same));
      const registers = pair(s, 'RSp');
      s.if(done, () => {
        both.forEach((half, i) => {
          s.store(half, 8, s.getAt(gpr, registers[i] as W));
        });
      });
      s.set(reserved, i32.const(0));
      setCrField(s, i32.const(0), i32.const(0), i32.const(0), done);
    },
  }),
];

export const ATOMICS: readonly PowerInstruction[] = [
  loadReserve('lbarx', '0000110100', 1),
  loadReserve('lharx', '0001110100', 2),
  loadReserve('lwarx', '0000010100', 4),
  loadReserve('ldarx', '0001010100', 8),
  storeConditional('stbcx.', '1010110110', 1),
  storeConditional('sthcx.', '1011010110', 2),
  storeConditional('stwcx.', '0010010110', 4),
  storeConditional('stdcx.', '0011010110', 8),
  ...QUADWORDS,
];
