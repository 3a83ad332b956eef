import { type Fields, fieldsOf } from './disassembly-aliases.ts';

/** Branch mnemonics (Power ISA 3.0B, book I, 2.4 and appendix C.2). */

/** Bits of BO. */
const IGNORE_CONDITION = 0x10;
const CONDITION_VALUE = 0x08;
const KEEP_CTR = 0x04;
const CTR_ZERO = 0x02;
const ALWAYS = 0x14;

/** Conditions by BO's condition value and the bit within a CR field. */
const CONDITIONS = [
  ['ge', 'le', 'ne', 'ns'],
  ['lt', 'gt', 'eq', 'so'],
] as const;

/** Where a conditional branch goes: what the mnemonic says of it. */
type Target = '' | 'lr' | 'ctr' | 'tar';

/** Targets of XL form by extended opcode. */
const REGISTERS: ReadonlyMap<number, Target> = new Map([
  [16, 'lr'],
  [528, 'ctr'],
  [560, 'tar'],
]);

/** The two bits of BO that hint at the outcome, where the branch has them: whether they are used, and what they say. */
function hint(bo: number): { readonly given: boolean; readonly taken: boolean } {
  const taken = (bo & 1) !== 0;
  if ((bo & ALWAYS) === KEEP_CTR) return { given: (bo & 2) !== 0, taken };
  if ((bo & ALWAYS) === IGNORE_CONDITION) return { given: (bo & 8) !== 0, taken };
  return { given: false, taken };
}

/** Whether BO has a reserved value. */
function reserved(bo: number): boolean {
  if ((bo & ALWAYS) === ALWAYS) return bo !== ALWAYS;
  return (bo & 1) !== 0 && !hint(bo).given;
}

/** A CR bit: `eq`, `4*cr1+eq`. */
export function crBitName(bit: number): string {
  const name = ['lt', 'gt', 'eq', 'so'][bit & 3] as string;
  return bit < 4 ? name : `4*cr${bit >> 2}+${name}`;
}

/** An address as objdump writes it. */
export function addressText(address: bigint): string {
  return `0x${BigInt.asUintN(64, address).toString(16)}`;
}

/** Objdump shows the low word of an absolute target. */
function target(f: Fields, field: 'LI' | 'BD', width: number, pc: bigint): string {
  const displacement = BigInt.asIntN(width + 2, BigInt(f(field)) << 2n);
  if (f('AA') === 1) return addressText(BigInt.asUintN(32, displacement));
  return addressText(pc + displacement);
}

/**
 * The text of a branch as objdump writes it.
 * @returns undefined where the word is no branch, null where it is an invalid form of one
 */
export function disassembleBranch(word: number, pc: bigint): string | null | undefined {
  const f = fieldsOf(word);
  const opcode = word >>> 26;
  if (opcode === 18) return `b${linkAndAbsolute(f)} ${target(f, 'LI', 24, pc)}`;
  if (opcode === 16) return conditional(f, '', pc);
  const register = opcode === 19 ? REGISTERS.get((word >>> 1) & 0x3ff) : undefined;
  return register === undefined ? undefined : conditional(f, register, pc);
}

const linkAndAbsolute = (f: Fields): string => (f('LK') === 1 ? 'l' : '') + (f('AA') === 1 ? 'a' : '');

function conditional(f: Fields, register: Target, pc: bigint): string | null {
  const [bo, bi] = [f('BO'), f('BI')];
  const immediate = register === '';
  const kind = bo & ALWAYS;
  const usesCtr = register === 'ctr';
  const countsOnly = kind === IGNORE_CONDITION && bi === 0 && !usesCtr;
  // Where objdump has a name of its own for a branch to an immediate target, it does not look at the lowest bit of BO.
  const named = kind === KEEP_CTR || kind === 0 || countsOnly;
  if (reserved(bo) && !(immediate && named)) return null;

  const { given, taken } = hint(bo);
  const sign = given ? (taken ? '+' : '-') : '';
  const tail = immediate ? linkAndAbsolute(f) : f('LK') === 1 ? 'l' : '';
  const last = immediate ? [target(f, 'BD', 14, pc)] : f('BH') === 0 ? [] : [`${f('BH')}`];
  const text = (stem: string, operands: readonly string[]): string =>
    `${stem}${register}${tail}${sign} ${[...operands, ...last].join(',')}`.trimEnd();

  const counts = (bo & CTR_ZERO) !== 0 ? 'bdz' : 'bdnz';
  const value = (bo & CONDITION_VALUE) !== 0 ? 1 : 0;
  if (kind === KEEP_CTR) {
    // CR field 0 is left out where nothing but a target follows.
    const field = bi < 4 && (immediate || f('BH') === 0) ? [] : [`cr${bi >> 2}`];
    return text(`b${CONDITIONS[value][bi & 3]}`, field);
  }
  if (kind === 0 && !usesCtr) return text(counts + 'ft'.charAt(value), [crBitName(bi)]);
  if (countsOnly) return text(counts, []);
  if (kind === ALWAYS && bi === 0 && !immediate) return text('b', []);
  return text('bc', [`${bo}`, crBitName(bi)]);
}
