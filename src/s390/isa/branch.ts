import type { Expr } from '../../wasm/expr.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PSW_PROGRAM_MASK_SHIFT } from '../abi.ts';
import {
  address,
  type D,
  define,
  gr,
  inMode,
  low,
  odd,
  relative,
  type S,
  type S390Instruction,
  setGr,
  type W,
  withLow,
} from './common.ts';
import { conditionCode, isOneOf } from './condition.ts';
import type { Format } from './formats.ts';
import { gpr, psw } from './state.ts';
import { W32, W64, type Width } from './width.ts';

/** Branches (Principles of Operation, chapter 7, and "Branch-Address Generation"). */

interface Branch {
  readonly condition?: W | null;
  readonly how: 'indirect' | 'return';
  readonly call?: boolean;
  /** What the instruction writes besides. */
  readonly writes?: () => void;
}

/** Goes to an address that a register holds. An odd one is found by whoever fetches there. */
export function branchIndirect(s: S, to: D, branch: Branch): void {
  const { how, call = false, writes = () => {} } = branch;
  const target = s.let(inMode(s, to));
  const condition = branch.condition ? s.let(branch.condition) : null;
  writes();
  s.jump(target, { condition, how, call });
}

/** Link information of the addressing mode; BAL and BALR tell more in 24-bit mode. */
function linkTo(s: S, tellsMore: boolean): D {
  const next = s.nextPc();
  const { addressBits } = s.mode;
  if (addressBits === 64) return next;
  const old = gr(s, 'R1');
  if (addressBits === 31) return withLow(old, i32.or(low(next), i32.const(0x80000000 | 0)));
  const at = i32.and(low(next), i32.const(0xffffff));
  if (!tellsMore) return withLow(old, at);
  const programMask = i32.and(low(i64.shrU(s.get(psw), i64.const(PSW_PROGRAM_MASK_SHIFT))), i32.const(15));
  const length = (s.instruction as S390Instruction).pattern.length;
  const top = i32.or(i32.const((length / 2) << 30), i32.shl(conditionCode(s), i32.const(28)));
  return withLow(old, i32.or(i32.or(top, i32.shl(programMask, i32.const(24))), at));
}

function link(s: S, tellsMore = false): void {
  setGr(s, 'R1', linkTo(s, tellsMore));
}

/** Whether a register field of a branch names a register; 0 means that there is no branch. */
function branchesTo(s: S, field: string): W {
  const known = s.known(s.field(field));
  if (known !== undefined) return i32.const(known === 0 ? 0 : 1);
  return i32.ne(s.field(field), i32.const(0));
}

/** Branch on condition. R14 has the return address by convention. */
const ON_CONDITION: readonly S390Instruction[] = [
  define({
    name: 'bcr',
    opcode: '07E',
    format: 'RRmr',
    split: ['M1'],
    meaning: (s) => branchIndirect(s, s.get(gpr.slots[14]), { condition: isOneOf(s, s.field('M1')), how: 'return' }),
  }),
  define({
    name: 'bcr',
    opcode: '07',
    format: 'RRm',
    split: ['M1', 'R2=0'],
    meaning(s) {
      if (s.known(s.field('R2')) === 0) return;
      branchIndirect(s, gr(s, 'R2'), { condition: isOneOf(s, s.field('M1')), how: 'indirect' });
    },
  }),
  define({
    name: 'bc',
    opcode: '47',
    format: 'RXm',
    split: ['M1'],
    meaning: (s) => branchIndirect(s, address(s, 2), { condition: isOneOf(s, s.field('M1')), how: 'indirect' }),
  }),
  ...(
    [
      ['brc', 'A74', 'RIc'],
      ['brcl', 'C04', 'RILc'],
    ] as const
  ).map(([name, opcode, format]) =>
    define({
      name,
      opcode,
      format,
      split: ['M1'],
      meaning: (s) => s.jump(relative(s, 'RI2'), { condition: isOneOf(s, s.field('M1')), how: 'direct' }),
    }),
  ),
];

/** Branch and link, branch and save: to a register (0: only the link), a storage operand's address, or relative. */
const AND_LINK: readonly S390Instruction[] = [
  ...(
    [
      ['balr', '05', true],
      ['basr', '0D', false],
    ] as const
  ).map(([name, opcode, tellsMore]) =>
    define({
      name,
      opcode,
      format: 'RR',
      split: ['R2=0'],
      meaning(s) {
        if (s.known(s.field('R2')) === 0) return link(s, tellsMore);
        branchIndirect(s, gr(s, 'R2'), { how: 'indirect', call: true, writes: () => link(s, tellsMore) });
      },
    }),
  ),
  ...(
    [
      ['bal', '45', true],
      ['bas', '4D', false],
    ] as const
  ).map(([name, opcode, tellsMore]) =>
    define({
      name,
      opcode,
      format: 'RX',
      meaning: (s) =>
        branchIndirect(s, address(s, 2), { how: 'indirect', call: true, writes: () => link(s, tellsMore) }),
    }),
  ),
  ...(
    [
      ['bras', 'A75', 'RIb'],
      ['brasl', 'C05', 'RILb'],
    ] as const
  ).map(([name, opcode, format]) =>
    define({
      name,
      opcode,
      format,
      meaning(s) {
        const target = s.let(relative(s, 'RI2'));
        link(s);
        s.jump(target, { how: 'direct', call: true });
      },
    }),
  ),
];

type Integer = I32 | I64;

/** Branch on count: counts R1 down, and goes on as long as it is not 0. */
function onCount(name: string, opcode: string, format: Format, bits: 32 | 64): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const count = s.let(w.ops.sub(w.get(s, 'R1'), w.ops.const(1)));
    const left = w.ops.ne(count, w.ops.const(0));
    const writes = (): void => w.set(s, 'R1', count);
    if (format === 'RIb') {
      writes();
      s.jump(relative(s, 'RI2'), { condition: left, how: 'direct' });
    } else if (format === 'RX' || format === 'RXY') {
      branchIndirect(s, address(s, 2), { condition: left, how: 'indirect', writes });
    } else {
      const target = gr(s, 'R2');
      branchIndirect(s, target, { condition: i32.and(left, branchesTo(s, 'R2')), how: 'indirect', writes });
    }
  };
  return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
}

/** Branch on index: adds R3 to R1 and compares with R3, or with the odd register behind it where R3 is even. */
function onIndex(name: string, opcode: string, format: Format, bits: 32 | 64, high: boolean): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const increment = s.let(w.get(s, 'R3'));
    const limit = s.let(w.from(s.getAt(gpr, odd(s, 'R3'))));
    const sum: Expr<T> = s.let(w.ops.add(w.get(s, 'R1'), increment));
    const condition = high ? w.ops.gtS(sum, limit) : i32.eqz(w.ops.gtS(sum, limit));
    const writes = (): void => w.set(s, 'R1', sum);
    if (format === 'RSI' || format === 'RIEe') {
      writes();
      s.jump(relative(s, 'RI2'), { condition, how: 'direct' });
    } else {
      branchIndirect(s, address(s, 2), { condition, how: 'indirect', writes });
    }
  };
  return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
}

export const BRANCH: readonly S390Instruction[] = [
  ...ON_CONDITION,
  ...AND_LINK,
  onCount('bctr', '06', 'RR', 32),
  onCount('bctgr', 'B946', 'RRE', 64),
  onCount('bct', '46', 'RX', 32),
  onCount('bctg', 'E346', 'RXY', 64),
  onCount('brct', 'A76', 'RIb', 32),
  onCount('brctg', 'A77', 'RIb', 64),
  onIndex('bxh', '86', 'RS', 32, true),
  onIndex('bxle', '87', 'RS', 32, false),
  onIndex('bxhg', 'EB44', 'RSY', 64, true),
  onIndex('bxleg', 'EB45', 'RSY', 64, false),
  onIndex('brxh', '84', 'RSI', 32, true),
  onIndex('brxle', '85', 'RSI', 32, false),
  onIndex('brxhg', 'EC44', 'RIEe', 64, true),
  onIndex('brxlg', 'EC45', 'RIEe', 64, false),
];
