import { extractField } from '../../engine/pattern.ts';
import { decodeBitMask } from './bit-masks.ts';
import type { ArmInstruction } from './common.ts';
import { ALIASES, type Fields, moveWidePreferred } from './disassembly-aliases.ts';
import {
  BARRIERS,
  CONDITIONS,
  EXTENSIONS,
  HINTS,
  operationOf,
  PSTATE_FIELDS,
  prefetchName,
  SHIFTS,
} from './disassembly-names.ts';
import { armIsa } from './index.ts';

/** Name of a system register by its encoding `op0:op1:CRn:CRm:op2` (16 bits), in capitals; undefined where it has none. */
export type SystemRegisterName = (encoding: number) => string | undefined;

const ZERO = 31;
/** Loads and stores: the bit of those on V registers, and among them the one of quadwords. */
const ON_VECTORS = 1 << 26;
const QUADWORD = 1 << 23;
/** Pairs: the bit that tells post- and pre-indexed forms from the others. */
const WRITES_BACK = 1 << 23;
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);
const hex = (value: bigint | number): string => `#0x${value.toString(16)}`;

/** One instruction that is being written. */
interface Subject {
  readonly name: string;
  readonly word: number;
  readonly pc: bigint;
  readonly wide: boolean;
  readonly f: Fields;
  readonly has: (field: string) => boolean;
  readonly registerName: SystemRegisterName;
}

/**
 * The text of an instruction as binutils writes it, in its preferred form, with one space behind the mnemonic and without comments.
 * @param word the instruction
 * @param pc its address, for relative operands
 * @param registerName names system registers; those it does not know are written by their numbers
 */
export function disassemble(word: number, pc: bigint, registerName: SystemRegisterName = () => undefined): string {
  const instruction = armIsa.decode(word >>> 0, 0) as ArmInstruction | undefined;
  const undefinedText = `.inst 0x${(word >>> 0).toString(16).padStart(8, '0')} ; undefined`;
  if (instruction === undefined) return undefinedText;
  const { fields } = instruction.pattern;
  const has = (field: string): boolean => fields.has(field);
  const f: Fields = (name) => (has(name) ? extractField(instruction.field(name), word >>> 0, 0) : 0);
  const subject: Subject = { name: instruction.name, word, pc, wide: word >>> 31 === 1, f, has, registerName };
  if (RESERVED.some((reserved) => reserved(subject))) return undefinedText;
  const special = SPECIAL[instruction.name]?.(subject);
  if (special !== undefined) return special;
  const { name, operands } = preferred(subject, instruction.operands);
  return `${name} ${write(subject, operands)}`.trimEnd();
}

/** Forms that are not allocated, though the definition's pattern matches them. */
const RESERVED: readonly ((s: Subject) => boolean)[] = [
  ({ name, f, has }) => /^(add|sub)s?$/.test(name) && has('shift') && f('shift') === 3,
  ({ f, has }) => has('imm3') && f('imm3') > 4,
  ({ f, has, wide }) => has('N') && has('immr') && decodeBitMask(f('N'), f('immr'), f('imms'), wide) === null,
  ({ f, has, wide }) => has('hw') && !wide && f('hw') > 1,
  ({ name, f, wide }) => name === 'extr' && (wide !== (f('N') === 1) || (!wide && f('imms') > 31)),
  ({ f, has }) => has('S') && (f('option') & 2) === 0,
  // Unpredictable ones, which binutils takes for no instructions.
  ({ name, f }) => name === 'ldpsw' && f('Rt') === f('Rt2'),
  ({ name, f, word }) =>
    name === 'ldpsw' && (word & WRITES_BACK) !== 0 && f('Rn') !== ZERO && [f('Rt'), f('Rt2')].includes(f('Rn')),
  ({ name, f }) => name.startsWith('casp') && ((f('Rs') | f('Rt')) & 1) === 1,
];

function preferred(s: Subject, operands: string): { readonly name: string; readonly operands: string } {
  if (s.name === 'orr' && s.has('N') && s.f('Rn') === ZERO) {
    const value = decodeBitMask(s.f('N'), s.f('immr'), s.f('imms'), s.wide) as bigint;
    // Binutils does not ask where the stack pointer is the target, which wide moves cannot write.
    if (s.f('Rd') === ZERO || !moveWidePreferred(value, s.wide)) return { name: 'mov', operands: '{Rd|sp},{mask}' };
  }
  const store = /^ld(add|clr|eor|set|[su]max|[su]min)(l?)([bh]?)$/.exec(s.name);
  if (store !== null && s.f('Rt') === ZERO) {
    return { name: s.name.replace('ld', 'st'), operands: operands.replace(/,\{[WX]t\}/, '') };
  }
  const alias = ALIASES.find(({ of, when }) => of.includes(s.name) && when(s.f, s.wide, s.has));
  if (alias === undefined) return { name: s.name, operands };
  const name = typeof alias.name === 'string' ? alias.name : alias.name(s.name);
  return { name, operands: alias.operands ?? operands.replace(alias.without ?? '', '') };
}

/** Instructions whose text does not follow their operands. */
const SPECIAL: Readonly<Record<string, (s: Subject) => string | undefined>> = {
  'b.': ({ f, pc }) => `b.${CONDITIONS[f('cond')]} ${address(pc, f('imm19'), 19)}`,
  ret: ({ f }) => (f('Rn') === 30 ? 'ret' : undefined),
  hint: ({ f }) => HINTS[(f('CRm') << 3) | f('op2')] ?? `hint ${hex((f('CRm') << 3) | f('op2'))}`,
  dsb: ({ f }) =>
    ({ 0: 'ssbb', 4: 'pssbb' })[f('CRm')] ??
    `dsb ${BARRIERS[f('CRm')] ?? `#0x${f('CRm').toString(16).padStart(2, '0')}`}`,
  dmb: ({ f }) => `dmb ${BARRIERS[f('CRm')] ?? `#0x${f('CRm').toString(16).padStart(2, '0')}`}`,
  isb: ({ f }) => (f('CRm') === 15 ? 'isb' : `isb ${hex(f('CRm'))}`),
  clrex: ({ f }) => (f('CRm') === 15 ? 'clrex' : `clrex ${hex(f('CRm'))}`),
  sys: (s) => {
    const { f } = s;
    const operation = operationOf(f('op1'), f('CRn'), f('CRm'), f('op2'));
    const register = `x${f('Rt')}`;
    if (operation !== undefined && (operation.register || f('Rt') === ZERO)) {
      return operation.register ? `${operation.name}, ${f('Rt') === ZERO ? 'xzr' : register}` : operation.name;
    }
    const numbers = `#${f('op1')}, C${f('CRn')}, C${f('CRm')}, #${f('op2')}`;
    return f('Rt') === ZERO ? `sys ${numbers}` : `sys ${numbers}, ${register}`;
  },
  sysl: ({ f }) => `sysl ${generalRegister(f('Rt'), true)}, #${f('op1')}, C${f('CRn')}, C${f('CRm')}, #${f('op2')}`,
  msr: (s) => {
    const field = s.has('Rt') ? undefined : PSTATE_FIELDS.get((s.f('op1') << 3) | s.f('op2'));
    if (s.has('Rt')) return undefined;
    if (field !== undefined && s.f('CRm') <= field[1]) return `msr ${field[0]}, ${hex(s.f('CRm'))}`;
    return `msr s0_${s.f('op1')}_c4_c${s.f('CRm')}_${s.f('op2')}, xzr`;
  },
};

function generalRegister(number: number, wide: boolean, stack = false): string {
  const prefix = wide ? 'x' : 'w';
  if (number !== ZERO) return `${prefix}${number}`;
  if (stack) return wide ? 'sp' : 'wsp';
  return `${prefix}zr`;
}

function address(pc: bigint, field: number, width: number): string {
  return `0x${BigInt.asUintN(64, pc + BigInt(signed(field, width)) * 4n).toString(16)}`;
}

/** VFPExpandImm as a number. */
function floatImmediate(imm: number): number {
  const exponent = ((imm >> 4) & 3) - ((imm & 0x40) !== 0 ? 3 : -1);
  return (imm & 0x80 ? -1 : 1) * (1 + (imm & 15) / 16) * 2 ** exponent;
}

/** log2 of the bytes that the offset of a load or store counts in. */
function scaleOf({ name, word, has }: Subject): number {
  if ((word & ON_VECTORS) !== 0) {
    if (has('imm7')) return 2 + (word >>> 30);
    return (word & QUADWORD) !== 0 ? 4 : word >>> 30;
  }
  if (!has('imm7')) return name.startsWith('prf') ? 3 : (word >>> 30) & 3;
  return name === 'ldpsw' || word >>> 31 === 0 ? 2 : 3;
}

/** Operands that are no plain registers, by the text in braces; an empty one leaves no comma behind. */
const OPERANDS: Readonly<Record<string, (s: Subject) => string>> = {
  imm12: ({ f }) => hex(f('imm12')),
  'sh?': ({ f }) => (f('sh') === 1 ? ', lsl #12' : ''),
  'shift?': ({ f }) => (f('shift') === 0 && f('imm6') === 0 ? '' : `, ${SHIFTS[f('shift')]} #${f('imm6')}`),
  'extend?': ({ name, f, wide }) => {
    const stack = f('Rn') === ZERO || (!name.endsWith('s') && f('Rd') === ZERO);
    const amount = f('imm3') === 0 ? '' : ` #${f('imm3')}`;
    if (!stack || f('option') !== (wide ? 3 : 2)) return `, ${EXTENSIONS[f('option')]}${amount}`;
    return amount === '' ? '' : `, lsl${amount}`;
  },
  mask: ({ f, wide }) => hex(decodeBitMask(f('N'), f('immr'), f('imms'), wide) as bigint),
  immr: ({ f }) => `#${f('immr')}`,
  imms: ({ f }) => `#${f('imms')}`,
  left: ({ f, wide }) => `#${-f('immr') & (wide ? 63 : 31)}`,
  inserted: ({ f }) => `#${f('imms') + 1}`,
  taken: ({ f }) => `#${f('imms') - f('immr') + 1}`,
  imm16: ({ f }) => hex(f('imm16')),
  'imm16#': ({ name, f }) => (name === 'udf' ? `#${f('imm16')}` : hex(f('imm16'))),
  'hw?': ({ f }) => (f('hw') === 0 ? '' : `, lsl #${f('hw') * 16}`),
  movz: ({ f }) => hex(BigInt(f('imm16')) << BigInt(f('hw') * 16)),
  movn: ({ f, wide }) => hex(BigInt.asUintN(wide ? 64 : 32, ~(BigInt(f('imm16')) << BigInt(f('hw') * 16)))),
  cond: ({ f }) => CONDITIONS[f('cond')] as string,
  opposite: ({ f }) => CONDITIONS[f('cond') ^ 1] as string,
  nzcv: ({ f }) => hex(f('nzcv')),
  imm8: ({ f }) => scientific(floatImmediate(f('imm8'))),
  imm8v: vectorImmediate,
  zero: () => '#0.0',
  fbits: ({ f, word }) => `#${word >>> 31 === 1 ? 64 - f('scale') : 32 - f('scale')}`,
  imm5: ({ f }) => hex(f('imm5')),
  imm19: ({ f, pc }) => address(pc, f('imm19'), 19),
  imm26: ({ f, pc }) => address(pc, f('imm26'), 26),
  imm14: ({ f, pc }) => address(pc, f('imm14'), 14),
  b40: ({ f }) => `#${(f('b5') << 5) | f('b40')}`,
  'immhi:immlo': ({ name, f, pc }) => {
    const offset = BigInt(signed((f('immhi') << 2) | f('immlo'), 21));
    const target = name === 'adr' ? pc + offset : (pc & ~0xfffn) + offset * 4096n;
    return `0x${BigInt.asUintN(64, target).toString(16)}`;
  },
  'imm12?': (s) => (s.f('imm12') === 0 ? '' : `, #${s.f('imm12') << scaleOf(s)}`),
  imm9: ({ f }) => `#${signed(f('imm9'), 9)}`,
  'imm9?': ({ f }) => (f('imm9') === 0 ? '' : `, #${signed(f('imm9'), 9)}`),
  imm7: (s) => `#${signed(s.f('imm7'), 7) << scaleOf(s)}`,
  'imm7?': (s) => (s.f('imm7') === 0 ? '' : `, #${signed(s.f('imm7'), 7) << scaleOf(s)}`),
  'Rm:option': ({ f, wide, has }) => generalRegister(f('Rm'), (f('option') & 3) === 3 && (wide || has('S'))),
  'S?': (s) => {
    const amount = s.f('S') === 1 ? ` #${scaleOf(s)}` : '';
    if (s.f('option') !== 3) return `, ${EXTENSIONS[s.f('option')]}${amount}`;
    return amount === '' ? '' : `, lsl${amount}`;
  },
  prfop: ({ f }) => prefetchName(f('Rt')) ?? `#0x${f('Rt').toString(16).padStart(2, '0')}`,
  sysreg: ({ word, registerName }) => {
    const op0 = (word >>> 19) & 3;
    const numbers = `s${op0}_${(word >>> 16) & 7}_c${(word >>> 12) & 15}_c${(word >>> 8) & 15}_${(word >>> 5) & 7}`;
    return registerName((word >>> 5) & 0xffff)?.toLowerCase() ?? numbers;
  },
};

const REGISTER = /^([RWXBHSDQV])([a-z]\d?)(\|sp)?(\+1)?(:b5)?(\?)?(\.d\[1\]|\.b|\.i)?$/;

/** Op, cmode and Q of an instruction with an immediate for a vector. */
const immediateForm = (word: number): { op: number; cmode: number; q: number } => ({
  op: (word >>> 29) & 1,
  cmode: (word >>> 12) & 15,
  q: (word >>> 30) & 1,
});

/** Lanes of a vector operand: bytes, or as the immediate is repeated. */
function arrangement(element: string, word: number): string {
  const { op, cmode, q } = immediateForm(word);
  const bytes =
    element === '.b' || (cmode === 14 && op === 0) ? 1 : cmode >= 8 && cmode < 12 ? 2 : cmode >= 14 && op === 1 ? 8 : 4;
  return `.${(q === 1 ? 16 : 8) / bytes}${'bhsd'[Math.log2(bytes)]}`;
}

/** The immediate of a vector instruction, and how it is shifted. */
function vectorImmediate({ f, word }: Subject): string {
  const imm = (f('abc') << 5) | f('defgh');
  const { op, cmode } = immediateForm(word);
  if (cmode === 15) return scientific(floatImmediate(imm));
  if (cmode === 14 && op === 1) {
    const bytes = Array.from({ length: 8 }, (_, n) => ((imm >> n) & 1 ? 0xffn << BigInt(8 * n) : 0n));
    return hex(bytes.reduce((sum, byte) => sum | byte));
  }
  const amount = cmode === 14 ? 0 : cmode >= 12 ? 8 << (cmode & 1) : 8 * ((cmode >> 1) & (cmode < 8 ? 3 : 1));
  return `${hex(imm)}${amount === 0 ? '' : `, ${cmode >= 12 ? 'msl' : 'lsl'} #${amount}`}`;
}

const scientific = (value: number): string => `#${value.toExponential(18).replace(/e(.)(.)$/, 'e$10$2')}`;

function operand(s: Subject, token: string): string {
  const writer = OPERANDS[token];
  if (writer !== undefined) return writer(s);
  const match = REGISTER.exec(token);
  if (match === null) throw new Error(`${s.name}: no way to write ${token}`);
  const [, kind, field, stack, next, , , element = ''] = match;
  const number = s.f(`R${field}`) + (next === undefined ? 0 : 1);
  if (element === '.b' || element === '.i') {
    const { op, cmode, q } = immediateForm(s.word);
    // MOVI of a doubleword names it as a scalar.
    if (element === '.i' && op === 1 && cmode === 14 && q === 0) return `d${number}`;
    return `v${number}${arrangement(element, s.word)}`;
  }
  if (!'RWX'.includes(kind as string)) return `${kind?.toLowerCase()}${number}${element}`;
  return generalRegister(number, kind === 'R' ? s.wide : kind === 'X', stack !== undefined);
}

function write(s: Subject, operands: string): string {
  return operands.replaceAll(',', ', ').replace(/\{([^}]+)\}/g, (_, token: string) => operand(s, token));
}
