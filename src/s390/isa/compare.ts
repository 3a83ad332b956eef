import type { Expr } from '../../wasm/expr.ts';
import { i32 } from '../../wasm/expr.ts';
import type { I32, I64 } from '../../wasm/types.ts';
import { DXC, PGM } from '../abi.ts';
import { branchIndirect } from './branch.ts';
import { address, define, load, relative, type S, type S390Instruction, sext, type W, zext } from './common.ts';
import { setComparison } from './condition.ts';
import type { Format } from './formats.ts';
import { operand, type Source, W32, W64, type Width } from './width.ts';

/** Comparisons, and branches and traps that compare (Principles of Operation, chapter 7). */

type Integer = I32 | I64;

interface Conditions {
  readonly equal: W;
  readonly low: W;
  readonly high: W;
}

function conditions<T extends Integer>(w: Width<T>, signed: boolean, a: Expr<T>, b: Expr<T>): Conditions {
  const { ops } = w;
  return signed
    ? { equal: ops.eq(a, b), low: ops.ltS(a, b), high: ops.gtS(a, b) }
    : { equal: ops.eq(a, b), low: ops.ltU(a, b), high: ops.gtU(a, b) };
}

type Row = readonly [name: string, opcode: string, format: Format, width: 32 | 64, signed: boolean, source: Source];

function comparison([name, opcode, format, bits, signed, source]: Row): S390Instruction {
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const b = s.let(operand(s, w, source));
    const { equal, low, high } = conditions(w, signed, s.let(w.get(s, 'R1')), b);
    setComparison(s, equal, low, high);
  };
  return define({ name, opcode, format, meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64) });
}

const COMPARISONS: readonly Row[] = [
  ['cr', '19', 'RR', 32, true, 'r'],
  ['cgr', 'B920', 'RRE', 64, true, 'r'],
  ['cgfr', 'B930', 'RRE', 64, true, 'rs'],
  ['c', '59', 'RX', 32, true, 'm'],
  ['cy', 'E359', 'RXY', 32, true, 'm'],
  ['cg', 'E320', 'RXY', 64, true, 'm'],
  ['cgf', 'E330', 'RXY', 64, true, 'ms'],
  ['ch', '49', 'RX', 32, true, 'mh'],
  ['chy', 'E379', 'RXY', 32, true, 'mh'],
  ['cgh', 'E334', 'RXY', 64, true, 'mh'],
  ['chi', 'A7E', 'RI', 32, true, 'i'],
  ['cghi', 'A7F', 'RI', 64, true, 'i'],
  ['cfi', 'C2D', 'RIL', 32, true, 'i'],
  ['cgfi', 'C2C', 'RIL', 64, true, 'i'],
  ['crl', 'C6D', 'RILb', 32, true, 'rel'],
  ['cgrl', 'C68', 'RILb', 64, true, 'rel'],
  ['cgfrl', 'C6C', 'RILb', 64, true, 'rels'],
  ['chrl', 'C65', 'RILb', 32, true, 'relh'],
  ['cghrl', 'C64', 'RILb', 64, true, 'relh'],
  ['clr', '15', 'RR', 32, false, 'r'],
  ['clgr', 'B921', 'RRE', 64, false, 'r'],
  ['clgfr', 'B931', 'RRE', 64, false, 'rz'],
  ['cl', '55', 'RX', 32, false, 'm'],
  ['cly', 'E355', 'RXY', 32, false, 'm'],
  ['clg', 'E321', 'RXY', 64, false, 'm'],
  ['clgf', 'E331', 'RXY', 64, false, 'mz'],
  ['clfi', 'C2F', 'RIL', 32, false, 'iz'],
  ['clgfi', 'C2E', 'RIL', 64, false, 'iz'],
  ['clrl', 'C6F', 'RILb', 32, false, 'rel'],
  ['clgrl', 'C6A', 'RILb', 64, false, 'rel'],
  ['clgfrl', 'C6E', 'RILb', 64, false, 'relz'],
  ['clhrl', 'C67', 'RILb', 32, false, 'relhz'],
  ['clghrl', 'C66', 'RILb', 64, false, 'relhz'],
];

/** Storage with an immediate of 8 or 16 bits. */
function immediateComparison(
  name: string,
  opcode: string,
  format: 'SI' | 'SIY' | 'SIL',
  bytes: 1 | 2 | 4 | 8,
  signed: boolean,
): S390Instruction {
  return define({
    name,
    opcode,
    format,
    meaning(s) {
      const a = load(s, address(s, 1), bytes, { signed });
      const b = signed ? sext(s.signedField('I2')) : zext(s.field('I2'));
      const { equal, low, high } = conditions(W64, signed, a, b);
      setComparison(s, equal, low, high);
    },
  });
}

/** Mask of a comparison: 8 equal, 4 low, 2 high; the last bit is ignored. */
function holds({ equal, low, high }: Conditions, s: S): W {
  const mask = s.field('M3');
  const known = s.known(mask);
  const bit = (position: number, condition: W): W =>
    known === undefined
      ? i32.and(i32.shrU(mask, i32.const(position)), condition)
      : (known >> position) & 1
        ? condition
        : i32.const(0);
  if (known !== undefined) {
    // One comparison does for two of three.
    const inverse: Record<number, W> = { 6: equal, 10: low, 12: high };
    const single = inverse[known & 14];
    if (single !== undefined) return i32.eqz(single);
    if ((known & 14) === 14) return i32.const(1);
  }
  return i32.and(i32.or(bit(3, equal), i32.or(bit(2, low), bit(1, high))), i32.const(1));
}

type Then = 'relative' | 'storage' | 'trap';

/** Where a comparison with a register or an immediate leads: a relative branch, a branch to a storage operand's address, or a trap. */
const FORMAT_OF = {
  relative: { r: 'RIEb', i: 'RIEc' },
  storage: { r: 'RRS', i: 'RIS' },
  trap: { r: 'RRFc', i: 'RIEa' },
} as const;

function compareAnd(
  name: string,
  opcode: string,
  bits: 32 | 64,
  signed: boolean,
  source: 'r' | 'i',
  then: Then,
): S390Instruction {
  const format = FORMAT_OF[then][source];
  const meaning = <T extends Integer>(s: S, w: Width<T>): void => {
    const immediate = (): W => (signed ? s.signedField('I2') : s.field('I2'));
    const b = source === 'r' ? s.let(w.get(s, 'R2')) : signed ? w.signed(immediate()) : w.unsigned(immediate());
    const condition = holds(conditions(w, signed, s.let(w.get(s, 'R1')), b), s);
    if (then === 'relative') {
      s.jump(relative(s, 'RI4'), { condition, how: 'direct' });
    } else if (then === 'storage') {
      branchIndirect(s, address(s, 4), { condition, how: 'indirect' });
    } else {
      s.if(condition, () => s.trap(PGM.DATA, i32.const(DXC.COMPARE_AND_TRAP)));
    }
  };
  return define({
    name,
    opcode,
    format,
    ...(then === 'trap' && { operands: source === 'r' ? '{R1},{R2},{M3}' : '{R1},{I2},{M3}' }),
    meaning: bits === 32 ? (s) => meaning(s, W32) : (s) => meaning(s, W64),
  });
}

/** Name stem, opcodes (relative with a register and an immediate, storage, trap), width, whether signed. */
const AND: readonly (readonly [stem: string, opcodes: string, width: 32 | 64, signed: boolean])[] = [
  ['c', 'EC76 EC7E ECF6 ECFE B972 EC72', 32, true],
  ['cg', 'EC64 EC7C ECE4 ECFC B960 EC70', 64, true],
  ['cl', 'EC77 EC7F ECF7 ECFF B973 EC73', 32, false],
  ['clg', 'EC65 EC7D ECE5 ECFD B961 EC71', 64, false],
];

const KINDS: readonly (readonly [suffix: string, source: 'r' | 'i', then: Then])[] = [
  ['rj', 'r', 'relative'],
  ['ij', 'i', 'relative'],
  ['rb', 'r', 'storage'],
  ['ib', 'i', 'storage'],
  ['rt', 'r', 'trap'],
  ['it', 'i', 'trap'],
];

export const COMPARE: readonly S390Instruction[] = [
  ...COMPARISONS.map(comparison),
  immediateComparison('cli', '95', 'SI', 1, false),
  immediateComparison('cliy', 'EB55', 'SIY', 1, false),
  immediateComparison('chhsi', 'E554', 'SIL', 2, true),
  immediateComparison('clhhsi', 'E555', 'SIL', 2, false),
  immediateComparison('cghsi', 'E558', 'SIL', 8, true),
  immediateComparison('clghsi', 'E559', 'SIL', 8, false),
  immediateComparison('chsi', 'E55C', 'SIL', 4, true),
  immediateComparison('clfhsi', 'E55D', 'SIL', 4, false),
  ...AND.flatMap(([stem, opcodes, width, signed]) =>
    opcodes.split(' ').map((opcode, i) => {
      const [suffix, source, then] = KINDS[i] as (typeof KINDS)[number];
      // The assembler calls this one differently.
      const name = stem + suffix === 'clit' ? 'clfit' : stem + suffix;
      return compareAnd(name, opcode, width, signed, source, then);
    }),
  ),
];
