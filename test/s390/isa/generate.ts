import type { S390Instruction } from '../../../src/s390/isa/common.ts';
import { operand, type Random } from '../../support/random.ts';
import { type CaseSet, emptyState, encode, type State } from './cases.ts';
import { RECORD, type Stub } from './qemu-program.ts';

/** Values of some fields; the rest is random. */
export type Choice = (field: string, random: Random) => number | undefined;

const none: Choice = () => undefined;

export function randomState(random: Random): State {
  const memory = new Uint8Array(RECORD.memoryBytes);
  const view = new DataView(memory.buffer);
  for (let at = 0; at < memory.length; at += 8) {
    view.setBigUint64(at, random.chance(40) ? operand(random) : random.doubleword());
  }
  return {
    ...emptyState(),
    gpr: Array.from({ length: 16 }, () => operand(random)),
    cc: random.below(4),
    ar: Array.from({ length: 16 }, () => random.word()),
    fpr: Array.from({ length: 16 }, () => random.doubleword()),
    memory,
  };
}

/** The storage operands of an instruction, by the number in their fields' names. */
export function storageOperands(i: S390Instruction): number[] {
  return [1, 2, 4].filter((n) => i.has(`B${n}`));
}

/** Shifts use the second operand's address as a number, others only compute with it. */
const NO_ACCESS = /^(s[lr][dal]|s[lr]|rll|lay?$|lay$)/;

export interface MemoryOptions {
  /** Of the operands' addresses; most are multiples of it. */
  readonly alignment?: number;
  readonly choose?: Choice;
  /** How far from the end of the area operands stay. */
  readonly room?: number;
  /** Changes registers and storage of a case before it is added; gives addresses of the area's bytes and its storage operands. */
  readonly prepare?: (state: State, fields: Record<string, number>, area: bigint, random: Random) => void;
}

/** Random values for all fields of an instruction; base registers are not 0, and no index register is one of them. */
export function randomFields(i: S390Instruction, random: Random, choose: Choice = none): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const { name, width } of i.pattern.fields.values()) {
    const chosen = choose(name, random);
    if (chosen !== undefined) fields[name] = chosen;
    else if (/^R\d/.test(name) && width === 4) fields[name] = random.below(15);
    else if (/^B\d/.test(name)) fields[name] = 1 + random.below(14);
    else if (/^X\d/.test(name)) fields[name] = random.chance(50) ? 0 : 1 + random.below(14);
    else
      fields[name] = random.chance(25)
        ? random.pick([0, 1, 2 ** width - 1, 2 ** (width - 1)])
        : random.word() & (2 ** width - 1);
  }
  return fields;
}

export function displacementOf(fields: Record<string, number>, n: number): bigint {
  if (fields[`DH${n}`] === undefined) return BigInt(fields[`D${n}`] ?? 0);
  return BigInt(((fields[`DH${n}`] << 24) >> 12) | fields[`DL${n}`]);
}

const mask = (v: bigint): bigint => BigInt.asUintN(64, v);

/**
 * Points the storage operands of an instruction into the area of the case that is added next, by setting base registers.
 * @returns false where two operands contradict each other
 */
export function aim(
  set: CaseSet,
  i: S390Instruction,
  fields: Record<string, number>,
  state: State,
  random: Random,
  { alignment = 1, room = 256 }: MemoryOptions = {},
): boolean {
  const area = set.memoryOf(set.cases.length);
  const fixed = new Set<number>();
  for (const n of storageOperands(i)) {
    const register = fields[`B${n}`];
    const index = fields[`X${n}`] ?? 0;
    if (index === register) return false;
    let offset = random.below(RECORD.memoryBytes - room);
    if (random.chance(95)) offset -= offset % alignment;
    const value = mask(area + BigInt(offset) - displacementOf(fields, n) - (index === 0 ? 0n : state.gpr[index]));
    if (fixed.has(register)) {
      // The same base for two operands: the displacement decides, if it can.
      const distance = area + BigInt(offset) - state.gpr[register];
      if (distance < 0n || distance > 0xfffn || fields[`DH${n}`] !== undefined) return false;
      fields[`D${n}`] = Number(distance);
      continue;
    }
    state.gpr[register] = value;
    fixed.add(register);
  }
  return true;
}

/** Distance in halfwords from a stub's entry to its target, for code of that many bytes. */
const toTarget = (bytes: number): number => (bytes + 6) / 2;

/** Relative operands: branches go to the stub's target, data lies behind the stub. */
function relativeChoice(i: S390Instruction, choose: Choice): Choice {
  const { length } = i.pattern;
  const branches = /^(br|[cl]*g?[ri]j|c[lg]*[ri]j)/.test(i.name);
  // Behind the three branches of the stub, on a doubleword.
  const distance = branches ? toTarget(length) : Math.ceil((length + 18) / 8) * 4;
  return (field, random) => {
    const chosen = choose(field, random);
    if (chosen !== undefined) return chosen;
    if (field === 'RI2' || field === 'RI4' || field === 'RI2L') return distance + (branches ? 0 : 4 * random.below(2));
    return field === 'RI2H' ? 0 : undefined;
  };
}

/** Data behind a stub, for relative operands. */
function data(random: Random): number[] {
  return Array.from({ length: 32 }, () => random.below(256));
}

/** A branch to a register's address goes to the stub's target, mostly. */
function aimBranch(i: S390Instruction, fields: Record<string, number>, state: State, stub: Stub): void {
  if (/^(b[ca]s?r|balr|bctg?r)$/.test(i.name)) {
    const register = i.has('R2') ? fields.R2 : 14;
    if (register !== 0) state.gpr[register] = stub.target;
  }
  const n = i.has('B4') ? 4 : 2;
  if (!/^(bc|bal|bas|bctg?|bxh|bxle|bxhg|bxleg|c.*b)$/.test(i.name)) return;
  const index = fields[`X${n}`] ?? 0;
  const rest = displacementOf(fields, n) + (index === 0 ? 0n : state.gpr[index]);
  state.gpr[fields[`B${n}`]] = mask(stub.target - rest);
}

/** Adds cases of one instruction, with random and corner operands. */
export function addCases(
  set: CaseSet,
  i: S390Instruction,
  random: Random,
  count: number,
  options: MemoryOptions = {},
): void {
  const choose = relativeChoice(i, options.choose ?? none);
  const touches = storageOperands(i).length > 0 && !NO_ACCESS.test(i.name);
  for (let n = 0, tries = 0; n < count && tries < 20 * count; tries++) {
    const fields = randomFields(i, random, choose);
    const state = randomState(random);
    if (touches && !aim(set, i, fields, state, random, options)) continue;
    const code = encode(i, fields);
    const stub = set.stubs.add(code, data(random));
    // Three states for each piece of code; what has addresses in it is aimed anew.
    for (let k = 0; k < 3 && n < count; k++) {
      const next = k === 0 ? state : randomState(random);
      const again = { ...fields };
      if (k > 0 && touches && (!aim(set, i, again, next, random, options) || again.D2 !== fields.D2)) continue;
      if (fields.X2 === fields.B2 && fields.X2) continue;
      aimBranch(i, fields, next, stub);
      options.prepare?.(next, fields, set.memoryOf(set.cases.length), random);
      set.add(i.name, code, stub, next);
      n++;
    }
  }
}
