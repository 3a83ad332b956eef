import { ArmCpu, type ArmCpuOptions } from '../../../src/arm64/cpu/arm-cpu.ts';
import type { ArmInstruction } from '../../../src/arm64/isa/common.ts';
import { armIsa } from '../../../src/arm64/isa/index.ts';
import type { ArmMode } from '../../../src/arm64/isa/mode.ts';
import { layout } from '../../../src/arm64/isa/state.ts';
import { Engine } from '../../../src/engine/engine.ts';
import { Store } from '../../../src/engine/store.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import { MachineClock } from '../../../src/machine/scheduler.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { encode } from '../isa/cases.ts';

/** RAM of the test machine: 16 MiB at 0x40000000, as on `virt`. */
export const RAM = 0x4000_0000;
export const RAM_BYTES = 16 << 20;

/** SPSR_ELx of levels with everything masked. */
export const AT = { el0: 0x3c0n, el1: 0x3c5n, el2: 0x3c9n } as const;

/** An instruction by mnemonic and, where there are several, what its operands look like. */
export function asm(name: string, fields: Readonly<Record<string, number>> = {}, operands = /./): number {
  const found: ArmInstruction | undefined = armIsa.instructions.find(
    (i) => i.name === name && (i.operands === '' || operands.test(i.operands)),
  );
  if (found === undefined) throw new Error(`no instruction ${name}`);
  return encode(found, fields);
}

/** One PE with RAM and nothing else. */
export class TestMachine {
  readonly memory: RealMemory;
  readonly engine: Engine<ArmMode>;
  readonly clock = new MachineClock();
  readonly cpu: ArmCpu;

  constructor(options: Partial<ArmCpuOptions> = {}) {
    const store = new Store(65536 * 4 + RAM_BYTES + Engine.bytes + Engine.bytesPerContext);
    this.engine = new Engine(store, armIsa, layout, { translate: false });
    this.memory = new RealMemory(store, [{ name: 'ram', base: RAM as RealAddress, size: RAM_BYTES, secure: false }]);
    this.cpu = new ArmCpu({
      memory: this.memory,
      engine: this.engine,
      clock: this.clock,
      index: 0,
      gic: null,
      peers: { invalidateTranslations: () => this.cpu.flushTranslations(), sendEvent: () => this.cpu.registerEvent() },
      ...options,
    });
  }

  /** Host address of a physical one. */
  #host(address: number): number {
    const region = this.memory.find(address, 8);
    if (region === undefined) throw new Error(`no RAM at 0x${address.toString(16)}`);
    return region.host + (address - region.base);
  }

  /** Writes instructions or words. */
  words(address: number, words: readonly number[]): void {
    words.forEach((word, i) => {
      this.memory.store.view.setUint32(this.#host(address + 4 * i), word, true);
    });
    this.memory.store.written(this.#host(address), 4 * words.length);
  }

  /** Writes one doubleword: a descriptor, or data. */
  quad(address: number, value: bigint): void {
    this.memory.store.view.setBigUint64(this.#host(address), value, true);
  }

  quadAt(address: number): bigint {
    return this.memory.store.view.getBigUint64(this.#host(address), true);
  }

  /** Runs from a state for so many instructions. */
  run(pstate: bigint, pc: number | bigint, instructions: number): void {
    this.cpu.place(pstate, BigInt(pc));
    this.cpu.run(instructions);
  }

  register(name: string): bigint {
    return this.cpu.core.register(name);
  }

  set(registers: Readonly<Record<string, bigint>>): void {
    for (const [name, value] of Object.entries(registers)) this.cpu.core.setRegister(name, value);
  }
}
