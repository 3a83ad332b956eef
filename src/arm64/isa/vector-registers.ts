import type { AccessSize } from '../../engine/ir.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import { ADDRESSINGS, type Addressing, addressOf, checkAligned, splitOf } from './address.ts';
import { type ArmInstruction, type D, define, type S, setRegOrStack } from './common.ts';
import { TRAP } from './helpers.ts';
import { PAIRS, type PairAddressing, pairAddresses, refuseNarrowOffset } from './load-store.ts';
import { fpTrapped, v, vHigh } from './state.ts';

/** Access to V registers as wholes or by their low part, and their loads and stores (Arm ARM, C4.1.88; C7.2: LDR, STR, LDUR, STUR, LDP, STP, LDNP, STNP). */

/** Traps where CPACR_EL1 or CPTR_EL2 says so: the first thing that any instruction on V registers does. */
export function requireVectorAccess(s: S): void {
  s.if(s.get(fpTrapped), () => s.trap(TRAP.fpAccess));
}

/** Low doubleword of the V register that a field names. */
export const vector = (s: S, field: string): D => s.getAt(v, s.field(field));
export const vectorHigh = (s: S, field: string): D => s.getAt(vHigh, s.field(field));

/** Writes a V register: a value of up to 64 bits, zero-extended, and what is above. */
export function setVector(s: S, field: string, low: D, high: D = i64.const(0)): void {
  s.setAt(v, s.field(field), low);
  s.setAt(vHigh, s.field(field), high);
}

/** Registers by what is accessed of them, with log2 of its bytes. */
const WIDTHS = [
  { letter: 'B', scale: 0 },
  { letter: 'H', scale: 1 },
  { letter: 'S', scale: 2 },
  { letter: 'D', scale: 3 },
  { letter: 'Q', scale: 4 },
] as const;
type Width = (typeof WIDTHS)[number];

const QUAD = 4;
const bits = (value: number): string => value.toString(2).padStart(2, '0');

/** What was loaded, not yet in its register: everything that can fault comes first. */
interface Loaded {
  readonly low: D;
  readonly high: D;
}

/** Where the low and the high half of a quadword lie: it is one number, in the byte order of data. */
const halves = (s: S): { readonly low: number; readonly high: number } =>
  s.mode.dataBigEndian ? { low: 8, high: 0 } : { low: 0, high: 8 };

function loadWidth(s: S, address: D, { scale }: Width): Loaded {
  if (scale !== QUAD) return { low: s.load(address, (1 << scale) as AccessSize), high: i64.const(0) };
  const { low, high } = halves(s);
  const part = (offset: number): D => s.load(s.let(i64.add(address, i64.const(offset))), 8);
  return { low: part(low), high: part(high) };
}

function storeWidth(s: S, address: D, { scale }: Width, field: string): void {
  if (scale !== QUAD) return s.store(address, (1 << scale) as AccessSize, vector(s, field));
  const { low, high } = halves(s);
  s.store(s.let(i64.add(address, i64.const(low))), 8, vector(s, field));
  s.store(s.let(i64.add(address, i64.const(high))), 8, vectorHigh(s, field));
}

const single = (width: Width, how: Addressing, load: 0 | 1): ArmInstruction =>
  define({
    name: `${load ? 'ld' : 'st'}${how.name === 'unscaled' ? 'ur' : 'r'}`,
    encoding: `${bits(width.scale & 3)} 111 1 ${how.class} ${width.scale === QUAD ? 1 : 0}${load} ${how.rest} Rn:5 Rt:5`,
    operands: `{${width.letter}t},${how.operand}`,
    split: splitOf(how),
    meaning(s) {
      if (refuseNarrowOffset(s, how)) return;
      requireVectorAccess(s);
      const { access, writeBack } = addressOf(s, how, width.scale);
      checkAligned(s, access, 1 << width.scale, load === 0);
      if (load === 0) storeWidth(s, access, width, 'Rt');
      else {
        const { low, high } = loadWidth(s, access, width);
        setVector(s, 'Rt', low, high);
      }
      if (writeBack !== null) setRegOrStack(s, 'Rn', writeBack);
    },
  });

const literal = (width: Width): ArmInstruction =>
  define({
    name: 'ldr',
    encoding: `${bits(width.scale - 2)} 011 1 00 imm19:19 Rt:5`,
    operands: `{${width.letter}t},{imm19}`,
    meaning(s) {
      requireVectorAccess(s);
      const address = s.let(i64.add(s.pc(), i64.extendS(i32.shl(s.signedField('imm19'), i32.const(2)))));
      checkAligned(s, address, 1 << width.scale, false);
      const { low, high } = loadWidth(s, address, width);
      setVector(s, 'Rt', low, high);
    },
  });

const pair = (width: Width, how: PairAddressing, load: 0 | 1): ArmInstruction =>
  define({
    name: `${load ? 'ld' : 'st'}${how.name === 'nontemporal' ? 'np' : 'p'}`,
    encoding: `${bits(width.scale - 2)} 101 1 0${how.mode} ${load} imm7:7 Rt2:5 Rn:5 Rt:5`,
    operands: `{${width.letter}t},{${width.letter}t2},${how.operand}`,
    meaning(s) {
      requireVectorAccess(s);
      const { first, second, writeBack } = pairAddresses(s, how, width.scale);
      checkAligned(s, first, 1 << width.scale, load === 0);
      if (load === 0) {
        storeWidth(s, first, width, 'Rt');
        storeWidth(s, second, width, 'Rt2');
      } else {
        const a = loadWidth(s, first, width);
        const b = loadWidth(s, second, width);
        setVector(s, 'Rt', a.low, a.high);
        setVector(s, 'Rt2', b.low, b.high);
      }
      if (writeBack !== null) setRegOrStack(s, 'Rn', writeBack);
    },
  });

const LARGE = WIDTHS.filter(({ scale }) => scale >= 2);

export const VECTOR_REGISTERS: readonly ArmInstruction[] = [0 as const, 1 as const].flatMap((load) => [
  ...WIDTHS.flatMap((width) =>
    ADDRESSINGS.filter(({ name }) => name !== 'unprivileged').map((how) => single(width, how, load)),
  ),
  ...LARGE.flatMap((width) => PAIRS.map((how) => pair(width, how, load))),
  ...(load === 1 ? LARGE.map(literal) : []),
]);
