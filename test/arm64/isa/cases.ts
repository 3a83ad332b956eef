import type { ArmInstruction } from '../../../src/arm64/isa/common.ts';
import { armMode } from '../../../src/arm64/isa/mode.ts';
import {
  flagC,
  flagLess,
  flagN,
  flagV,
  flagZ,
  fpcr,
  fpsr,
  layout,
  STACK,
  v,
  vHigh,
  x,
} from '../../../src/arm64/isa/state.ts';
import type { CpuContext } from '../../../src/engine/cpu.ts';
import type { Statement } from '../../../src/engine/ir.ts';
import { CONTEXT } from '../../../src/engine/layout.ts';
import { constantMeaning } from '../../../src/engine/specialize.ts';
import { type FlatEnd, FlatMachine, type FlatWork } from './flat-machine.ts';
import { DONE, FREE, RECORD, RECORDS, runOnQemu, STUBS, type Stub, StubWriter, TEXT } from './qemu-program.ts';

/** The state that a case starts from. */
export interface State {
  readonly x: bigint[];
  sp: bigint;
  /** N in bit 3. */
  nzcv: number;
  fpcr: bigint;
  fpsr: bigint;
  readonly v: bigint[];
  readonly vHigh: bigint[];
  readonly memory: Uint8Array;
}

export interface Case {
  readonly name: string;
  readonly words: readonly number[];
  readonly stub: Stub;
  readonly state: State;
}

/** Sets the fields of an encoding; those that `fields` does not name stay 0. */
export function encode(instruction: ArmInstruction, fields: Readonly<Record<string, number>>): number {
  let word = instruction.pattern.value;
  for (const { name, shift, width } of instruction.pattern.fields.values()) {
    word |= ((fields[name] ?? 0) & (2 ** width - 1)) << shift;
  }
  return word >>> 0;
}

function statementsOf(instruction: ArmInstruction, word: number): readonly Statement[] {
  const all: Statement[] = [];
  const walk = (list: readonly Statement[]): void => {
    for (const s of list) {
      all.push(s);
      if (s.kind === 'if') {
        walk(s.whenTrue);
        walk(s.whenFalse);
      }
    }
  };
  walk(constantMeaning(armMode(0), instruction, word, 0, 0n).statements);
  return all;
}

/** Sizes of the memory accesses of an instruction word. */
export function accessesOf(instruction: ArmInstruction, word: number): number[] {
  return statementsOf(instruction, word).flatMap((s) => (s.kind === 'load' || s.kind === 'store' ? [s.size] : []));
}

/** The helper that an instruction word calls, undefined for none. */
export function helperOf(instruction: ArmInstruction, word: number): number | undefined {
  return statementsOf(instruction, word)
    .flatMap((s) => (s.kind === 'helper' ? [s.helper] : []))
    .at(0);
}

/** An engine keeps only so many regions. */
const STUBS_AT_A_TIME = 2500;

export interface EngineOptions {
  readonly translate: boolean;
  readonly helpers?: ReadonlyMap<number, FlatWork>;
  readonly traps?: ReadonlyMap<number, FlatWork>;
}

export interface EngineRun {
  readonly records: Uint8Array;
  /** How each case ended, in words. */
  readonly ends: readonly string[];
  readonly regions: number;
}

/** Cases with their code. */
export class CaseSet {
  readonly stubs = new StubWriter();
  readonly cases: Case[] = [];

  add(name: string, words: readonly number[], stub: Stub, state: State): void {
    this.cases.push({ name, words, stub, state });
  }

  /** Address of the memory area of a case. */
  memoryOf(index: number): bigint {
    return RECORDS + BigInt(index * RECORD.bytes + RECORD.memory);
  }

  records(): Uint8Array {
    const bytes = new Uint8Array(this.cases.length * RECORD.bytes);
    const view = new DataView(bytes.buffer);
    this.cases.forEach(({ state, stub }, i) => {
      const at = i * RECORD.bytes;
      const put = (offset: number, value: bigint): void => view.setBigUint64(at + offset, value, true);
      for (const n of FREE) put(RECORD.x + 8 * n, state.x[n] as bigint);
      put(RECORD.sp, state.sp);
      put(RECORD.nzcv, BigInt(state.nzcv) << 28n);
      put(RECORD.fpcr, state.fpcr);
      put(RECORD.fpsr, state.fpsr);
      put(RECORD.stub, stub.entry);
      for (let n = 0; n < 32; n++) {
        put(RECORD.v + 16 * n, state.v[n] as bigint);
        put(RECORD.v + 16 * n + 8, state.vHigh[n] as bigint);
      }
      bytes.set(state.memory, at + RECORD.memory);
    });
    return bytes;
  }

  onQemu(): Uint8Array {
    return runOnQemu(this.stubs.bytes(), this.records());
  }

  /** The records after our engine ran the cases. */
  onEngine(options: EngineOptions): EngineRun {
    const records = this.records();
    const stubs = this.stubs.bytes();
    const inputs = records.slice();
    const hot = new Set<bigint>();
    const ends: string[] = [];
    let machine = makeMachine(options, stubs, inputs);
    let regions = 0;
    this.cases.forEach((c, i) => {
      const memory = machine.memory(this.memoryOf(i), RECORD.memoryBytes);
      const start = (): void => {
        loadState(machine, c.state);
        memory.set(c.state.memory);
      };
      if (options.translate && !hot.has(c.stub.entry)) {
        hot.add(c.stub.entry);
        for (let pass = 0; pass < 3; pass++) {
          start();
          machine.run(c.stub.again, 1);
        }
      }
      start();
      const end = machine.run(c.stub.entry);
      ends.push(endText(end));
      const { context } = machine;
      const code = end?.kind === 'svc' ? (context.pc === DONE ? 0 : 1) : end?.kind === 'signal' ? end.signal : 255;
      saveState(context, records, i * RECORD.bytes, code);
      records.set(memory, i * RECORD.bytes + RECORD.memory);
      if (hot.size >= STUBS_AT_A_TIME) {
        regions += machine.engine.statistics.regions;
        machine = makeMachine(options, stubs, inputs);
        hot.clear();
      }
    });
    return { records, ends, regions: regions + machine.engine.statistics.regions };
  }
}

const SVC = 0xd4000001;

function makeMachine(options: EngineOptions, stubs: Uint8Array, records: Uint8Array): FlatMachine {
  const machine = new FlatMachine({
    mode: 0,
    translate: options.translate,
    hotThreshold: 1,
    ranges: [
      { start: TEXT, bytes: 4096 },
      { start: STUBS, bytes: stubs.length },
      { start: RECORDS, bytes: records.length },
    ],
  });
  for (const [number, work] of options.helpers ?? []) machine.model.helpers.set(number, work);
  for (const [cause, work] of options.traps ?? []) machine.model.traps.set(cause, work);
  const ends = new Uint8Array(8);
  for (const at of [0, 4]) new DataView(ends.buffer).setUint32(at, SVC, true);
  machine.write(TEXT, ends);
  machine.write(STUBS, stubs);
  machine.write(RECORDS, records);
  return machine;
}

function loadState({ context, store }: FlatMachine, state: State): void {
  store.bytes.fill(0, context.base + CONTEXT.state, context.base + layout.end);
  for (const n of FREE) context.set64(x.slots[n]!, state.x[n] as bigint);
  context.set64(x.slots[STACK]!, state.sp);
  const bit = (n: number): number => (state.nzcv >> n) & 1;
  context.set32(flagN, bit(3));
  context.set32(flagZ, bit(2));
  context.set32(flagC, bit(1));
  context.set32(flagV, bit(0));
  context.set32(flagLess, bit(3) ^ bit(0));
  context.set64(fpcr, state.fpcr);
  context.set64(fpsr, state.fpsr);
  for (let n = 0; n < 32; n++) {
    context.set64(v.slots[n]!, state.v[n] as bigint);
    context.set64(vHigh.slots[n]!, state.vHigh[n] as bigint);
  }
}

function saveState(context: CpuContext, records: Uint8Array, at: number, end: number): void {
  const view = new DataView(records.buffer);
  const put = (offset: number, value: bigint): void => view.setBigUint64(at + offset, value, true);
  for (const n of FREE) put(RECORD.x + 8 * n, context.get64(x.slots[n]!));
  put(RECORD.sp, context.get64(x.slots[STACK]!));
  const [n, z, c, o, less] = [flagN, flagZ, flagC, flagV, flagLess].map((slot) => context.get32(slot)) as number[];
  if (less !== ((n as number) ^ (o as number))) throw new Error('N != V is kept wrongly');
  if (context.get64(x.slots[31]!) !== 0n) throw new Error('the zero register was written');
  put(RECORD.nzcv, BigInt((n! << 3) | (z! << 2) | (c! << 1) | o!) << 28n);
  put(RECORD.fpcr, context.get64(fpcr));
  put(RECORD.fpsr, context.get64(fpsr));
  put(RECORD.end, BigInt(end));
  for (let i = 0; i < 32; i++) {
    put(RECORD.v + 16 * i, context.get64(v.slots[i]!));
    put(RECORD.v + 16 * i + 8, context.get64(vHigh.slots[i]!));
  }
}

function endText(end: FlatEnd | null): string {
  if (end === null) return 'budget used up';
  return end.kind === 'signal' ? end.text : 'end';
}

/** What to compare of a record. */
const PARTS: readonly (readonly [name: string, offset: number])[] = [
  ['end', RECORD.end],
  ...FREE.map((n) => [`x${n}`, RECORD.x + 8 * n] as const),
  ['sp', RECORD.sp],
  ['nzcv', RECORD.nzcv],
  ['fpcr', RECORD.fpcr],
  ['fpsr', RECORD.fpsr],
  ...Array.from({ length: 32 }, (_, n) => [`v${n}`, RECORD.v + 16 * n] as const),
  ...Array.from({ length: 32 }, (_, n) => [`v${n}.high`, RECORD.v + 16 * n + 8] as const),
];

/** A difference that is known: in which part of the state of which instructions. */
export interface Tolerance {
  readonly name: RegExp;
  readonly part: RegExp;
  /** Cases it holds for; by default all of that name. */
  readonly when?: (c: Case) => boolean;
  readonly reason: string;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Differences between QEMU's records (first) and ours, one text for each case that differs. */
export function differences(
  set: CaseSet,
  expected: Uint8Array,
  actual: EngineRun,
  tolerances: readonly Tolerance[] = [],
): string[] {
  const a = new DataView(expected.buffer, expected.byteOffset);
  const b = new DataView(actual.records.buffer);
  const theirs = Buffer.from(expected.buffer, expected.byteOffset, expected.byteLength);
  const ours = Buffer.from(actual.records.buffer);
  const texts: string[] = [];
  set.cases.forEach((c, i) => {
    const at = i * RECORD.bytes;
    if (theirs.compare(ours, at, at + RECORD.bytes, at, at + RECORD.bytes) === 0) return;
    const wrong: string[] = [];
    for (const [name, offset] of PARTS) {
      const [p, q] = [a.getBigUint64(at + offset, true), b.getBigUint64(at + offset, true)];
      if (p === q) continue;
      if (tolerances.some((t) => t.part.test(name) && t.name.test(c.name) && (t.when?.(c) ?? true))) continue;
      wrong.push(`${name} ${hex(p)}, ours ${hex(q)}`);
    }
    for (let m = RECORD.memory; m < RECORD.memory + RECORD.memoryBytes; m++) {
      if (a.getUint8(at + m) === b.getUint8(at + m)) continue;
      wrong.push(`memory+${m - RECORD.memory} ${a.getUint8(at + m)}, ours ${b.getUint8(at + m)}`);
      break;
    }
    if (wrong.length === 0) return;
    const words = c.words.map((w) => w.toString(16).padStart(8, '0')).join(' ');
    const named = new Set(c.words.flatMap((w) => [0, 5, 10, 16].map((shift) => (w >>> shift) & 31)));
    const inputs = [...named].map((n) => `x${n}=${hex(n === 31 ? c.state.sp : (c.state.x[n] as bigint))}`).join(' ');
    const floats = [...named].map((n) => `v${n}=${hex(c.state.v[n] as bigint)}`).join(' ');
    texts.push(
      `${c.name} [${words}] ${inputs} ${floats} nzcv=${c.state.nzcv.toString(2)} fpcr=${hex(c.state.fpcr)}: ` +
        `${wrong.slice(0, 6).join('; ')} (${actual.ends[i]})`,
    );
  });
  return texts;
}
