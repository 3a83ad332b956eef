import { CONTEXT } from '../../../src/engine/layout.ts';
import { PGM, PSW } from '../../../src/s390/abi.ts';
import type { S390Instruction } from '../../../src/s390/isa/common.ts';
import { ar, fpc, fpr, getCc, layout, psw, setCc } from '../../../src/s390/isa/state.ts';
import { type FlatEnd, FlatMachine, PROBLEM_PSW } from './flat-model.ts';
import {
  DONE,
  FREE_GPRS,
  RECORD,
  RECORDS,
  runOnQemu,
  STUBS,
  type Stub,
  StubWriter,
  TAKEN,
  TEXT,
} from './qemu-program.ts';

/** The state that a case starts from. */
export interface State {
  readonly gpr: bigint[];
  cc: number;
  fpc: number;
  readonly fpr: bigint[];
  readonly ar: number[];
  readonly memory: Uint8Array;
}

export interface Case {
  readonly name: string;
  readonly code: readonly number[];
  readonly stub: Stub;
  readonly state: State;
}

/** The bytes of an instruction; fields that are not named stay 0. */
export function encode(instruction: S390Instruction, fields: Readonly<Record<string, number>>): number[] {
  const { length, value, tailValue } = instruction.pattern;
  const headBytes = Math.min(length, 4);
  let all = (BigInt(value) << BigInt((length - headBytes) * 8)) | BigInt(tailValue);
  for (const { name, shift, width } of instruction.pattern.fields.values()) {
    const fromLast = shift >= 32 ? shift - 32 : shift + (length - headBytes) * 8;
    all |= BigInt.asUintN(width, BigInt(fields[name] ?? 0)) << BigInt(fromLast);
  }
  return Array.from({ length }, (_, i) => Number((all >> BigInt((length - 1 - i) * 8)) & 0xffn));
}

const SIGNAL = { ill: 4, trap: 5, fpe: 8, segv: 11 } as const;

/** Signals that Linux makes of program interruptions. */
const SIGNAL_OF = new Map<number, number>([
  [PGM.DATA, SIGNAL.fpe],
  [PGM.FIXED_POINT_OVERFLOW, SIGNAL.fpe],
  [PGM.FIXED_POINT_DIVIDE, SIGNAL.fpe],
  [PGM.DECIMAL_OVERFLOW, SIGNAL.fpe],
  [PGM.DECIMAL_DIVIDE, SIGNAL.fpe],
]);

/** An engine keeps only so many regions. */
const STUBS_AT_A_TIME = 2500;

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

  add(name: string, code: readonly number[], stub: Stub, state: State): void {
    this.cases.push({ name, code, stub, state });
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
      for (const n of FREE_GPRS) view.setBigUint64(at + RECORD.gpr + 8 * n, state.gpr[n]);
      view.setUint32(at + RECORD.cc, state.cc << 28);
      view.setBigUint64(at + RECORD.stub, stub.start);
      view.setUint32(at + RECORD.fpc, state.fpc);
      state.fpr.forEach((value, n) => {
        view.setBigUint64(at + RECORD.fpr + 8 * n, value);
      });
      state.ar.forEach((value, n) => {
        view.setUint32(at + RECORD.ar + 4 * n, value);
      });
      bytes.set(state.memory, at + RECORD.memory);
    });
    return bytes;
  }

  onQemu(): Uint8Array {
    return runOnQemu(this.stubs.bytes(), this.records());
  }

  /** The records after our engine ran the cases. */
  onEngine(options: { readonly translate: boolean }): EngineRun {
    const records = this.records();
    const inputs = records.slice();
    const stubs = this.stubs.bytes();
    const hot = new Set<bigint>();
    const ends: string[] = [];
    let machine = this.#machine(options.translate, stubs, inputs);
    let regions = 0;
    this.cases.forEach((c, i) => {
      const memory = machine.memory(this.memoryOf(i), RECORD.memoryBytes);
      const start = (): void => {
        this.#load(machine, c.state, i);
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
      const end = machine.run(c.stub.entry, 100_000);
      ends.push(
        end === null
          ? 'budget used up'
          : JSON.stringify(end, (_, v) => (typeof v === 'bigint' ? `0x${v.toString(16)}` : v)),
      );
      this.#save(machine, records, i * RECORD.bytes, codeOf(end, machine.context.pc));
      records.set(memory, i * RECORD.bytes + RECORD.memory);
      if (hot.size >= STUBS_AT_A_TIME) {
        regions += machine.engine.statistics.regions;
        machine = this.#machine(options.translate, stubs, inputs);
        hot.clear();
      }
    });
    return { records, ends, regions: regions + machine.engine.statistics.regions };
  }

  #machine(translate: boolean, stubs: Uint8Array, records: Uint8Array): FlatMachine {
    const machine = new FlatMachine({
      translate,
      hotThreshold: 1,
      ranges: [
        { start: TEXT, bytes: 4096, readOnly: true },
        { start: STUBS, bytes: Math.ceil(stubs.length / 4096) * 4096, readOnly: true },
        { start: RECORDS, bytes: records.length + RECORD.bytes },
      ],
    });
    // svc 0, at DONE and TAKEN
    machine.write(DONE, [0x0a, 0]);
    machine.write(TAKEN, [0x0a, 1]);
    machine.write(STUBS, stubs);
    machine.write(RECORDS, records);
    return machine;
  }

  #load(machine: FlatMachine, state: State, index: number): void {
    const { context } = machine;
    machine.store.bytes.fill(0, context.base + CONTEXT.state, context.base + layout.end);
    for (const n of FREE_GPRS) machine.setGpr(n, state.gpr[n]);
    machine.setGpr(15, RECORDS + BigInt(index * RECORD.bytes));
    for (let n = 0; n < 16; n++) {
      context.set64(fpr.slots[n], state.fpr[n]);
      context.set64(ar.slots[n], BigInt(state.ar[n]));
    }
    context.set32(fpc, state.fpc);
    context.set64(psw, PROBLEM_PSW);
    setCc(context, state.cc);
  }

  #save(machine: FlatMachine, records: Uint8Array, at: number, end: number): void {
    const { context } = machine;
    const view = new DataView(records.buffer);
    for (const n of FREE_GPRS) view.setBigUint64(at + RECORD.gpr + 8 * n, machine.gpr(n));
    const programMask = Number((context.get64(psw) & PSW.PROGRAM_MASK) >> 40n);
    view.setUint32(at + RECORD.cc, (getCc(context) << 28) | (programMask << 24));
    view.setUint32(at + RECORD.fpc, context.get32(fpc));
    for (let n = 0; n < 16; n++) {
      view.setBigUint64(at + RECORD.fpr + 8 * n, context.get64(fpr.slots[n]));
      view.setUint32(at + RECORD.ar + 4 * n, Number(context.get64(ar.slots[n])));
    }
    view.setBigUint64(at + RECORD.end, BigInt(end));
  }
}

function codeOf(end: FlatEnd | null, pc: bigint): number {
  if (end?.kind === 'svc' && (pc === DONE || pc === TAKEN)) return pc === TAKEN ? 1 : 0;
  if (end?.kind === 'program') return SIGNAL_OF.get(end.code) ?? SIGNAL.ill;
  return end?.kind === 'fault' ? SIGNAL.segv : 255;
}

/** Nothing in the registers, zeros in memory. */
export function emptyState(): State {
  return {
    gpr: Array.from({ length: 16 }, () => 0n),
    cc: 0,
    fpc: 0,
    fpr: Array.from({ length: 16 }, () => 0n),
    ar: Array.from({ length: 16 }, () => 0),
    memory: new Uint8Array(RECORD.memoryBytes),
  };
}

/** What to compare of a record: name, offset, bytes. */
const PARTS: readonly (readonly [name: string, offset: number, bytes: 4 | 8])[] = [
  ['end', RECORD.end, 8],
  ...FREE_GPRS.map((n) => [`r${n}`, RECORD.gpr + 8 * n, 8] as const),
  ['cc', RECORD.cc, 4],
  ['fpc', RECORD.fpc, 4],
  ...Array.from({ length: 16 }, (_, n) => [`f${n}`, RECORD.fpr + 8 * n, 8] as const),
  ...Array.from({ length: 16 }, (_, n) => [`a${n}`, RECORD.ar + 4 * n, 4] as const),
];

/** A difference that is known: in which part of the state of which instructions. */
export interface Tolerance {
  readonly name: RegExp;
  readonly part: RegExp;
  /** Bits that must agree nevertheless; default none. */
  readonly mask?: bigint;
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
  const texts: string[] = [];
  const hex = (v: bigint): string => `0x${v.toString(16)}`;
  const theirs = Buffer.from(expected.buffer, expected.byteOffset, expected.byteLength);
  const ours = Buffer.from(actual.records.buffer);
  set.cases.forEach((c, i) => {
    const at = i * RECORD.bytes;
    if (theirs.compare(ours, at, at + RECORD.bytes, at, at + RECORD.bytes) === 0) return;
    const tolerated = (part: string): bigint =>
      tolerances.find((t) => t.part.test(part) && t.name.test(c.name) && (t.when?.(c) ?? true))?.mask ??
      (tolerances.some((t) => t.part.test(part) && t.name.test(c.name) && (t.when?.(c) ?? true)) ? 0n : -1n);
    const wrong: string[] = [];
    for (const [name, offset, bytes] of PARTS) {
      const read = (v: DataView): bigint =>
        bytes === 8 ? v.getBigUint64(at + offset) : BigInt(v.getUint32(at + offset));
      const [x, y] = [read(a), read(b)];
      if (x !== y && (x & tolerated(name)) !== (y & tolerated(name))) wrong.push(`${name} ${hex(x)}, ours ${hex(y)}`);
    }
    for (let m = RECORD.memory; m < RECORD.memory + RECORD.memoryBytes; m++) {
      if (a.getUint8(at + m) === b.getUint8(at + m) || tolerated('memory') !== -1n) continue;
      wrong.push(`memory+${m - RECORD.memory} ${a.getUint8(at + m)}, ours ${b.getUint8(at + m)}`);
      break;
    }
    if (wrong.length === 0) return;
    const { state } = c;
    const code = Buffer.from(c.code).toString('hex');
    const registers = FREE_GPRS.filter((n) => c.code.some((byte) => byte >> 4 === n || (byte & 15) === n));
    const inputs = registers.map((n) => `r${n}=${hex(state.gpr[n])}`).join(' ');
    const floats = registers.map((n) => `f${n}=${hex(state.fpr[n])}`).join(' ');
    texts.push(
      `${c.name} [${code}] ${inputs} cc=${state.cc} fpc=${hex(BigInt(state.fpc))}${/b[rh]?a?$/.test(c.name) ? ` ${floats}` : ''}: ` +
        `${wrong.slice(0, 6).join('; ')} (${actual.ends[i]})`,
    );
  });
  return texts;
}
