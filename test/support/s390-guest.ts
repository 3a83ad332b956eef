import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultProvider } from '../../src/crypto/default.ts';
import { readP521PrivateKey } from '../../src/crypto/p521-key.ts';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import { type DiskBackend, MemoryDisk } from '../../src/devices/disk.ts';
import type { ImageFile } from '../../src/image/image-file.ts';
import { kernelBytes } from '../../src/image/kernel-bytes.ts';
import { makeSeImage } from '../../src/image/se/image-writer.ts';
import { seKernel } from '../../src/image/se/kernel.ts';
import { RandomSource } from '../../src/machine/random.ts';
import type { MachineOutcome } from '../../src/machine/run-report.ts';
import type { Platform } from '../../src/s390/cpu/port.ts';
import { S390HostMachine } from '../../src/s390/host-machine.ts';
import { S390Machine } from '../../src/s390/machine.ts';
import { DEVELOPMENT_HOST_KEY } from '../../src/s390/ultravisor/development-host-key.ts';
import { AbsoluteMemory } from '../../src/s390/vmm/absolute-memory.ts';
import { CcwMachine, type CcwMemory } from '../../src/s390/vmm/ccw-machine.ts';
import type { TraceSink } from '../../src/trace/events.ts';

export const s390Guest = (name: string): string => join(import.meta.dirname, '../../guests/s390', `${name}.elf`);

/** A machine of its own; a VM of our KVM under SIE; the same in a Secure Execution image on a machine with an Ultravisor. */
export type S390Place = 'machine' | 'SIE' | 'protected';

export interface S390Run {
  readonly place?: S390Place;
  readonly interpret?: boolean;
  readonly cpus?: number;
  /** Physical CPUs under SIE. */
  readonly hostCpus?: number;
  readonly cmdline?: string;
  readonly typed?: string;
  readonly disk?: Uint8Array;
  readonly trace?: TraceSink;
  /** Makes another image of it, before it is loaded. */
  readonly changeImage?: (image: Uint8Array) => Uint8Array;
  /** Bytes; 64 MiB by default. */
  readonly memory?: number;
}

export interface S390End {
  readonly outcome: MachineOutcome;
  readonly console: string;
  /** What is on the disk, if there was one. */
  readonly disk: Uint8Array | null;
  readonly machine: S390Machine | S390HostMachine;
}

const MEMORY = 64 << 20;
const LIMIT = 3_000_000_000;
const random = (purpose: string) => new RandomSource(defaultProvider(), 's390 guests').stream(purpose);

const readGuest = (name: string): ImageFile => ({
  file: s390Guest(name),
  bytes: new Uint8Array(readFileSync(s390Guest(name))),
});

/** A guest as Secure Execution image for machines with the development key. */
export function s390SecureImage(name: string, cmdline = '', plaintextFlags = 0n): ImageFile {
  const crypto = defaultProvider();
  const kernel = seKernel(readGuest(name), true);
  const loader = (stage: string): Uint8Array => kernelBytes(readGuest(`se-loader/${stage}`).bytes, stage);
  const { image } = makeSeImage(
    {
      kernel: kernel.memory,
      kernelEntry: kernel.entry,
      cmdline: new TextEncoder().encode(`${cmdline}\0`),
      loaders: { stage3a: loader('stage3a'), stage3b: loader('stage3b') },
      hostKeys: [crypto.p521PublicKey(readP521PrivateKey(DEVELOPMENT_HOST_KEY))],
      plaintextFlags,
      secretFlags: 0n,
    },
    crypto,
    random('image'),
  );
  return { file: `${name}.img`, bytes: image };
}

/** Runs one of our s390 guests to its end. */
export function runS390Guest(name: string, run: S390Run = {}): S390End {
  const { place = 'machine', interpret = false, cpus = 1, hostCpus = 1, cmdline = '', typed = '' } = run;
  const console = new ConsoleBuffer();
  console.feed(new TextEncoder().encode(typed));
  const disk: DiskBackend | null = run.disk === undefined ? null : new MemoryDisk(run.disk);
  const isProtected = place === 'protected';
  const plain = isProtected ? s390SecureImage(name, cmdline) : readGuest(name);
  const image = { ...plain, bytes: run.changeImage?.(plain.bytes) ?? plain.bytes };
  const devices = {
    ...{ name, image, initrd: null, cmdline: isProtected ? '' : cmdline, console, disk },
    ...{ unpack: isProtected, platformAccess: isProtected },
  };
  const make = (platform: Platform, memory: CcwMemory, clock: () => number): CcwMachine =>
    new CcwMachine(platform, memory, devices, clock);
  const machine =
    place !== 'machine'
      ? new S390HostMachine({
          guests: [{ name, memory: run.memory ?? MEMORY, cpus, makeUserSpace: make }],
          cpus: hostCpus,
          interpret,
          trace: run.trace ?? null,
          ultravisor: isProtected
            ? {
                crypto: defaultProvider(),
                hostKey: readP521PrivateKey(DEVELOPMENT_HOST_KEY),
                random: random('ultravisor'),
              }
            : null,
        })
      : new S390Machine({
          name,
          memory: MEMORY,
          cpus,
          interpret,
          trace: null,
          makeUserSpace: (platform, view, clock) => make(platform, new AbsoluteMemory(view), clock),
        });
  const outcome = machine.run(LIMIT);
  const text = new TextDecoder('latin1').decode(console.written());
  return { outcome, console: text, disk: run.disk ?? null, machine };
}
