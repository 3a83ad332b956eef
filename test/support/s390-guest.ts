import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import { type DiskBackend, MemoryDisk } from '../../src/devices/disk.ts';
import type { MachineOutcome } from '../../src/machine/run-report.ts';
import type { Platform } from '../../src/s390/cpu/port.ts';
import { S390HostMachine } from '../../src/s390/host-machine.ts';
import { S390Machine } from '../../src/s390/machine.ts';
import { AbsoluteMemory } from '../../src/s390/vmm/absolute-memory.ts';
import { CcwMachine, type CcwMemory } from '../../src/s390/vmm/ccw-machine.ts';

export const s390Guest = (name: string): string => join(import.meta.dirname, '../../guests/s390', `${name}.elf`);

/** A machine of its own, or a VM of our KVM under SIE. */
export type S390Place = 'machine' | 'SIE';

export interface S390Run {
  readonly place?: S390Place;
  readonly interpret?: boolean;
  readonly cpus?: number;
  /** Physical CPUs under SIE. */
  readonly hostCpus?: number;
  readonly cmdline?: string;
  readonly typed?: string;
  readonly disk?: Uint8Array;
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

/** Runs one of our s390 guests to its end. */
export function runS390Guest(name: string, run: S390Run = {}): S390End {
  const { place = 'machine', interpret = false, cpus = 1, hostCpus = 1, cmdline = '', typed = '' } = run;
  const console = new ConsoleBuffer();
  console.feed(new TextEncoder().encode(typed));
  const disk: DiskBackend | null = run.disk === undefined ? null : new MemoryDisk(run.disk);
  const image = { file: s390Guest(name), bytes: new Uint8Array(readFileSync(s390Guest(name))) };
  const devices = { name, image, initrd: null, cmdline, console, disk, unpack: false, platformAccess: false };
  const make = (platform: Platform, memory: CcwMemory, clock: () => number): CcwMachine =>
    new CcwMachine(platform, memory, devices, clock);
  const machine =
    place === 'SIE'
      ? new S390HostMachine({
          guests: [{ name, memory: MEMORY, cpus, makeUserSpace: make }],
          cpus: hostCpus,
          interpret,
          trace: null,
          makeUltravisor: null,
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
