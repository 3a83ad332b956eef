import { Engine } from '../../../src/engine/engine.ts';
import { MachineClock } from '../../../src/machine/scheduler.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { LPCR, MSR, type SPR } from '../../../src/powerpc/abi.ts';
import { PowerCpu, type PowerCpuOptions } from '../../../src/powerpc/cpu/power-cpu.ts';
import { powerIsa } from '../../../src/powerpc/isa/index.ts';
import { layout, SPRS } from '../../../src/powerpc/isa/state.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { bump, makeMemory, pateDw0, pateDw1, Ram, SECURE_BASE, Tree } from './tables.ts';

const PARTITION_TABLE = SECURE_BASE + 0x10000;
const PROCESS_TABLE = 0x600000;

/** MSR of each level (sheet 1.2), 64-bit, machine checks on; problem state has translation on, the others off. */
export const LEVEL = {
  guestUser: MSR.SF | MSR.ME | MSR.PR | MSR.EE | MSR.IR | MSR.DR,
  guest: MSR.SF | MSR.ME,
  svmUser: MSR.SF | MSR.ME | MSR.S | MSR.PR | MSR.EE | MSR.IR | MSR.DR,
  svm: MSR.SF | MSR.ME | MSR.S,
  hostUser: MSR.SF | MSR.ME | MSR.HV | MSR.PR | MSR.EE | MSR.IR | MSR.DR,
  hypervisor: MSR.SF | MSR.ME | MSR.HV,
  ultravisor: MSR.SF | MSR.ME | MSR.HV | MSR.S,
} as const;
export type LevelName = keyof typeof LEVEL;
export const LEVELS = Object.keys(LEVEL) as LevelName[];

/** One or more CPUs with RAM, as a machine assembles them. */
export class TestMachine {
  readonly ram: Ram;
  readonly clock = new MachineClock();
  readonly trace = new MemoryTrace();
  readonly cpus: PowerCpu[];
  flushes = 0;

  constructor(options: Partial<PowerCpuOptions> & { readonly cpus?: number } = {}) {
    const { cpus = 1, ...rest } = options;
    const memory = makeMemory(Engine.bytes + cpus * Engine.bytesPerContext);
    this.ram = new Ram(memory);
    const engine = new Engine(memory.store, powerIsa, layout, { translate: false });
    this.cpus = Array.from(
      { length: cpus },
      (_, index) =>
        new PowerCpu({
          memory,
          engine,
          clock: this.clock,
          index,
          trace: this.trace,
          secureMemory: true,
          random: () => 0x0123456789abcdefn,
          peers: {
            invalidateTranslations: () => {
              this.flushes++;
              for (const cpu of this.cpus) cpu.flushTranslations();
            },
            ringDoorbell: (pir) => {
              const target = this.cpus[pir];
              if (target !== undefined) target.lines.hypervisorDoorbell = true;
            },
          },
          ...rest,
        }),
    );
  }

  get cpu(): PowerCpu {
    return this.cpus[0]!;
  }

  /** Writes big-endian instruction words. */
  code(address: number, ...words: number[]): void {
    const { store } = this.ram.memory;
    const host = this.ram.host(address);
    for (const [i, word] of words.entries()) store.view.setUint32(host + 4 * i, word);
    store.written(host, 4 * words.length);
  }

  /** Powers the first CPU on with empty memory and the tables of `identity`. */
  start(): void {
    const { cpu, ram, trace } = this;
    for (const { host, size } of ram.memory.regions) {
      ram.memory.store.bytes.fill(0, host, host + size);
      ram.memory.store.written(host, size);
    }
    cpu.flushTranslations();
    Object.assign(cpu.lines, { external: false, virtualization: false, systemReset: false, hypervisorDoorbell: false });
    for (const { slot } of SPRS.values()) cpu.context.set64(slot, 0n);
    for (let n = 0; n < 32; n++) cpu.setGpr(n, 0n);
    this.flushes = 0;
    cpu.powerOn();
    trace.events.length = 0;
    this.identity();
    this.setSpr('PTCR', this.partitionTable);
    this.setSpr('LPCR', LPCR.HR | LPCR.UPRT);
    this.setSpr('LPIDR', 1n);
  }

  /** PTCR for the tables of `identity`. */
  readonly partitionTable = BigInt(PARTITION_TABLE);

  /** Makes tables that map the first GiB to itself for host and partition 1, PID 0. */
  identity(): void {
    const { ram } = this;
    const tree = new Tree(ram, bump(PROCESS_TABLE + 0x10000));
    tree.map(0, 0, 30);
    for (const lpid of [0, 1]) {
      ram.put(PARTITION_TABLE + 16 * lpid, pateDw0(tree));
      ram.put(PARTITION_TABLE + 16 * lpid + 8, pateDw1(PROCESS_TABLE));
    }
    ram.put(PROCESS_TABLE, tree.dw0);
  }

  /** Executes one instruction at a real address in this state; native levels that gain control run too. */
  step(msr: bigint, word: number, address = 0x4000): void {
    this.code(address, word);
    this.cpu.place(msr, BigInt(address));
    this.cpu.run(1);
  }

  spr(name: keyof typeof SPR): bigint {
    return this.cpu.core.raw(name);
  }

  setSpr(name: keyof typeof SPR, value: bigint): void {
    this.cpu.core.setRaw(name, value);
    this.cpu.core.translationRegistersChanged();
  }
}

/** Real address of a page for stubs of the Ultravisor, and one for the hypervisor's. */
export const UV_STUBS = (SECURE_BASE + 0x3f0000) as RealAddress;
export const HV_STUBS = 0x7f0000 as RealAddress;

const sprField = (n: number): number => ((n & 31) << 16) | ((n >> 5) << 11);

/** Encodings (Power ISA 3.0B; sheet 1.5, 1.8). */
export const ASM = {
  nop: 0x60000000,
  sc: (lev: number): number => 0x44000002 | (lev << 5),
  rfid: 0x4c000024,
  rfscv: 0x4c0000a4,
  hrfid: 0x4c000224,
  urfid: 0x4c000264,
  stop: 0x4c0002e4,
  attn: 0x00000200,
  illegal: 0x00000000,
  mfspr: (rt: number, n: number): number => (0x7c0002a6 | (rt << 21) | sprField(n)) >>> 0,
  mtspr: (n: number, rs: number): number => (0x7c0003a6 | (rs << 21) | sprField(n)) >>> 0,
  mfmsr: (rt: number): number => (0x7c0000a6 | (rt << 21)) >>> 0,
  mtmsrd: (rs: number, l = 0): number => (0x7c000164 | (rs << 21) | (l << 16)) >>> 0,
  mtmsr: (rs: number, l = 0): number => (0x7c000124 | (rs << 21) | (l << 16)) >>> 0,
  ld: (rt: number, d: number, ra: number): number => (0xe8000000 | (rt << 21) | (ra << 16) | (d & 0xfffc)) >>> 0,
  std: (rs: number, d: number, ra: number): number => (0xf8000000 | (rs << 21) | (ra << 16) | (d & 0xfffc)) >>> 0,
  ldarx: (rt: number, ra: number, rb: number): number => (0x7c0000a8 | (rt << 21) | (ra << 16) | (rb << 11)) >>> 0,
  lmw: (rt: number, d: number, ra: number): number => (0xb8000000 | (rt << 21) | (ra << 16) | (d & 0xffff)) >>> 0,
  stmw: (rs: number, d: number, ra: number): number => (0xbc000000 | (rs << 21) | (ra << 16) | (d & 0xffff)) >>> 0,
  lswi: (rt: number, ra: number, nb: number): number => (0x7c0004aa | (rt << 21) | (ra << 16) | (nb << 11)) >>> 0,
  stswi: (rs: number, ra: number, nb: number): number => (0x7c0005aa | (rs << 21) | (ra << 16) | (nb << 11)) >>> 0,
  darn: (rt: number, l: number): number => (0x7c0005e6 | (rt << 21) | (l << 16)) >>> 0,
  wait: (wc: number): number => (0x7c00003c | (wc << 21)) >>> 0,
  tdAlways: 0x7fe00088,
  fadd: 0xfc00002a,
  lfd: (rt: number, d: number, ra: number): number => (0xc8000000 | (rt << 21) | (ra << 16) | (d & 0xffff)) >>> 0,
  vaddubm: 0x10000000,
  xxlor: 0xf0000490,
  tlbie: (rb: number, rs: number, prs: number, r: number): number =>
    (0x7c000264 | (rs << 21) | (prs << 17) | (r << 16) | (rb << 11)) >>> 0,
  tlbiel: (rb: number, rs: number, prs: number, r: number): number =>
    (0x7c000224 | (rs << 21) | (prs << 17) | (r << 16) | (rb << 11)) >>> 0,
  slbia: 0x7c0003e4,
  msgsnd: (rb: number): number => (0x7c00019c | (rb << 11)) >>> 0,
  msgclr: (rb: number): number => (0x7c0001dc | (rb << 11)) >>> 0,
  msgsndp: (rb: number): number => (0x7c00011c | (rb << 11)) >>> 0,
  msgclrp: (rb: number): number => (0x7c00015c | (rb << 11)) >>> 0,
} as const;
