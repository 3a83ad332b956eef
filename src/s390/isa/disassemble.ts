import { extractField } from '../../engine/pattern.ts';
import type { S390Instruction } from './common.ts';
import { lengthOf, s390Isa } from './index.ts';

/** Extended mnemonics end in what the condition mask selects; masks 0 and 15 have names of their own, or none. */
const CONDITIONS = ['', 'o', 'h', 'nle', 'l', 'nhe', 'lh', 'ne', 'e', 'nlh', 'he', 'nl', 'le', 'nh', 'no', ''] as const;
/** After a comparison only three outcomes exist. */
const COMPARISONS: Readonly<Record<number, string>> = { 2: 'h', 4: 'l', 6: 'ne', 8: 'e', 10: 'nl', 12: 'nh' };

/** Immediates that are unsigned, by mnemonic. */
const UNSIGNED = /^(cl|alg?fi|slg?fi|ii|lli|ni|oi|xi|tm|mviy?$|svc|st[no]sm|mc$)/;

const COMPARE_AND = /^cl?g?[ri](j|b|t)$|^clfit$/;
const ON_CONDITION = /^(loc|stoc)/;
/** Where the first bit of I4, and only that, is on beside a position, the rest of the target is cleared. */
const ROTATE_INSERT = /^risbgn?$/;
/** With rounding method or modifiers they end in `a`. */
const WITH_METHOD = /^(ledbr|ldxbr|lexbr|fi[edx]br|c[edx][fg]br|c[fg][edx]br)$/;

type Fields = (name: string) => number;

const signed = (value: number, width: number): number => (value << (32 - width)) >> (32 - width);

/**
 * The instruction as GNU objdump writes it (binutils 2.40), with extended mnemonics; mnemonic and operands stand one space apart. What is no
 * instruction is `.short` and its first halfword.
 *
 * @param head the first four bytes (of a shorter one: left-aligned)
 * @param tail bytes 4 and 5
 * @param pc its address, for relative operands
 */
export function disassemble(head: number, tail: number, pc: bigint): string {
  const instruction = s390Isa.decode(head >>> 0, tail) as S390Instruction | undefined;
  if (instruction === undefined) return `.short 0x${(head >>> 16).toString(16).padStart(4, '0')}`;
  const word = lengthOf(head >>> 16) === 2 ? head >>> 16 : head;
  const f: Fields = (name) => extractField(instruction.field(name), word >>> 0, tail);
  const { mnemonic, operands } = named(instruction, f);
  const text = operands.replace(/\{(\w+)\}/g, (_, token: string) => operand(instruction, token, f, pc));
  return `${mnemonic} ${text}`.trimEnd();
}

interface Named {
  readonly mnemonic: string;
  readonly operands: string;
}

/** Mnemonic and operands, extended where there is an extended form. */
function named(i: S390Instruction, f: Fields): Named {
  const { name, operands } = i;
  const drop = (token: string): string => operands.replace(new RegExp(`,?\\{${token}\\}`), '').replace(/^,/, '');
  if (/^(bc|bcr|brc|brcl)$/.test(name)) return branch(i, f);
  if (COMPARE_AND.test(name)) {
    const suffix = COMPARISONS[f('M3')];
    return suffix === undefined ? { mnemonic: name, operands } : { mnemonic: name + suffix, operands: drop('M3') };
  }
  if (ON_CONDITION.test(name)) {
    const suffix = CONDITIONS[f('M3')] as string;
    return suffix === '' ? { mnemonic: name, operands } : { mnemonic: name + suffix, operands: drop('M3') };
  }
  if (ROTATE_INSERT.test(name) && (f('I4') & 0xc0) === 0x80) {
    return { mnemonic: `${name}z`, operands: operands.replace('{I4}', `${f('I4') & 0x3f}`) };
  }
  if (WITH_METHOD.test(name)) return rounded(name, operands, f);
  if (name === 'sske' && f('M3') === 0) return { mnemonic: name, operands: drop('M3') };
  return { mnemonic: name, operands };
}

function branch({ name, operands }: S390Instruction, f: Fields): Named {
  const mask = f('M1');
  const rest = operands.replace('{M1},', '');
  const suffix = CONDITIONS[mask] as string;
  if (name === 'brc' || name === 'brcl') {
    const stem = name === 'brc' ? 'j' : 'jg';
    return { mnemonic: mask === 0 ? `${stem}nop` : stem + suffix, operands: rest };
  }
  const end = name === 'bcr' ? 'r' : '';
  if (name === 'bcr' && mask === 0 && rest === '{R2}' && f('R2') === 0) return { mnemonic: 'nopr', operands: '' };
  return { mnemonic: mask === 0 ? `nop${end}` : `b${suffix}${end}`, operands: rest };
}

/** Conversions: those to integers always show the method; the others only as `…a`. */
function rounded(name: string, operands: string, f: Fields): Named {
  const toInteger = /^c[fg]/.test(name) || name.startsWith('fi');
  if (f('M4') !== 0) return { mnemonic: `${name}a`, operands };
  if (toInteger) return { mnemonic: name, operands: operands.replace(',{M4}', '') };
  if (f('M3') !== 0) return { mnemonic: `${name}a`, operands };
  return { mnemonic: name, operands: operands.replace('{M3},', '').replace(',{M4}', '') };
}

const register = (kind: string, n: number): string => `%${kind}${n}`;

function operand(i: S390Instruction, token: string, f: Fields, pc: bigint): string {
  const [, kind, number] = /^(RI|[A-Z]+)(\d)$/.exec(token) ?? [];
  switch (kind) {
    case 'R':
      return register('r', f(token));
    case 'F':
      return register('f', f(`R${number}`));
    case 'A':
      return register('a', f(`R${number}`));
    case 'C':
      return register('c', f(`R${number}`));
    case 'RI':
      return target(i, token, f, pc);
    case 'I':
      return immediate(i, token, f);
    case 'X':
      return storage(i, Number(number), f, f(token));
    case 'S':
      return storage(i, Number(number), f, 0);
    case 'Q':
      return `${f(`D${number}`)}(${register('r', f(`R${number}`))},${register('r', f(`B${number}`))})`;
    case 'L': {
      const base = f(`B${number}`);
      return `${f(`D${number}`)}(${f(token) + 1},${register('r', base)})`;
    }
    default:
      return `${f(token)}`;
  }
}

function displacement(i: S390Instruction, n: number, f: Fields): number {
  return i.has(`DH${n}`) ? (signed(f(`DH${n}`), 8) << 12) | f(`DL${n}`) : f(`D${n}`);
}

function storage(i: S390Instruction, n: number, f: Fields, index: number): string {
  const base = f(`B${n}`);
  const at = `${displacement(i, n, f)}`;
  if (index !== 0) return `${at}(${register('r', index)},${register('r', base)})`;
  return base === 0 ? at : `${at}(${register('r', base)})`;
}

function immediate(i: S390Instruction, token: string, f: Fields): string {
  const long = i.has(`${token}H`);
  const width = long ? 32 : i.field(token).width;
  const value = long ? ((f(`${token}H`) << 16) | f(`${token}L`)) >>> 0 : f(token);
  const isSigned = token === 'I2' && !UNSIGNED.test(i.name);
  return `${isSigned ? signed(value, width) : value}`;
}

function target(i: S390Instruction, token: string, f: Fields, pc: bigint): string {
  const halves = i.has(`${token}H`)
    ? signed((f(`${token}H`) << i.field(`${token}L`).width) | f(`${token}L`), i.field(`${token}H`).width + 16)
    : signed(f(token), i.field(token).width);
  return `0x${BigInt.asUintN(64, pc + 2n * BigInt(halves)).toString(16)}`;
}
