import type { Statement } from '../../../src/engine/ir.ts';
import { CONTEXT } from '../../../src/engine/layout.ts';
import { constantMeaning } from '../../../src/engine/specialize.ts';
import { HFSCR } from '../../../src/powerpc/abi.ts';
import type { PowerInstruction } from '../../../src/powerpc/isa/common.ts';
import { powerMode } from '../../../src/powerpc/isa/mode.ts';
import {
  ca,
  ca32,
  cr,
  ctr,
  fpr,
  fpscr,
  fscr,
  gpr,
  hfscr,
  layout,
  lr,
  msr,
  ov,
  ov32,
  so,
  stringCount,
  tar,
} from '../../../src/powerpc/isa/state.ts';
import type { Random } from '../../support/random.ts';
import { type FlatEnd, type FlatHelper, FlatMachine, type FlatRepair } from './flat-model.ts';
import {
  DONE,
  FREE_GPRS,
  RECORD,
  RECORDS,
  runOnQemu,
  STUBS,
  type Stub,
  StubWriter,
  type Target,
  TEXT,
} from './qemu-program.ts';

/** The state that a case starts from. */
export interface State {
  readonly gpr: bigint[];
  cr: number;
  xer: number;
  ctr: bigint;
  lr: bigint;
  tar: bigint;
  fpscr: bigint;
  readonly fpr: bigint[];
  readonly memory: Uint8Array;
}

export interface Case {
  readonly name: string;
  readonly words: readonly number[];
  readonly stub: Stub;
  readonly state: State;
}

/** Sets the fields of an encoding; those that `fields` does not name stay 0. */
export function encode(instruction: PowerInstruction, fields: Readonly<Record<string, number>>): number {
  let word = instruction.pattern.value;
  for (const { name, shift, width } of instruction.pattern.fields.values()) {
    word |= ((fields[name] ?? 0) & (2 ** width - 1)) << shift;
  }
  return word >>> 0;
}

/** Sizes of the memory accesses of an instruction word. */
export function accessesOf(instruction: PowerInstruction, word: number): number[] {
  const sizes: number[] = [];
  const walk = (list: readonly Statement[]): void => {
    for (const s of list) {
      if (s.kind === 'load' || s.kind === 'store') sizes.push(s.size);
      if (s.kind === 'if') {
        walk(s.whenTrue);
        walk(s.whenFalse);
      }
    }
  };
  walk(constantMeaning(powerMode(3), instruction, word, 0, 0n).statements);
  return sizes;
}

/** XER bits that instructions know: SO, OV, CA, OV32, CA32 and the count. */
export const XER_KNOWN = 0xe00c007f;
export const XER_FLAGS = 0xe00c0000;

const xerSlots = [
  [so, 31],
  [ov, 30],
  [ca, 29],
  [ov32, 19],
  [ca32, 18],
] as const;

/** Cases of one target, with their code. */
export class CaseSet {
  readonly target: Target;
  readonly stubs: StubWriter;
  readonly cases: Case[] = [];

  constructor(target: Target) {
    this.target = target;
    this.stubs = new StubWriter(target);
  }

  add(name: string, words: readonly number[], stub: Stub, state: State): void {
    this.cases.push({ name, words, stub, state });
  }

  /** Address of the memory area of the case that is added next. */
  memoryOf(index: number): bigint {
    return RECORDS + BigInt(index * RECORD.bytes + RECORD.memory);
  }

  records(): Uint8Array {
    const bytes = new Uint8Array(this.cases.length * RECORD.bytes);
    const view = new DataView(bytes.buffer);
    const little = !this.target.bigEndian;
    this.cases.forEach(({ state, stub }, i) => {
      const at = i * RECORD.bytes;
      const put = (offset: number, value: bigint): void => view.setBigUint64(at + offset, value, little);
      for (const n of FREE_GPRS) put(RECORD.gpr + 8 * n, state.gpr[n] as bigint);
      put(RECORD.cr, BigInt(state.cr >>> 0));
      put(RECORD.xer, BigInt(state.xer >>> 0));
      put(RECORD.ctr, state.ctr);
      put(RECORD.lr, state.lr);
      put(RECORD.tar, state.tar);
      put(RECORD.stub, stub.start);
      put(RECORD.fpscr, state.fpscr);
      state.fpr.forEach((value, n) => {
        put(RECORD.fpr + 8 * n, value);
      });
      bytes.set(state.memory, at + RECORD.memory);
    });
    return bytes;
  }

  onQemu(): Uint8Array {
    return runOnQemu(this.target, this.stubs.bytes(), this.records());
  }

  /** The records after our engine ran the cases. */
  onEngine(options: EngineOptions): EngineRun {
    const records = this.records();
    const stubs = this.stubs.bytes();
    const inputs = records.slice();
    const hot = new Set<bigint>();
    const ends: string[] = [];
    let machine = this.#machine(options, stubs, inputs);
    let regions = 0;
    this.cases.forEach((c, i) => {
      const { context } = machine;
      const memory = machine.memory(this.memoryOf(i), RECORD.memoryBytes);
      const start = (): void => {
        this.#load(machine, c.state, options.msr ?? FP_AVAILABLE);
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
      const code = end?.kind === 'sc' ? (context.pc === DONE ? 0 : 1) : end?.kind === 'signal' ? end.signal : 255;
      this.#save(machine, records, i * RECORD.bytes, code);
      records.set(memory, i * RECORD.bytes + RECORD.memory);
      if (hot.size >= STUBS_AT_A_TIME) {
        regions += machine.engine.statistics.regions;
        machine = this.#machine(options, stubs, inputs);
        hot.clear();
      }
    });
    return { records, ends, regions: regions + machine.engine.statistics.regions };
  }

  #machine(options: EngineOptions, stubs: Uint8Array, records: Uint8Array): FlatMachine {
    const { bits, bigEndian } = this.target;
    const machine = new FlatMachine({
      mode: (bigEndian ? 0 : 1) | (bits === 64 ? 2 : 0),
      translate: options.translate,
      hotThreshold: 1,
      ranges: [
        { start: TEXT, bytes: 4096 },
        { start: STUBS, bytes: stubs.length },
        { start: RECORDS, bytes: records.length },
      ],
    });
    for (const [number, helper] of options.helpers ?? []) machine.model.helpers.set(number, helper);
    for (const [cause, repair] of options.repairs ?? []) machine.model.repairs.set(cause, repair);
    const sc = new Uint8Array(8);
    for (const at of [0, 4]) new DataView(sc.buffer).setUint32(at, 0x44000002, !bigEndian);
    machine.write(TEXT, sc);
    machine.write(STUBS, stubs);
    machine.write(RECORDS, records);
    return machine;
  }

  #load(machine: FlatMachine, state: State, msrValue: bigint): void {
    const { context } = machine;
    machine.store.bytes.fill(0, context.base + CONTEXT.state, context.base + layout.end);
    FREE_GPRS.forEach((n) => {
      context.set64(gpr.slots[n]!, state.gpr[n] as bigint);
    });
    for (let i = 0; i < 32; i++) {
      context.set32(cr.slots[i]!, (state.cr >>> (31 - i)) & 1);
      context.set64(fpr.slots[i]!, state.fpr[i] as bigint);
    }
    for (const [slot, position] of xerSlots) context.set32(slot, (state.xer >>> position) & 1);
    context.set32(stringCount, state.xer & 0x7f);
    context.set64(ctr, state.ctr);
    context.set64(lr, state.lr);
    context.set64(tar, state.tar);
    // TAR is available, as in every program of Linux.
    context.set64(fscr, HFSCR.TAR);
    context.set64(hfscr, HFSCR.TAR);
    context.set64(fpscr, state.fpscr);
    context.set64(msr, msrValue);
  }

  #save({ context }: FlatMachine, records: Uint8Array, at: number, end: number): void {
    const view = new DataView(records.buffer);
    const put = (offset: number, value: bigint): void => view.setBigUint64(at + offset, value, !this.target.bigEndian);
    for (const n of FREE_GPRS) put(RECORD.gpr + 8 * n, context.get64(gpr.slots[n]!));
    let crValue = 0;
    for (let i = 0; i < 32; i++) {
      crValue = (crValue << 1) | context.get32(cr.slots[i]!);
      put(RECORD.fpr + 8 * i, context.get64(fpr.slots[i]!));
    }
    let xer = context.get32(stringCount);
    for (const [slot, position] of xerSlots) xer |= context.get32(slot) << position;
    put(RECORD.cr, BigInt(crValue >>> 0));
    put(RECORD.xer, BigInt(xer >>> 0));
    put(RECORD.ctr, context.get64(ctr));
    put(RECORD.lr, context.get64(lr));
    put(RECORD.tar, context.get64(tar));
    put(RECORD.fpscr, context.get64(fpscr));
    put(RECORD.end, BigInt(end));
  }
}

/** MSR[FP]. */
const FP_AVAILABLE = 0x2000n;

/** An engine keeps only so many regions. */
const STUBS_AT_A_TIME = 2500;

export interface EngineOptions {
  readonly translate: boolean;
  readonly helpers?: ReadonlyMap<number, FlatHelper>;
  readonly repairs?: ReadonlyMap<number, FlatRepair>;
  readonly msr?: bigint;
}

function endText(end: FlatEnd | null): string {
  if (end === null) return 'budget used up';
  if (end.kind === 'signal') return end.text;
  return end.kind === 'helper' ? `helper ${end.helper}` : 'end';
}

export interface EngineRun {
  readonly records: Uint8Array;
  /** How each case ended, in words. */
  readonly ends: readonly string[];
  readonly regions: number;
}

/** A state with the same memory pattern for every case and nothing in the registers. */
export function emptyState(): State {
  return {
    gpr: Array.from({ length: 32 }, () => 0n),
    cr: 0,
    xer: 0,
    ctr: 0n,
    lr: 0n,
    tar: 0n,
    fpscr: 0n,
    fpr: Array.from({ length: 32 }, () => 0n),
    memory: new Uint8Array(RECORD.memoryBytes),
  };
}

export function randomMemory(random: Random): Uint8Array {
  const bytes = new Uint8Array(RECORD.memoryBytes);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) view.setUint32(at, random.word());
  return bytes;
}

/** What to compare of a record: in 32-bit programs the low words. */
const PARTS: readonly (readonly [name: string, offset: number])[] = [
  ['end', RECORD.end],
  ...FREE_GPRS.map((n) => [`r${n}`, RECORD.gpr + 8 * n] as const),
  ['cr', RECORD.cr],
  ['xer', RECORD.xer],
  ['ctr', RECORD.ctr],
  ['lr', RECORD.lr],
  ['tar', RECORD.tar],
  ['fpscr', RECORD.fpscr],
  ...Array.from({ length: 32 }, (_, n) => [`f${n}`, RECORD.fpr + 8 * n] as const),
];

/** A difference that is known: in which part of the state of which instructions. */
export interface Tolerance {
  readonly name: RegExp;
  readonly part: string;
  /** Bits that must agree nevertheless. */
  readonly mask: bigint;
  /** Cases it holds for; by default all of that name. */
  readonly when?: (c: Case) => boolean;
  readonly reason: string;
}

/** Differences between QEMU's records (first) and ours, one text for each case that differs. */
export function differences(
  set: CaseSet,
  expected: Uint8Array,
  actual: EngineRun,
  tolerances: readonly Tolerance[] = [],
): string[] {
  const a = new DataView(expected.buffer, expected.byteOffset);
  const b = new DataView(actual.records.buffer);
  const little = !set.target.bigEndian;
  const narrow = set.target.bits === 32;
  const texts: string[] = [];
  const hex = (v: bigint): string => `0x${v.toString(16)}`;
  const equalBytes = Buffer.from(expected.buffer, expected.byteOffset, expected.byteLength);
  const ourBytes = Buffer.from(actual.records.buffer);
  set.cases.forEach((c, i) => {
    const at = i * RECORD.bytes;
    if (equalBytes.compare(ourBytes, at, at + RECORD.bytes, at, at + RECORD.bytes) === 0) return;
    const wrong: string[] = [];
    for (const [name, offset] of PARTS) {
      if (narrow && name === 'tar') continue;
      const low = narrow && !/^f\d|fpscr/.test(name);
      const x = a.getBigUint64(at + offset, little) & (low ? 0xffffffffn : -1n);
      const y = b.getBigUint64(at + offset, little) & (low ? 0xffffffffn : -1n);
      const mask = tolerances.find((t) => t.part === name && t.name.test(c.name) && (t.when?.(c) ?? true))?.mask ?? -1n;
      if ((x & mask) !== (y & mask)) wrong.push(`${name} ${hex(x)}, ours ${hex(y)}`);
    }
    for (let m = RECORD.memory; m < RECORD.memory + RECORD.memoryBytes; m++) {
      if (a.getUint8(at + m) !== b.getUint8(at + m)) {
        wrong.push(`memory+${m - RECORD.memory} ${a.getUint8(at + m)}, ours ${b.getUint8(at + m)}`);
        break;
      }
    }
    if (wrong.length === 0) return;
    const s = c.state;
    const words = c.words.map((w) => w.toString(16).padStart(8, '0')).join(' ');
    const inputs = [...used(c)].map((n) => `r${n}=${hex(s.gpr[n] as bigint)}`).join(' ');
    texts.push(
      `${c.name} [${words}] ${inputs} cr=${s.cr.toString(16)} xer=${(s.xer >>> 0).toString(16)} ctr=${hex(s.ctr)} fpscr=${hex(s.fpscr)}: ` +
        `${wrong.slice(0, 6).join('; ')} (${actual.ends[i]})`,
    );
  });
  return texts;
}

/** Register numbers that stand where words usually name registers. */
function used(c: Case): Set<number> {
  const numbers = new Set<number>();
  for (const w of c.words) for (const shift of [21, 16, 11, 6]) numbers.add((w >>> shift) & 31);
  return numbers;
}
