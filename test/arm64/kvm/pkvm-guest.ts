import { readFileSync } from 'node:fs';
import type { PkvmProfile } from '../../../src/arm64/abi.ts';
import type { KvmHooks } from '../../../src/arm64/kvm/state.ts';
import { PkvmMachine } from '../../../src/arm64/pkvm-machine.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import type { DiskBackend } from '../../../src/devices/disk.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { armGuest } from '../../support/arm-guest.ts';

/** How guests are run below KVM. */
export interface PkvmRun {
  readonly isProtected: boolean;
  readonly profile?: PkvmProfile;
  readonly interpret?: boolean;
  readonly cpus?: number;
  readonly cmdline?: string;
  /** Typed on the first guest's console. */
  readonly typed?: string;
  readonly hooks?: KvmHooks;
  /** The first guest's. */
  readonly disk?: DiskBackend;
  /** As `PkvmMachineOptions`. */
  readonly timeSlice?: bigint;
}

/** A machine with guests of ours, and what they say. */
export class PkvmGuests {
  readonly machine: PkvmMachine;
  readonly trace = new MemoryTrace();
  readonly #consoles: readonly ConsoleBuffer[];

  constructor(names: readonly string[], run: PkvmRun) {
    this.#consoles = names.map(() => new ConsoleBuffer());
    this.#consoles[0]?.feed(Buffer.from(run.typed ?? ''));
    this.machine = new PkvmMachine({
      guests: names.map((name, i) => ({
        name: `${name}.${i}`,
        image: { file: armGuest(name), bytes: new Uint8Array(readFileSync(armGuest(name))) },
        initrd: null,
        cmdline: run.cmdline ?? '',
        memory: 8 << 20,
        cpus: run.cpus ?? 1,
        console: this.#consoles[i] as ConsoleBuffer,
        ...(i === 0 && run.disk && { disk: run.disk }),
      })),
      protected: run.isProtected,
      profile: run.profile ?? 'I',
      interpret: run.interpret ?? false,
      seed: '1',
      crypto: nodeProvider,
      trace: this.trace,
      ...(run.hooks && { hooks: run.hooks }),
      ...(run.timeSlice !== undefined && { timeSlice: run.timeSlice }),
    });
  }

  /** Runs to the end, or so far. @returns how it ended */
  run(limit = 200_000_000): string {
    return this.machine.run(limit).kind;
  }

  console(guest = 0): string {
    return Buffer.from(this.#consoles[guest]?.written() ?? []).toString('latin1');
  }
}
