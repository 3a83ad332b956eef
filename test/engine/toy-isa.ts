import { Instruction, InstructionSet, type InstructionSpec } from '../../src/engine/instruction.ts';
import type { AccessSize } from '../../src/engine/ir.ts';
import type { Mode, Semantics } from '../../src/engine/semantics.ts';
import { StateLayout } from '../../src/engine/state.ts';
import { type Expr, i32, i64 } from '../../src/wasm/expr.ts';
import type { I32, I64 } from '../../src/wasm/types.ts';

/**
 * A toy architecture that has one of everything the engine must cope with: big-endian, instructions of 2, 4 and 6 bytes (the top two bits of
 * the first byte say which), EXECUTE, a move over several pages, two address spaces.
 */
export interface ToyMode extends Mode {
  /** Addresses are 32 bits wide. */
  readonly narrow: boolean;
}

export const WIDE: ToyMode = { key: 0, instructionsBigEndian: true, dataBigEndian: true, narrow: false };
export const NARROW: ToyMode = { ...WIDE, key: 1, narrow: true, addressBits: 32 };

export const toyState = new StateLayout();
export const registers = toyState.i64File('r', 16);
/** Zero, negative, carry (or borrow), overflow. */
export const flags = toyState.flagFile('f', 4);
toyState.setTogether(flags.slots);
/** A flag that STICK writes and CMPS copies. */
export const sticky = toyState.flag('sticky');
toyState.setSeldom(sticky);
/** Where the last fault or trap happened. */
export const oldPc = toyState.i64('old');
export const ticks = toyState.i32('ticks');

/** Causes of traps beside the numbers that programs give. */
export const TRAP = { execute: 0x100, below: 0x101 } as const;

/** `a` of MOVE is its first operand and length, `b` the second. Others call what a test has put there. */
export const HELPER = { move: 0, first: 1 } as const;

type S = Semantics<ToyMode>;
type E64 = Expr<I64>;

const r = (s: S, field: string): E64 => s.getAt(registers, s.field(field));
const setR = (s: S, field: string, value: E64): void => s.setAt(registers, s.field(field), value);
const signed = (s: S, field: string): E64 => i64.extendS(s.signedField(field));
const even = (e: E64): E64 => i64.and(e, i64.const(-2));

function truncated(s: S, address: E64): E64 {
  return s.let(s.mode.narrow ? i64.extendU(i32.wrap(address)) : address);
}

/** Base and displacement; base 0 is no register. */
function effective(s: S): E64 {
  const displacement = signed(s, 'D');
  return truncated(s, s.known(s.field('B')) === 0 ? displacement : i64.add(r(s, 'B'), displacement));
}

function setFlags(s: S, result: E64, carry: Expr<I32>, overflow: E64): void {
  const [zero, negative, c, v] = flags.slots;
  s.set(zero, i64.eqz(result));
  s.set(negative, i64.ltS(result, i64.const(0)));
  s.set(c, carry);
  s.set(v, i64.ltS(overflow, i64.const(0)));
}

function add(s: S): void {
  const a = s.let(r(s, 'R1'));
  const b = s.let(r(s, 'R2'));
  const sum = s.let(i64.add(a, b));
  setFlags(s, sum, i64.ltU(sum, a), i64.and(i64.xor(a, sum), i64.xor(b, sum)));
  setR(s, 'R1', sum);
}

function subtract(s: S, keep: boolean): void {
  const a = s.let(r(s, 'R1'));
  const b = s.let(r(s, 'R2'));
  const difference = s.let(i64.sub(a, b));
  setFlags(s, difference, i64.ltU(a, b), i64.and(i64.xor(a, b), i64.xor(a, difference)));
  if (keep) setR(s, 'R1', difference);
}

function load(s: S, isSigned: boolean): void {
  setR(s, 'R1', s.load(effective(s), (1 << s.split('size')) as AccessSize, { signed: isSigned }));
}

/** Any flag of the mask is set (or none is, with N=1: the mask 0 then branches always). */
function condition(s: S): Expr<I32> {
  let any: Expr<I32> = i32.const(0);
  flags.slots.forEach((flag, i) => {
    if ((s.split('mask') & (8 >> i)) !== 0) any = i32.or(any, s.get(flag));
  });
  return s.split('N') === 1 ? i32.eqz(any) : i32.ne(any, i32.const(0));
}

function relative(s: S, disp: E64): E64 {
  return i64.add(s.pc(), i64.shl(disp, i64.const(1)));
}

function link(s: S): void {
  setR(s, 'R1', s.nextPc());
}

/** The two halves of a 32-bit immediate that does not fit the first four bytes. */
function longImmediate(s: S): E64 {
  return i64.extendS(i32.or(i32.shl(s.field('hi'), i32.const(16)), s.field('lo')));
}

/**
 * Loads exactly the halfwords that the instruction there has, so that an executed instruction at the end of a page does not touch the next.
 */
function executed(s: S): E64 {
  const address = s.let(even(effective(s)));
  const first = s.load(address, 2);
  const kind = s.let(i64.shrU(first, i64.const(14)));
  const at = (distance: number, exists: Expr<I32>): E64 =>
    s.load(s.select(exists, i64.add(address, i64.const(distance)), address), 2);
  const second = at(2, i32.eqz(i64.eqz(kind)));
  const third = at(4, i64.eq(kind, i64.const(3)));
  const halves = i64.or(
    i64.shl(first, i64.const(48)),
    i64.or(i64.shl(second, i64.const(32)), i64.shl(third, i64.const(16))),
  );
  return s.let(i64.or(halves, i64.shl(i64.and(r(s, 'R1'), i64.const(0xff)), i64.const(48))));
}

const DEFINITIONS: InstructionSpec<ToyMode>[] = [
  { name: 'add', encoding: '00000001 R1:4 R2:4', operands: '{R1},{R2}', meaning: add },
  { name: 'sub', encoding: '00000010 R1:4 R2:4', operands: '{R1},{R2}', meaning: (s) => subtract(s, true) },
  { name: 'mov', encoding: '00000011 R1:4 R2:4', operands: '{R1},{R2}', meaning: (s) => setR(s, 'R1', r(s, 'R2')) },
  { name: 'cmp', encoding: '00000100 R1:4 R2:4', operands: '{R1},{R2}', meaning: (s) => subtract(s, false) },
  {
    name: 'br',
    encoding: '00000101 .4 R2:4',
    operands: '{R2}',
    meaning: (s) => s.jump(even(r(s, 'R2')), { how: 'indirect' }),
  },
  // Leaves the last bit as it is: no instruction can lie at an odd address.
  {
    name: 'bro',
    encoding: '00000111 .4 R2:4',
    operands: '{R2}',
    meaning: (s) => s.jump(r(s, 'R2'), { how: 'indirect' }),
  },
  // More fixed bits than `br`: R14 is the link register.
  {
    name: 'ret',
    encoding: '00000101 11111110',
    operands: '',
    meaning: (s) => s.jump(even(s.get(registers.slots[14])), { how: 'return' }),
  },
  {
    name: 'balr',
    encoding: '00000110 R1:4 R2:4',
    operands: '{R1},{R2}',
    meaning(s) {
      const target = s.let(even(r(s, 'R2')));
      link(s);
      s.jump(target, { how: 'indirect', call: true });
    },
  },
  {
    name: 'trap',
    encoding: '00001000 code:8',
    operands: '{code}',
    split: ['code=0'],
    meaning(s) {
      // A cause is a number in the code: here 0 or 1, the argument tells more.
      s.trap(s.known(s.field('code')) === 0 ? 0 : 1, s.field('code'));
    },
  },
  {
    name: 'tlt',
    encoding: '00001001 R1:4 R2:4',
    operands: '{R1},{R2}',
    meaning: (s) => s.if(i64.ltU(r(s, 'R1'), r(s, 'R2')), () => s.trap(TRAP.below, s.field('R1'))),
  },
  {
    name: 'setf',
    encoding: '00001010 F:2 .2 R2:4',
    operands: '{F},{R2}',
    meaning: (s) => s.setAt(flags, s.field('F'), i32.ne(i32.wrap(r(s, 'R2')), i32.const(0))),
  },
  {
    name: 'getf',
    encoding: '00001011 F:2 .2 R1:4',
    operands: '{R1},{F}',
    meaning: (s) => setR(s, 'R1', i64.extendU(s.getAt(flags, s.field('F')))),
  },
  {
    name: 'help',
    encoding: '00001100 n:4 R2:4',
    operands: '{n},{R2}',
    split: ['n'],
    meaning: (s) => s.helper(HELPER.first + s.split('n'), s.field('R2'), i32.wrap(r(s, 'R2'))),
  },
  {
    name: 'inc',
    encoding: '00001101 R1:4 i:4',
    operands: '{R1},{i}',
    split: ['R1'],
    meaning(s) {
      const register = registers.slots[s.split('R1')];
      s.set(register, i64.add(s.get(register), i64.extendU(s.field('i'))));
      s.set(ticks, i32.add(s.get(ticks), i32.const(1)));
    },
  },
  {
    name: 'max',
    encoding: '00001110 R1:4 R2:4',
    operands: '{R1},{R2}',
    meaning(s) {
      const [a, b] = [s.let(r(s, 'R1')), s.let(r(s, 'R2'))];
      s.if(
        i64.ltS(a, b),
        () => setR(s, 'R1', b),
        () => s.set(ticks, i32.add(s.get(ticks), i32.const(1))),
      );
    },
  },
  // A flag made from flags, perhaps from its own old value.
  {
    name: 'nandf',
    encoding: '00001111 F:2 G:2 H:2 .2',
    operands: '{F},{G},{H}',
    meaning: (s) =>
      s.setAt(flags, s.field('F'), i32.eqz(i32.and(s.getAt(flags, s.field('G')), s.getAt(flags, s.field('H'))))),
  },
  {
    name: 'cmps',
    encoding: '00010000 R1:4 R2:4',
    operands: '{R1},{R2}',
    meaning(s) {
      const [a, b] = [s.let(r(s, 'R1')), s.let(r(s, 'R2'))];
      const conditions = [i64.eq(a, b), i64.ltS(a, b), i64.ltU(a, b), s.get(sticky)];
      flags.slots.forEach((flag, i) => {
        s.set(flag, conditions[i]);
      });
    },
  },
  {
    name: 'stick',
    encoding: '00010001 .4 R2:4',
    operands: '{R2}',
    meaning: (s) => s.set(sticky, i32.ne(i32.wrap(r(s, 'R2')), i32.const(0))),
  },
  {
    name: 'li',
    encoding: '01000000 R1:4 .4 I:16',
    operands: '{R1},{I}',
    meaning: (s) => setR(s, 'R1', signed(s, 'I')),
  },
  {
    name: 'addi',
    encoding: '01000001 R1:4 R2:4 I:16',
    operands: '{R1},{R2},{I}',
    meaning: (s) => setR(s, 'R1', i64.add(r(s, 'R2'), signed(s, 'I'))),
  },
  {
    name: 'ld',
    encoding: '010100 size:2 R1:4 B:4 D:16',
    operands: '{size},{R1},{D},{B}',
    split: ['size', 'B=0'],
    meaning: (s) => load(s, false),
  },
  {
    name: 'lds',
    encoding: '010101 size:2 R1:4 B:4 D:16',
    operands: '{size},{R1},{D},{B}',
    split: ['size', 'B=0'],
    meaning: (s) => load(s, true),
  },
  {
    name: 'st',
    encoding: '010110 size:2 R1:4 B:4 D:16',
    operands: '{size},{R1},{D},{B}',
    split: ['size', 'B=0'],
    meaning: (s) => s.store(effective(s), (1 << s.split('size')) as AccessSize, r(s, 'R1')),
  },
  {
    name: 'ld.1',
    encoding: '01011100 R1:4 B:4 D:16',
    operands: '{R1},{D},{B}',
    split: ['B=0'],
    meaning: (s) => setR(s, 'R1', s.load(effective(s), 8, { space: 1 })),
  },
  {
    name: 'st.1',
    encoding: '01011101 R1:4 B:4 D:16',
    operands: '{R1},{D},{B}',
    split: ['B=0'],
    meaning: (s) => s.store(effective(s), 8, r(s, 'R1'), { space: 1 }),
  },
  // Loads, then moves the base on: both registers keep their values where the access faults.
  {
    name: 'ldu',
    encoding: '01011110 R1:4 B:4 D:16',
    operands: '{R1},{D},{B}',
    meaning(s) {
      const address = s.let(i64.add(r(s, 'B'), signed(s, 'D')));
      const value = s.load(truncated(s, address), 8);
      setR(s, 'B', address);
      setR(s, 'R1', value);
    },
  },
  // Little-endian, against the mode.
  {
    name: 'lrv',
    encoding: '01011111 size:2 .2 R1:4 B:4 D:12',
    operands: '{size},{R1},{D},{B}',
    split: ['size', 'B=0'],
    meaning: (s) => setR(s, 'R1', s.load(effective(s), (1 << s.split('size')) as AccessSize, { bigEndian: false })),
  },
  {
    name: 'bc',
    encoding: '1000000 N:1 mask:4 .4 disp:16',
    operands: '{N},{mask},{disp}',
    split: ['N', 'mask'],
    meaning: (s) => s.jump(relative(s, signed(s, 'disp')), { condition: condition(s), how: 'direct' }),
  },
  {
    name: 'bal',
    encoding: '10000010 R1:4 .4 disp:16',
    operands: '{R1},{disp}',
    meaning(s) {
      link(s);
      s.jump(relative(s, signed(s, 'disp')), { how: 'direct', call: true });
    },
  },
  {
    name: 'ex',
    encoding: '10000100 R1:4 B:4 D:16',
    operands: '{R1},{D},{B}',
    split: ['B=0'],
    meaning(s) {
      const text = executed(s);
      const first = s.let(i64.shrU(text, i64.const(57)));
      s.if(i64.eq(first, i64.const(0b1000010)), () => s.trap(TRAP.execute));
      s.execute(text);
    },
  },
  // The same without a look at what it executes.
  {
    name: 'exx',
    encoding: '10000101 R1:4 B:4 D:16',
    operands: '{R1},{D},{B}',
    split: ['B=0'],
    meaning: (s) => s.execute(executed(s)),
  },
  {
    name: 'move',
    encoding: '11000000 L:8 B1:4 D1:12 B2:4 D2:12',
    operands: '{L},{D1},{B1},{D2},{B2}',
    meaning: (s) =>
      s.helper(
        HELPER.move,
        i32.or(i32.shl(s.field('L'), i32.const(16)), i32.or(i32.shl(s.field('B1'), i32.const(12)), s.field('D1'))),
        i32.or(i32.shl(s.field('B2'), i32.const(12)), s.field('D2')),
      ),
  },
  {
    name: 'lgi',
    encoding: '11000001 R1:4 .4 hi:16 lo:16',
    operands: '{R1},{hi},{lo}',
    meaning: (s) => setR(s, 'R1', longImmediate(s)),
  },
  {
    name: 'ball',
    encoding: '11000010 R1:4 .4 hi:16 lo:16',
    operands: '{R1},{hi},{lo}',
    meaning(s) {
      link(s);
      s.jump(relative(s, longImmediate(s)), { how: 'direct', call: true });
    },
  },
  // The last byte says what to do, as in many instructions of z/Architecture.
  {
    name: 'addq',
    encoding: '11000100 R1:4 R2:4 I:16 .8 00000001',
    operands: '{R1},{R2},{I}',
    meaning: (s) => setR(s, 'R1', i64.add(r(s, 'R2'), signed(s, 'I'))),
  },
  {
    name: 'subq',
    encoding: '11000100 R1:4 R2:4 I:16 .8 00000010',
    operands: '{R1},{R2},{I}',
    meaning: (s) => setR(s, 'R1', i64.sub(r(s, 'R2'), signed(s, 'I'))),
  },
  // Compares with an immediate and branches: the condition reads a register, not flags.
  {
    name: 'cjne',
    encoding: '11000011 R1:4 .4 disp:16 I:16',
    operands: '{R1},{I},{disp}',
    meaning: (s) =>
      s.jump(relative(s, signed(s, 'disp')), { condition: i64.ne(r(s, 'R1'), signed(s, 'I')), how: 'direct' }),
  },
];

const LENGTHS = [2, 4, 4, 6] as const;

export function toyLength(firstHalfword: number): 2 | 4 | 6 {
  return LENGTHS[firstHalfword >>> 14] as 2 | 4 | 6;
}

export const toyIsa = new InstructionSet(
  DEFINITIONS.map((d) => new Instruction(d)),
  2,
  toyLength,
);

const byName = new Map(toyIsa.instructions.map((i) => [i.name, i]));

/** The bytes of one instruction. */
export function encode(name: string, fields: Record<string, number>): number[] {
  const instruction = byName.get(name);
  if (instruction === undefined) throw new Error(`the toy has no instruction ${name}`);
  const { length, value, tailValue } = instruction.pattern;
  const headBytes = Math.min(length, 4);
  let all = (BigInt(value) << BigInt((length - headBytes) * 8)) | BigInt(tailValue);
  for (const [field, v] of Object.entries(fields)) {
    const { shift, width } = instruction.field(field);
    const fromLast = shift >= 32 ? shift - 32 : shift + (length - headBytes) * 8;
    all |= BigInt.asUintN(width, BigInt(v)) << BigInt(fromLast);
  }
  return Array.from({ length }, (_, i) => Number((all >> BigInt((length - 1 - i) * 8)) & 0xffn));
}

/** Assembled bytes and where its labels are. */
export interface Program {
  readonly origin: number;
  readonly bytes: number[];
  readonly at: Record<string, number>;
}

/**
 * A small assembler: one instruction a line, `name operand,operand`, labels end in a colon, `.half n` and `.skip n` make data. An operand
 * may be a label: in a `disp` field it is the distance in halfwords, elsewhere its address.
 */
export function assemble(origin: number, text: string): Program {
  const lines = text
    .split('\n')
    .map((line) => line.replace(/;.*/, '').trim())
    .filter((line) => line !== '');
  const at: Record<string, number> = {};
  const pass = (): number[] => {
    const bytes: number[] = [];
    for (const line of lines) {
      const here = origin + bytes.length;
      if (line.endsWith(':')) {
        at[line.slice(0, -1)] = here;
        continue;
      }
      const [name, ...rest] = line.split(/\s+/);
      const operands = rest
        .join('')
        .split(',')
        .filter((o) => o !== '');
      const numbers = operands.map((o) => (/^-?\d/.test(o) ? Number(o) : (at[o] ?? here)));
      if (name === '.half') bytes.push(...numbers.flatMap((n) => [(n >> 8) & 0xff, n & 0xff]));
      else if (name === '.skip') bytes.push(...new Array<number>(numbers[0]).fill(0));
      else {
        const fields = [...(byName.get(name)?.operands.matchAll(/\{(\w+)\}/g) ?? [])].map((m) => m[1]);
        if (fields.length !== operands.length) throw new Error(`wrong operands: ${line}`);
        const value = (f: string, i: number): number =>
          f === 'disp' && operands[i] in at ? (numbers[i] - here) / 2 : numbers[i];
        bytes.push(...encode(name, Object.fromEntries(fields.map((f, i) => [f, value(f, i)]))));
      }
    }
    return bytes;
  };
  pass();
  return { origin, bytes: pass(), at };
}
