import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ArmMachine } from '../../src/arm64/machine.ts';
import { nodeProvider } from '../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import type { DiskBackend } from '../../src/devices/disk.ts';

/** Where a guest's ELF file is. */
export const armGuest = (name: string): string => join(import.meta.dirname, '../../guests/arm64', `${name}.elf`);

/** A run on our machine. */
export interface ArmRun {
  readonly interpret: boolean;
  readonly cmdline?: string;
  readonly cpus?: number;
  /** Typed on its console. */
  readonly typed?: string;
  readonly limit?: number;
  readonly disk?: DiskBackend;
}

const MEMORY = 64 << 20;
/** Far more instructions than any of our guests needs. */
const LIMIT = 2e9;

/** Runs a guest to its end. */
export function runArmGuest(
  name: string,
  { interpret, cmdline = '', cpus = 1, typed = '', limit = LIMIT, disk }: ArmRun,
): { readonly outcome: string; readonly console: string; readonly machine: ArmMachine } {
  const console = new ConsoleBuffer();
  console.feed(Buffer.from(typed));
  const file = armGuest(name);
  const machine = new ArmMachine({
    guest: {
      name,
      image: { file, bytes: new Uint8Array(readFileSync(file)) },
      initrd: null,
      cmdline,
      memory: MEMORY,
      cpus,
      console,
      ...(disk && { disk }),
    },
    interpret,
    seed: '1',
    crypto: nodeProvider,
    trace: null,
  });
  const outcome = machine.run(limit);
  return { outcome: outcome.kind, console: Buffer.from(console.written()).toString('latin1'), machine };
}

/** A disk of so many sectors, each with contents of its own. */
export const diskContents = (sectors: number): Uint8Array =>
  Uint8Array.from({ length: sectors * 512 }, (_, i) => (i * 7 + (i >> 9) * 13) & 0xff);
