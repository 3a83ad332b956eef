import type { ServiceHandler } from '../../../src/s390/cpu/port.ts';
import { S390Machine } from '../../../src/s390/machine.ts';

/** Where a program lies and is entered. */
export const START = 0x10000;
const MEMORY = 0x20_0000;

/** A machine with nothing around its CPUs, which runs code of a few instructions until a disabled wait. */
export class ProgramMachine {
  readonly machine: S390Machine;
  /** Address of the disabled wait that ended it. */
  end: bigint | null = null;

  /**
   * @param code instructions in hexadecimal, blanks ignored
   * @param interpret instead of translating
   */
  constructor(code: string, { interpret = false, mask = 0x180000000n, cpus = 1 } = {}) {
    const none = new Map<string, ServiceHandler>();
    this.machine = new S390Machine({
      name: 'program',
      memory: MEMORY,
      cpus,
      interpret,
      trace: null,
      makeUserSpace: (platform, view) => ({
        services: {
          instructions: none,
          diagnose: new Map(),
          interruptions: { due: () => false, take: () => null },
          poll: () => {},
          deadline: null,
          virtualMachine: null,
        },
        subsystemReset: () => {},
        load: () => {
          view.write(START as Parameters<typeof view.write>[0], bytesOf(code));
          return { mask, address: BigInt(START) };
        },
        disabledWait: (_, address) => {
          this.end = address;
          platform.finish('poweroff', 'disabled wait');
        },
        protectedBlock: null,
      }),
    });
    // Every class of interruption ends in a wait whose address tells which.
    for (const [at, name] of [
      [0x1a0, 0xa0],
      [0x1b0, 0xb0],
      [0x1c0, 0xc0],
      [0x1d0, 0xd0],
      [0x1e0, 0xe0],
      [0x1f0, 0xf0],
    ] as const) {
      this.put(at, 0x0002000180000000n);
      this.put(at + 8, BigInt(name));
    }
  }

  put(address: number, value: bigint): void {
    const view = this.machine.memory.store.view;
    view.setBigUint64(this.#host(address), value);
  }

  get(address: number, bytes: 1 | 2 | 4 | 8): bigint {
    const view = this.machine.memory.store.view;
    const at = this.#host(address);
    if (bytes === 8) return view.getBigUint64(at);
    return BigInt(bytes === 4 ? view.getUint32(at) : bytes === 2 ? view.getUint16(at) : view.getUint8(at));
  }

  run(): this {
    this.machine.run(100_000);
    return this;
  }

  #host(address: number): number {
    const [region] = this.machine.memory.regions;
    if (region === undefined) throw new Error('a machine has RAM');
    return region.host + address;
  }
}

function bytesOf(hex: string): Uint8Array {
  const digits = hex.replace(/\s/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, n) => Number.parseInt(digits.slice(2 * n, 2 * n + 2), 16));
}
