import type { Expr } from '../../wasm/expr.ts';
import { i32, isConst } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { PGM } from '../abi.ts';
import { address, define, immediate, load, type S, type S390Instruction, store, type W } from './common.ts';
import { setConditions } from './condition.ts';
import type { Format } from './formats.ts';
import { cc } from './state.ts';
import { firstSource, operand, type Source, W32, W64, type Width } from './width.ts';

/** Addition and subtraction (Principles of Operation, chapter 7). */

type Integer = I32 | I64;

/** A result and the conditions for its condition code. */
interface Outcome<T extends Integer> {
  readonly result: Expr<T>;
  readonly conditions: readonly [W, W, W, W];
}

export type Operation = <T extends Integer>(s: S, w: Width<T>, a: Expr<T>, b: Expr<T>) => Outcome<T>;

const not = i32.eqz;

/** Signed sum: 0 zero, 1 negative, 2 positive, 3 overflow. */
export const addSigned: Operation = (s, w, a, b) => {
  const { ops } = w;
  const zero = ops.const(0);
  const sum = s.let(ops.add(a, b));
  const overflow = isConst(b)
    ? b.imm >= 0
      ? ops.ltS(sum, a)
      : ops.gtS(sum, a)
    : ops.ltS(ops.and(ops.xor(a, sum), ops.xor(b, sum)), zero);
  return {
    result: sum,
    conditions: [
      i32.and(ops.eqz(sum), not(overflow)),
      i32.and(ops.ltS(sum, zero), not(overflow)),
      i32.and(ops.gtS(sum, zero), not(overflow)),
      overflow,
    ],
  };
};

/** Signed difference. One that overflows has the wrong sign, so it is not what the comparison says. */
export const subtractSigned: Operation = (s, w, a, b) => {
  const { ops } = w;
  const zero = ops.const(0);
  const difference = s.let(ops.sub(a, b));
  return {
    result: difference,
    conditions: [
      ops.eq(a, b),
      i32.and(ops.ltS(difference, zero), ops.ltS(a, b)),
      i32.and(ops.gtS(difference, zero), ops.gtS(a, b)),
      ops.ltS(ops.and(ops.xor(a, b), ops.xor(a, difference)), zero),
    ],
  };
};

/** 0 zero, 1 not zero, 2 zero with carry, 3 not zero with carry. */
function carryConditions<T extends Integer>(w: Width<T>, sum: Expr<T>, carry: W): Outcome<T>['conditions'] {
  const zero = w.ops.eqz(sum);
  return [i32.and(zero, not(carry)), i32.and(not(zero), not(carry)), i32.and(zero, carry), i32.and(not(zero), carry)];
}

export const addLogical: Operation = (s, w, a, b) => {
  const sum = s.let(w.ops.add(a, b));
  return { result: sum, conditions: carryConditions(w, sum, w.ops.ltU(sum, a)) };
};

/** 1 not zero with borrow, 2 zero, 3 not zero without borrow. */
export const subtractLogical: Operation = (s, w, a, b) => ({
  result: s.let(w.ops.sub(a, b)),
  conditions: [i32.const(0), w.ops.ltU(a, b), w.ops.eq(a, b), w.ops.gtU(a, b)],
});

function carryIn(s: S): W {
  return s.let(i32.or(s.get(cc.slots[2]), s.get(cc.slots[3])));
}

const addWithCarry: Operation = (s, w, a, b) => {
  const { ops } = w;
  const partial = s.let(ops.add(a, b));
  const sum = s.let(ops.add(partial, w.unsigned(carryIn(s))));
  const carry = s.let(i32.or(ops.ltU(partial, a), ops.ltU(sum, partial)));
  return { result: sum, conditions: carryConditions(w, sum, carry) };
};

const subtractWithBorrow: Operation = (s, w, a, b) => addWithCarry(s, w, a, s.let(w.ops.xor(b, w.ops.const(-1))));

/** Operations that can overflow, for the mode in which that ends in an interruption. */
const OVERFLOWS: ReadonlySet<Operation> = new Set([addSigned, subtractSigned]);

export function finish<T extends Integer>(s: S, operation: Operation, { conditions }: Outcome<T>): void {
  const overflow = s.mode.fixedOverflow && OVERFLOWS.has(operation) ? s.let(conditions[3]) : null;
  setConditions(s, conditions);
  if (overflow !== null) s.if(overflow, () => s.trap(PGM.FIXED_POINT_OVERFLOW));
}

type Row = readonly [name: string, opcode: string, format: Format, width: 32 | 64, source: Source];

function arithmetic(operation: Operation, rows: readonly Row[]): S390Instruction[] {
  return rows.map(([name, opcode, format, bits, source]) => {
    const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
      const b = s.let(operand(s, w, source));
      const a = s.let(w.get(s, firstSource(s)));
      const outcome = operation(s, w, a, b);
      w.set(s, 'R1', outcome.result);
      finish(s, operation, outcome);
    };
    return define({
      name,
      opcode,
      format,
      meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64),
    });
  });
}

/** Adds an immediate to storage. What is aligned is updated as one access, which is all that interlocking asks for here. */
function toStorage(
  operation: Operation,
  rows: readonly (readonly [name: string, opcode: string, width: 32 | 64])[],
): S390Instruction[] {
  return rows.map(([name, opcode, bits]) => {
    const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
      const at = address(s, 1);
      const a = s.let(w.from(load(s, at, w.bytes)));
      const outcome = operation(s, w, a, w.signed(immediate(s)));
      store(s, at, w.bytes, w.toD(outcome.result));
      finish(s, operation, outcome);
    };
    return define({
      name,
      opcode,
      format: 'SIY',
      meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64),
    });
  });
}

export const ARITHMETIC: readonly S390Instruction[] = [
  ...arithmetic(addSigned, [
    ['ar', '1A', 'RR', 32, 'r'],
    ['agr', 'B908', 'RRE', 64, 'r'],
    ['agfr', 'B918', 'RRE', 64, 'rs'],
    ['ark', 'B9F8', 'RRFa', 32, 'r'],
    ['agrk', 'B9E8', 'RRFa', 64, 'r'],
    ['a', '5A', 'RX', 32, 'm'],
    ['ay', 'E35A', 'RXY', 32, 'm'],
    ['ag', 'E308', 'RXY', 64, 'm'],
    ['agf', 'E318', 'RXY', 64, 'ms'],
    ['ah', '4A', 'RX', 32, 'mh'],
    ['ahy', 'E37A', 'RXY', 32, 'mh'],
    ['ahi', 'A7A', 'RI', 32, 'i'],
    ['aghi', 'A7B', 'RI', 64, 'i'],
    ['afi', 'C29', 'RIL', 32, 'i'],
    ['agfi', 'C28', 'RIL', 64, 'i'],
    ['ahik', 'ECD8', 'RIEd', 32, 'i'],
    ['aghik', 'ECD9', 'RIEd', 64, 'i'],
  ]),
  ...arithmetic(subtractSigned, [
    ['sr', '1B', 'RR', 32, 'r'],
    ['sgr', 'B909', 'RRE', 64, 'r'],
    ['sgfr', 'B919', 'RRE', 64, 'rs'],
    ['srk', 'B9F9', 'RRFa', 32, 'r'],
    ['sgrk', 'B9E9', 'RRFa', 64, 'r'],
    ['s', '5B', 'RX', 32, 'm'],
    ['sy', 'E35B', 'RXY', 32, 'm'],
    ['sg', 'E309', 'RXY', 64, 'm'],
    ['sgf', 'E319', 'RXY', 64, 'ms'],
    ['sh', '4B', 'RX', 32, 'mh'],
    ['shy', 'E37B', 'RXY', 32, 'mh'],
  ]),
  ...arithmetic(addLogical, [
    ['alr', '1E', 'RR', 32, 'r'],
    ['algr', 'B90A', 'RRE', 64, 'r'],
    ['algfr', 'B91A', 'RRE', 64, 'rz'],
    ['alrk', 'B9FA', 'RRFa', 32, 'r'],
    ['algrk', 'B9EA', 'RRFa', 64, 'r'],
    ['al', '5E', 'RX', 32, 'm'],
    ['aly', 'E35E', 'RXY', 32, 'm'],
    ['alg', 'E30A', 'RXY', 64, 'm'],
    ['algf', 'E31A', 'RXY', 64, 'mz'],
    ['alfi', 'C2B', 'RIL', 32, 'iz'],
    ['algfi', 'C2A', 'RIL', 64, 'iz'],
    ['alhsik', 'ECDA', 'RIEd', 32, 'i'],
    ['alghsik', 'ECDB', 'RIEd', 64, 'i'],
  ]),
  ...arithmetic(subtractLogical, [
    ['slr', '1F', 'RR', 32, 'r'],
    ['slgr', 'B90B', 'RRE', 64, 'r'],
    ['slgfr', 'B91B', 'RRE', 64, 'rz'],
    ['slrk', 'B9FB', 'RRFa', 32, 'r'],
    ['slgrk', 'B9EB', 'RRFa', 64, 'r'],
    ['sl', '5F', 'RX', 32, 'm'],
    ['sly', 'E35F', 'RXY', 32, 'm'],
    ['slg', 'E30B', 'RXY', 64, 'm'],
    ['slgf', 'E31B', 'RXY', 64, 'mz'],
    ['slfi', 'C25', 'RIL', 32, 'iz'],
    ['slgfi', 'C24', 'RIL', 64, 'iz'],
  ]),
  ...arithmetic(addWithCarry, [
    ['alcr', 'B998', 'RRE', 32, 'r'],
    ['alcgr', 'B988', 'RRE', 64, 'r'],
    ['alc', 'E398', 'RXY', 32, 'm'],
    ['alcg', 'E388', 'RXY', 64, 'm'],
  ]),
  ...arithmetic(subtractWithBorrow, [
    ['slbr', 'B999', 'RRE', 32, 'r'],
    ['slbgr', 'B989', 'RRE', 64, 'r'],
    ['slb', 'E399', 'RXY', 32, 'm'],
    ['slbg', 'E389', 'RXY', 64, 'm'],
  ]),
  ...toStorage(addSigned, [
    ['asi', 'EB6A', 32],
    ['agsi', 'EB7A', 64],
  ]),
  ...toStorage(addLogical, [
    ['alsi', 'EB6E', 32],
    ['algsi', 'EB7E', 64],
  ]),
];
