import type { PowerInstruction } from './common.ts';
import { crBitName, disassembleBranch } from './disassemble-branch.ts';
import {
  ALIASES,
  type Alias,
  bound,
  type FieldName,
  type Fields,
  fieldsOf,
  INVALID_FORMS,
  SPR_MNEMONICS,
  SPR_SERIES,
  sh,
} from './disassembly-aliases.ts';
import { powerIsa } from './index.ts';
import { TRANSACTIONAL } from './transactional.ts';
import { VECTOR } from './vector.ts';

/** Coarse patterns: we know the facility, not the instruction. */
const WITHOUT_TEXT: ReadonlySet<PowerInstruction> = new Set([...TRANSACTIONAL, ...VECTOR]);

/** Storage access and isel: RA=0 is no register, and is written so. */
const TAKES_ZERO = /^(l|st|dcb|icb|isel)/;

const aliasesOf = new Map<string, Alias[]>();
for (const alias of ALIASES) {
  const list = aliasesOf.get(alias.of);
  if (list === undefined) aliasesOf.set(alias.of, [alias]);
  else list.push(alias);
}

type Writer = (f: Fields) => string;
const each = <N extends FieldName>(names: readonly N[], write: (name: N) => Writer): Record<string, Writer> =>
  Object.fromEntries(names.map((name) => [name, write(name)]));
const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

/** How operands are written, by their names in braces. RA is apart: it depends on the instruction. */
const OPERANDS: Readonly<Record<string, Writer>> = {
  ...each(['RT', 'RS', 'RB', 'RC'], (name) => (f) => `r${f(name)}`),
  ...each(['FRT', 'FRS', 'FRA', 'FRB', 'FRC'], (name) => (f) => `f${f(name)}`),
  ...each(['BF', 'BFA'], (name) => (f) => `cr${f(name)}`),
  ...each(['BT', 'BA', 'BB', 'BC'], (name) => (f) => crBitName(f(name))),
  ...each(
    ['UI', 'SH', 'MB', 'ME', 'FXM', 'TO', 'L', 'LA', 'LEV', 'TH', 'CT', 'IH', 'EH', 'FC'],
    (name) => (f) => `${f(name)}`,
  ),
  ...each(['RIC', 'PRS', 'R', 'FLM', 'U', 'W', 'LF', 'RM', 'DRM'], (name) => (f) => `${f(name)}`),
  ...each(['RTp', 'RSp'], (name) => (f) => `r${2 * f(name)}`),
  'BF#': (f) => `${f('BF')}`,
  'BT#': (f) => `${f('BT')}`,
  /** CR field 0 is left out. */
  'BF?': (f) => (f('BF') === 0 ? '' : `cr${f('BF')},`),
  SI: (f) => `${signed(f('SI'), 16)}`,
  D: (f) => `${signed(f('D'), 16)}`,
  DS: (f) => `${signed(f('DS'), 14) * 4}`,
  DQ: (f) => `${signed(f('DQ'), 12) * 16}`,
  DX: (f) => `${(signed(f('d0'), 10) << 6) | (f('d1') << 1) | f('d2')}`,
  /** 0 stands for 32 bytes. */
  NB: (f) => `${f('NB') === 0 ? 32 : f('NB')}`,
  sh: (f) => `${sh(f)}`,
  mb: (f) => `${bound(f)}`,
  me: (f) => `${bound(f)}`,
  '31-ME': (f) => `${31 - f('ME')}`,
  '63-me': (f) => `${63 - bound(f)}`,
};

/**
 * The instruction as GNU objdump writes it (binutils 2.40, `-M power9`), with extended mnemonics; mnemonic and operands stand one space
 * apart. What is no instruction, and an invalid form that the assembler refuses, is `.long` and the word.
 *
 * @param word the instruction as a number, its first bit (bit 0 of the ISA) the highest
 * @param pc its address, for branch targets
 */
export function disassemble(word: number, pc: bigint): string {
  const instruction = powerIsa.decode(word >>> 0, 0);
  const text = instruction === undefined ? null : textOf(instruction, word >>> 0, pc);
  return text ?? `.long 0x${(word >>> 0).toString(16)}`;
}

function textOf(instruction: PowerInstruction, word: number, pc: bigint): string | null {
  const branch = disassembleBranch(word, pc);
  if (branch !== undefined) return branch;
  if (WITHOUT_TEXT.has(instruction)) return null;
  const { name } = instruction;
  const f = fieldsOf(word);
  if (INVALID_FORMS.get(name)?.(f) === true) return null;
  if (name === 'mfspr' || name === 'mtspr') return sprMove(name, f);
  const alias = aliasesOf.get(name)?.find(({ when }) => when(f));
  const mnemonic = (alias?.as ?? name) + suffixes(instruction, f);
  return `${mnemonic} ${fill(name, alias?.operands ?? instruction.operands, f)}`.trimEnd();
}

/** `o` and `.` of instructions that set XER[OV] and CR0 on demand. */
function suffixes({ pattern: { fields } }: PowerInstruction, f: Fields): string {
  const overflow = fields.has('OE') && f('OE') === 1 ? 'o' : '';
  return overflow + (fields.has('Rc') && f('Rc') === 1 ? '.' : '');
}

function fill(name: string, operands: string, f: Fields): string {
  return operands.replace(/\{([^}]+)\}/g, (_, operand: string) => {
    if (operand === 'RA') return f('RA') === 0 && TAKES_ZERO.test(name) ? '0' : `r${f('RA')}`;
    const write = OPERANDS[operand];
    if (write === undefined) throw new Error(`${name}: nothing says how to write operand ${operand}`);
    return write(f);
  });
}

function sprMove(name: 'mfspr' | 'mtspr', f: Fields): string {
  const reads = name === 'mfspr';
  const register = `r${f('RT')}`;
  const number = f('sprLow') | (f('sprHigh') << 5);
  const stem = reads ? 'mf' : 'mt';
  const ordered = (spr: number): string => (reads ? `${register},${spr}` : `${spr},${register}`);
  const known = SPR_MNEMONICS.get(number);
  if (known !== undefined && (reads ? known.read : known.write)) return `${stem}${known.name} ${register}`;
  for (const [series, first, count, step] of SPR_SERIES) {
    const index = (number - first) / step;
    if (Number.isInteger(index) && index >= 0 && index < count) return `${stem}${series} ${ordered(index)}`;
  }
  return `${name} ${ordered(number)}`;
}
