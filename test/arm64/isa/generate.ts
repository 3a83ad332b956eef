import type { ArmInstruction } from '../../../src/arm64/isa/common.ts';
import { CORNERS, operand, type Random } from '../../support/random.ts';
import { accessesOf, type CaseSet, encode, type State } from './cases.ts';
import { FREE, RECORD } from './qemu-program.ts';

const MASK = (1n << 64n) - 1n;
const REGISTERS: ReadonlySet<string> = new Set(['Rd', 'Rn', 'Rm', 'Ra', 'Rt', 'Rt2', 'Rs']);

/** Values of some fields; the rest is random. */
export type Choice = (field: string, random: Random) => number | undefined;

/** Random values for all fields of an instruction, registers from those that are free, and 31. */
export function randomFields(
  i: ArmInstruction,
  random: Random,
  choose: Choice = () => undefined,
): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const { name, width } of i.pattern.fields.values()) {
    const free = (): number => (random.chance(8) ? 31 : random.pick(FREE));
    fields[name] = choose(name, random) ?? (REGISTERS.has(name) ? free() : random.word() & (2 ** width - 1));
  }
  return fields;
}

export function randomMemory(random: Random): Uint8Array {
  const bytes = new Uint8Array(RECORD.memoryBytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, random.word());
  return bytes;
}

export function randomState(random: Random, value: (random: Random) => bigint = operand): State {
  return {
    x: Array.from({ length: 31 }, () => value(random)),
    sp: value(random),
    nzcv: random.below(16),
    fpcr: 0n,
    fpsr: 0n,
    v: Array.from({ length: 32 }, () => value(random)),
    vHigh: Array.from({ length: 32 }, () => random.doubleword()),
    memory: randomMemory(random),
  };
}

/** Adds cases of an instruction that touches registers only; branches to registers go to the stub's target. */
export function addRegisterCases(
  set: CaseSet,
  i: ArmInstruction,
  random: Random,
  codes: number,
  choose?: Choice,
  state: (random: Random) => State = randomState,
): void {
  for (let n = 0; n < codes; n++) {
    const fields = randomFields(i, random, choose);
    if (/^(br|blr|ret)$/.test(i.name)) fields.Rn = random.pick(FREE);
    const word = encode(i, fields);
    const stub = set.stubs.add([word]);
    for (let k = 0; k < 3; k++) {
      const start = state(random);
      if (/^(br|blr|ret)$/.test(i.name)) start.x[fields.Rn as number] = stub.target;
      set.add(i.name, [word], stub, start);
    }
  }
}

/** Adds all pairs of corner values in Rn and Rm. */
export function addCornerCases(set: CaseSet, i: ArmInstruction, random: Random, choose?: Choice): void {
  const fixed: Record<string, number> = { Rn: 4, Rm: 5, Ra: 6, Rd: 7 };
  const second = i.pattern.fields.has('Rm') ? CORNERS : [0n];
  for (let variant = 0; variant < 4; variant++) {
    const plain: Choice = (field, r) =>
      fixed[field] ?? choose?.(field, r) ?? (/^imm6|^imm3/.test(field) ? r.below(4) : undefined);
    const word = encode(i, randomFields(i, random, plain));
    const stub = set.stubs.add([word]);
    for (const a of CORNERS) {
      for (const b of second) {
        const state = randomState(random);
        state.x[4] = a;
        state.x[5] = b;
        set.add(i.name, [word], stub, state);
      }
    }
  }
}

/** What a field adds to the base register, for an access of `size` bytes. */
function displacementOf(i: ArmInstruction, f: Readonly<Record<string, number>>, size: number): bigint {
  const signed = (name: string, width: number): bigint => BigInt.asIntN(width, BigInt(f[name] as number));
  const { fields } = i.pattern;
  if (fields.has('imm12')) return BigInt((f.imm12 as number) * size);
  if (fields.has('imm7')) return isPost(i) ? 0n : signed('imm7', 7) * BigInt(size);
  if (fields.has('imm9')) return isPost(i) ? 0n : signed('imm9', 9);
  return 0n;
}

const isPost = (i: ArmInstruction): boolean => /\],\{imm/.test(i.operands);

function extend(option: number, value: bigint): bigint {
  return [0n, 0n, BigInt.asUintN(32, value), value, 0n, 0n, BigInt.asIntN(32, value), value][option] as bigint;
}

/** Adds cases of an instruction that loads or stores near a base register. @param align of addresses in bytes */
export function addMemoryCases(
  set: CaseSet,
  i: ArmInstruction,
  random: Random,
  codes: number,
  align = 1,
  choose?: Choice,
): void {
  for (let n = 0; n < codes; n++) {
    const f = randomFields(i, random, choose);
    if ('option' in f) f.option = random.pick([2, 3, 6, 7]);
    // The address must not depend on what else is loaded or written.
    while (['Rt', 'Rt2', 'Rs', 'Rm'].some((name) => f[name] === f.Rn)) f.Rn = random.pick([...FREE, 31]);
    while (f.Rm !== undefined && (f.Rm === 31 || f.Rm === f.Rn)) f.Rm = random.pick(FREE);
    // Loading both registers of a pair into one, or the status over data, is unpredictable.
    while (f.Rt2 !== undefined && f.Rt2 === f.Rt) f.Rt2 = random.pick(FREE.filter((r) => r !== f.Rn && r !== f.Rs));
    while (f.Rs !== undefined && (f.Rs === f.Rt || f.Rs === f.Rt2)) f.Rs = random.pick(FREE.filter((r) => r !== f.Rn));
    const word = encode(i, f);
    const stub = set.stubs.add([word]);
    const accesses = accessesOf(i, word);
    // A quadword is accessed in halves.
    const size = /^\{Q/.test(i.operands) ? 16 : Math.max(1, ...accesses);
    for (let k = 0; k < 3; k++) {
      const state = randomState(random);
      const offset = 64 + Math.floor(random.below(RECORD.memoryBytes - 128 - 4 * size) / align) * align;
      let base =
        set.memoryOf(set.cases.length) + BigInt(offset) - displacementOf(i, f, accesses.length === 0 ? 1 : size);
      if ('Rm' in f) {
        const index = random.chance(50) ? operand(random) : BigInt.asUintN(64, BigInt(random.below(64) - 32));
        state.x[f.Rm as number] = index;
        base -= extend(f.option as number, index) << BigInt(f.S === 1 ? Math.log2(size) : 0);
      }
      if (f.Rn === 31) state.sp = base & MASK;
      else state.x[f.Rn as number] = base & MASK;
      set.add(i.name, [word], stub, state);
    }
  }
}

/** Straight pieces of code of many instructions, so that what one leaves is what the next starts from. */
export function addSequences(set: CaseSet, from: readonly ArmInstruction[], random: Random, count: number): void {
  const base = 26;
  const others = FREE.filter((n) => n !== base);
  for (let n = 0; n < count; n++) {
    const few = Array.from({ length: 6 }, () => random.pick(others));
    const words: number[] = [];
    const length = 5 + random.below(25);
    while (words.length < length) {
      const i = random.pick(from);
      const f = randomFields(i, random, (field) => (REGISTERS.has(field) ? random.pick(few) : undefined));
      if (accessesOf(i, encode(i, f)).length > 0) {
        // Only short displacements from the base register are known to stay inside the buffer.
        if (!/imm(12|9|7)\?/.test(i.operands) || 'Rm' in f || f.Rt === f.Rt2) continue;
        f.Rn = base;
        if ('imm12' in f) f.imm12 = random.below(8);
        if ('imm9' in f) f.imm9 = random.below(64);
        if ('imm7' in f) f.imm7 = random.below(8);
      }
      words.push(encode(i, f));
    }
    const stub = set.stubs.add(words);
    const state = randomState(random);
    state.x[base] = set.memoryOf(set.cases.length) + 128n;
    set.add('sequence', words, stub, state);
  }
}
