/**
 * Preferred forms of A64 instructions (Arm ARM, C6.2: "alias conditions"), in the order in which they are tried. Names of fields are those of the
 * definitions.
 */

export type Fields = (name: string) => number;

/** Another way to write an instruction. */
export interface Alias {
  /** Mnemonics of the definitions it stands for. */
  readonly of: readonly string[];
  /** Whether it is preferred for these fields; `wide` is whether the operation is of 64 bits. */
  readonly when: (f: Fields, wide: boolean, has: (field: string) => boolean) => boolean;
  readonly name: string | ((name: string) => string);
  /** Operands; `undefined`: those of the definition without the operand that is named in `without`. */
  readonly operands?: string;
  readonly without?: string;
}

const ZERO = 31;
const AL = 14;
const last = (wide: boolean): number => (wide ? 63 : 31);

/** Whether MOVZ or MOVN could make the value of a logical immediate: then ORR is not written as a move (`MoveWidePreferred`). */
export function moveWidePreferred(value: bigint, wide: boolean): boolean {
  const width = wide ? 64 : 32;
  const all = (1n << BigInt(width)) - 1n;
  for (let hw = 0; hw < width; hw += 16) {
    const field = 0xffffn << BigInt(hw);
    if ((value & ~field) === 0n || (~value & all & ~field) === 0n) return true;
  }
  return false;
}

const SHIFTED = '{Rd},{Rm}{shift?}';

export const ALIASES: readonly Alias[] = [
  {
    of: ['add'],
    when: (f, _, has) => has('imm12') && f('sh') === 0 && f('imm12') === 0 && (f('Rd') === ZERO || f('Rn') === ZERO),
    name: 'mov',
    operands: '{Rd|sp},{Rn|sp}',
  },
  { of: ['adds'], when: (f, _, has) => f('Rd') === ZERO && !isCarry(has), name: 'cmn', without: '{Rd},' },
  { of: ['subs'], when: (f, _, has) => f('Rd') === ZERO && !isCarry(has), name: 'cmp', without: '{Rd},' },
  { of: ['sub'], when: (f, _, has) => has('shift') && f('Rn') === ZERO, name: 'neg', operands: SHIFTED },
  { of: ['subs'], when: (f, _, has) => has('shift') && f('Rn') === ZERO, name: 'negs', operands: SHIFTED },
  { of: ['sbc', 'sbcs'], when: (f) => f('Rn') === ZERO, name: (n) => n.replace('sb', 'ng'), operands: '{Rd},{Rm}' },
  {
    of: ['orr'],
    when: (f, _, has) => has('shift') && f('Rn') === ZERO && f('shift') === 0 && f('imm6') === 0,
    name: 'mov',
    operands: '{Rd},{Rm}',
  },
  { of: ['orn'], when: (f, _, has) => has('shift') && f('Rn') === ZERO, name: 'mvn', operands: SHIFTED },
  {
    of: ['orr'],
    when: (f, _, has) => has('Q') && f('Rn') === f('Rm') && has('Rn'),
    name: 'mov',
    operands: '{Vd.b},{Vn.b}',
  },
  { of: ['ands'], when: (f) => f('Rd') === ZERO, name: 'tst', without: '{Rd},' },
  {
    of: ['movz'],
    when: (f) => f('imm16') !== 0 || f('hw') === 0,
    name: 'mov',
    operands: '{Rd},{movz}',
  },
  {
    of: ['movn'],
    when: (f, wide) => (f('imm16') !== 0 || f('hw') === 0) && (wide || f('imm16') !== 0xffff),
    name: 'mov',
    operands: '{Rd},{movn}',
  },
  { of: ['sbfm'], when: (f, wide) => f('imms') === last(wide), name: 'asr', operands: '{Rd},{Rn},{immr}' },
  { of: ['sbfm'], when: (f) => f('immr') === 0 && f('imms') === 7, name: 'sxtb', operands: '{Rd},{Wn}' },
  { of: ['sbfm'], when: (f) => f('immr') === 0 && f('imms') === 15, name: 'sxth', operands: '{Rd},{Wn}' },
  { of: ['sbfm'], when: (f, wide) => wide && f('immr') === 0 && f('imms') === 31, name: 'sxtw', operands: '{Xd},{Wn}' },
  { of: ['ubfm'], when: (f, wide) => f('imms') === last(wide), name: 'lsr', operands: '{Rd},{Rn},{immr}' },
  {
    of: ['ubfm'],
    when: (f, wide) => f('imms') !== last(wide) && f('imms') + 1 === f('immr'),
    name: 'lsl',
    operands: '{Rd},{Rn},{left}',
  },
  { of: ['ubfm'], when: (f, wide) => !wide && f('immr') === 0 && f('imms') === 7, name: 'uxtb', operands: '{Wd},{Wn}' },
  {
    of: ['ubfm'],
    when: (f, wide) => !wide && f('immr') === 0 && f('imms') === 15,
    name: 'uxth',
    operands: '{Wd},{Wn}',
  },
  {
    of: ['sbfm', 'ubfm'],
    when: (f) => f('imms') < f('immr'),
    name: (n) => n.replace('fm', 'fiz'),
    operands: '{Rd},{Rn},{left},{inserted}',
  },
  { of: ['sbfm', 'ubfm'], when: () => true, name: (n) => n.replace('fm', 'fx'), operands: '{Rd},{Rn},{immr},{taken}' },
  {
    of: ['bfm'],
    when: (f) => f('imms') < f('immr') && f('Rn') === ZERO,
    name: 'bfc',
    operands: '{Rd},{left},{inserted}',
  },
  { of: ['bfm'], when: (f) => f('imms') < f('immr'), name: 'bfi', operands: '{Rd},{Rn},{left},{inserted}' },
  { of: ['bfm'], when: () => true, name: 'bfxil', operands: '{Rd},{Rn},{immr},{taken}' },
  { of: ['lslv', 'lsrv', 'asrv', 'rorv'], when: () => true, name: (n) => n.slice(0, -1) },
  { of: ['extr'], when: (f) => f('Rn') === f('Rm'), name: 'ror', operands: '{Rd},{Rn},{imms}' },
  { of: ['madd'], when: (f) => f('Ra') === ZERO, name: 'mul', without: ',{Ra}' },
  { of: ['msub'], when: (f) => f('Ra') === ZERO, name: 'mneg', without: ',{Ra}' },
  { of: ['smaddl', 'umaddl'], when: (f) => f('Ra') === ZERO, name: (n) => `${n[0]}mull`, without: ',{Xa}' },
  { of: ['smsubl', 'umsubl'], when: (f) => f('Ra') === ZERO, name: (n) => `${n[0]}mnegl`, without: ',{Xa}' },
  {
    of: ['csinc', 'csinv'],
    when: (f) => f('Rn') === ZERO && f('Rm') === ZERO && f('cond') < AL,
    name: (n) => (n === 'csinc' ? 'cset' : 'csetm'),
    operands: '{Rd},{opposite}',
  },
  {
    of: ['csinc', 'csinv', 'csneg'],
    when: (f) => f('Rn') === f('Rm') && f('cond') < AL,
    name: (n) => n.replace('cs', 'c'),
    operands: '{Rd},{Rn},{opposite}',
  },
];

/** ADC and its kind have neither an immediate nor a shift. */
function isCarry(has: (field: string) => boolean): boolean {
  return !has('imm12') && !has('shift') && !has('option');
}
