/**
 * Cloister as a library: make a machine, add VMs, run by budget, read reports and events, feed the console.
 *
 * ```ts
 * const machine = createMachine({ arch: 'powerpc', protected: true });
 * const vm = machine.addVm({ name: 'guest', image: { file: 'secret.elf', bytes } });
 * const outcome = machine.run();
 * new TextDecoder().decode(vm.console.written());
 * ```
 *
 * @module
 */
import type { PkvmProfile } from './arm64/abi.ts';
import { ArmHostMachine } from './arm64/host-machine.ts';
import type { Attack as ArmAttack } from './arm64/kvm/hostile/attack.ts';
import type { Hostile as ArmHostile } from './arm64/kvm/hostile/hostile.ts';
import { ArmMachine } from './arm64/machine.ts';
import { PkvmMachine } from './arm64/pkvm-machine.ts';
import { defaultProvider } from './crypto/default.ts';
import { readP521PrivateKey } from './crypto/p521-key.ts';
import { PemError } from './crypto/pem.ts';
import type { CryptoProvider } from './crypto/provider.ts';
import { readRsaPrivateKey } from './crypto/rsa-key.ts';
import { type ConsoleBackend, ConsoleBuffer } from './devices/console.ts';
import type { DiskBackend } from './devices/disk.ts';
import type { ImageFile } from './image/image-file.ts';
import type { HypervisorView, HypervisorViewOptions } from './machine/hypervisor-view.ts';
import { RandomSource } from './machine/random.ts';
import type { MachineOutcome, MachineStatistics } from './machine/run-report.ts';
import type { MachineClock } from './machine/scheduler.ts';
import { OptionError } from './machine/types.ts';
import type { Attack } from './powerpc/kvm/hostile/attack.ts';
import type { Hostile } from './powerpc/kvm/hostile/hostile.ts';
import { type EsmBlobOption, PowerMachine, type SecurePfns } from './powerpc/machine.ts';
import type { EsmScope } from './powerpc/ultravisor/context.ts';
import type { PageCipher } from './powerpc/ultravisor/page-cipher.ts';
import { S390HostMachine, ULTRAVISOR_RANDOM_STREAM, type UltravisorKit } from './s390/host-machine.ts';
import { S390Machine } from './s390/machine.ts';
import { DEVELOPMENT_HOST_KEY } from './s390/ultravisor/development-host-key.ts';
import { AbsoluteMemory } from './s390/vmm/absolute-memory.ts';
import { CcwMachine } from './s390/vmm/ccw-machine.ts';
import type { TraceSink } from './trace/events.ts';

export { ARM_ATTACKS } from './arm64/kvm/hostile/catalog.ts';
export type { CryptoProvider } from './crypto/provider.ts';
export { type ConsoleBackend, ConsoleBuffer } from './devices/console.ts';
export { type DiskBackend, DiskError, MemoryDisk, SECTOR_BYTES } from './devices/disk.ts';
export { ImageError } from './image/error.ts';
export { compareViews, type HypervisorView, type Observation, type Sighting } from './machine/hypervisor-view.ts';
export type { Attack } from './powerpc/kvm/hostile/attack.ts';
export { ATTACKS } from './powerpc/kvm/hostile/catalog.ts';
export type { EsmBlobOption } from './powerpc/machine.ts';
export { chromeTrace } from './trace/chrome.ts';
export type { TraceEvent, TraceSink } from './trace/events.ts';
export { JsonLinesTrace } from './trace/json-lines.ts';
export { MemoryTrace } from './trace/memory.ts';
export type { ArmAttack, ImageFile, PageCipher, PkvmProfile, SecurePfns };
export { OptionError };

/** Architectures that there are. */
export type Arch = 'powerpc' | 's390' | 'arm64';

/** A machine to be made. */
export interface MachineOptions {
  readonly arch: Arch;
  /** Offer the protection facility. A guest that never asks stays normal. Default false. */
  readonly protected?: boolean;
  /** Bytes of secure memory, a multiple of 64 KiB. Default 32 MiB. */
  readonly secureMemory?: number;
  /** Run the first VM's image at hypervisor privilege, in place of our hypervisor. Default `guest`. */
  readonly role?: 'guest' | 'host';
  /** Merge equal pages of normal VMs, copy-on-write. Default false. */
  readonly pageMerging?: boolean;
  /** Interpret everything. Default false. */
  readonly interpret?: boolean;
  /** Seed of all randomness, keys too. Default `1`. */
  readonly seed?: string;
  /** Seeds of single random streams, by purpose (`RANDOM_STREAM`). */
  readonly seedOverrides?: ReadonlyMap<string, string>;
  readonly crypto?: CryptoProvider;
  /** How the Ultravisor encrypts pages that leave secure memory. Default `iapm`. */
  readonly cipher?: PageCipher;
  /**
   * The machine's private key as PEM: on Power RSA, for which ESM blobs are made; on s390 the host key, P-521, for which Secure Execution images
   * are made. Default: the development key of the architecture, which everybody has.
   */
  readonly uvKey?: string;
  /**
   * What of its memory a VM takes along when it becomes secure: `all`, or only what is `verified` and the device tree.
   * Default `all`.
   */
  readonly esmScope?: EsmScope;
  /** How many secure-PFNs our hypervisor has: `guests`, enough for all; `memory`, as Linux; or a number. Default `guests`. */
  readonly securePfns?: SecurePfns;
  /**
   * arm64: which form of pKVM stands at EL2. With it, or with `protected`, the guests are KVM's; without both the one guest has the machine to itself,
   * and there is no EL2. Default `I`.
   */
  readonly pkvmProfile?: PkvmProfile;
  readonly trace?: TraceSink;
  /** Watch what the hypervisor can learn. */
  readonly watch?: HypervisorViewOptions;
  /** Our hypervisor attacks its guests in this way (`ATTACKS`). Not with `role: 'host'`. */
  readonly attack?: Attack;
  /** The same for arm64 (`ARM_ATTACKS`). */
  readonly armAttack?: ArmAttack;
}

/** A virtual machine to be added; or, with `role: 'host'`, the hypervisor. */
export interface VmOptions {
  readonly name: string;
  readonly image: ImageFile;
  readonly initrd?: ImageFile;
  readonly cmdline?: string;
  /** Bytes, a multiple of 64 KiB. Default 64 MiB. */
  readonly memory?: number;
  /** As much as it may have with what is plugged in while it runs. Default: `memory`. */
  readonly maxMemory?: number;
  readonly cpus?: number;
  /** How a pseries guest is started: `of` as QEMU does, `fdt` with a flat tree in R3. Default `of`. */
  readonly entry?: 'of' | 'fdt';
  /**
   * An ESM blob, without which it does not become secure: a file; or `none` beside what is in `initrd`; or `auto`, which
   * makes one of these files if the machine has the development key and the initrd brings none along. Default `auto`.
   */
  readonly esmBlob?: EsmBlobOption;
  /** A virtio block device, as `virtio-blk-pci` with `disable-legacy=on` is on QEMU. */
  readonly disk?: DiskBackend;
  /** Default: a `ConsoleBuffer`. */
  readonly console?: ConsoleBackend;
}

/** A VM that was added. */
export interface AddedVm {
  readonly name: string;
  /** Where its output goes; what is fed to it is its input. */
  readonly console: ConsoleBuffer;
  /**
   * Plugs in memory between two runs, above all that the VM has: it is there when the hypervisor next has control. The guest must know of it.
   * @param size bytes, a multiple of 64 KiB
   * @throws OptionError if `maxMemory` does not allow it, Error before the first run
   */
  plugMemory(size: number): PluggedMemory;
}

/** Memory that was plugged in while the guest runs. */
export interface PluggedMemory {
  /** Guest physical address. */
  readonly base: number;
  readonly size: number;
  /** Takes it out again, with all that it holds, whether the guest uses it or not. */
  unplug(): void;
}

/** How a run ended. */
export type Outcome = MachineOutcome;

/** What a run did. Fields are added in later versions, never renamed. */
export interface Report {
  readonly arch: Arch;
  readonly protected: boolean;
  readonly outcome: Outcome['kind'];
  readonly detail: string;
  /** Last state in which the VM could execute, by VM; the state itself where there is one VM. */
  readonly vmState: string | Readonly<Record<string, string>>;
  /** The machine clock: instructions executed, and `idle`. */
  readonly instructions: number;
  /** Of these, how many the clock jumped over because every CPU waited. */
  readonly idle: number;
  readonly seconds: number;
  /** Seed of all randomness: with it, and the same input, the run can be repeated. */
  readonly seed: string;
  readonly exits: Readonly<Record<string, number>>;
  readonly calls: Readonly<Record<string, number>>;
  readonly pages: Readonly<Record<string, number>>;
  /** Why VMs that asked did not become secure. */
  readonly esmFailures: readonly { readonly vm: string; readonly reason: string }[];
  readonly hypervisorSaw: {
    /** How often it got control. */
    readonly entries: number;
    /** Its accesses that the machine refused, by who tried. */
    readonly refused: Readonly<Record<string, number>>;
    /** Of how many pages of 4 KiB its native code and its devices read something, by who read; registers and the host's own machine code aside. */
    readonly pagesRead?: Readonly<Record<string, number>>;
    /** Secrets that it could see; only where the run was watched. */
    readonly sightings?: number;
    /** What a hostile one tried, by means, and how many bytes it holds; only where it was hostile. */
    readonly attack?: AttackReport;
  };
  readonly translation: { readonly regions: number; readonly instructions: number; readonly bytes: number };
}

/** What a hostile hypervisor did. */
export interface AttackReport {
  readonly name: string;
  readonly attempts: Readonly<Record<string, { readonly tried: number; readonly refused: number }>>;
  readonly lootBytes: number;
}

/** A machine: add VMs, then run. */
export interface Machine {
  /** @throws Error once the machine runs */
  addVm(options: VmOptions): AddedVm;
  /**
   * Runs until all VMs have ended or the clock reaches `limit` instructions; after a limit it can be run on.
   * @throws ImageError, OptionError, RangeError for what cannot be had, before anything runs
   */
  run(limit?: number): Outcome;
  /** Builds the machine without running it. @throws as `run`, once for all: what passes here does not fail there */
  prepare(): void;
  /** Ends the run from outside, where `run` last returned: the outcome is then `stopped`, in the report too. */
  stop(detail: string): Outcome;
  /** @throws Error before the first run */
  report(): Report;
  /** What the hypervisor could learn; null unless `watch` was given, or before the first run. */
  readonly view: HypervisorView | null;
  /** Instructions executed so far, with `idle`. */
  readonly clock: number;
  /** Of these, how many the clock jumped over because every CPU waited. */
  readonly idle: number;
  /** How many instructions a millisecond of the guest's own time has: its time base, or system counter, goes by them. */
  readonly instructionsPerMillisecond: number;
  /** By VM: the last state in which it could execute. */
  readonly vmStates: Readonly<Record<string, string>>;
}

const DEFAULT_MEMORY = 64 << 20;
const DEFAULT_SECURE_MEMORY = 32 << 20;
const DEFAULT_SEED = '1';

/** A time base of 512 MHz, CPUs of a thousand MIPS, and a system counter of 62.5 MHz that ticks every 16 instructions. */
const INSTRUCTIONS_PER_MILLISECOND: Readonly<Record<Arch, number>> = {
  powerpc: 512_000,
  s390: 1_000_000,
  arm64: 1_000_000,
};

/** Makes a machine without VMs. */
export function createMachine(options: MachineOptions): Machine {
  return new AnyMachine(options);
}

/** What all architectures' machines have. */
interface ArchMachine {
  readonly clock: MachineClock;
  readonly engine: { readonly statistics: Report['translation'] };
  run(limit?: number): MachineOutcome;
  vmStates(): MachineStatistics['vmStates'];
  statistics(): MachineStatistics;
}

class AnyMachine implements Machine {
  readonly #options: MachineOptions;
  readonly #vms: { readonly options: VmOptions; readonly console: ConsoleBackend }[] = [];
  #machine: ArchMachine | null = null;
  /** The same, if it is one. */
  #power: PowerMachine | null = null;
  #pkvm: PkvmMachine | null = null;
  #outcome: Outcome | null = null;
  #milliseconds = 0;

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  addVm(options: VmOptions): AddedVm {
    if (this.#machine !== null) throw new Error('a VM can be added only before the machine runs');
    const buffer = new ConsoleBuffer();
    const index = this.#vms.length;
    this.#vms.push({ options, console: options.console ?? buffer });
    return { name: options.name, console: buffer, plugMemory: (size) => this.#plugMemory(index, size) };
  }

  prepare(): void {
    this.#machine ??= this.#make();
  }

  stop(detail: string): Outcome {
    this.prepare();
    this.#outcome = { kind: 'stopped', detail };
    return this.#outcome;
  }

  run(limit?: number): Outcome {
    this.#machine ??= this.#make();
    const machine = this.#machine;
    const start = performance.now();
    this.#outcome = machine.run(limit);
    this.#milliseconds += performance.now() - start;
    return this.#outcome;
  }

  report(): Report {
    const machine = this.#machine;
    if (machine === null || this.#outcome === null) throw new Error('there is no report before the first run');
    const statistics = machine.statistics();
    const states = Object.values(statistics.vmStates);
    const { regions, instructions, bytes } = machine.engine.statistics;
    const hostile = this.#power?.hostile ?? this.#pkvm?.hostile;
    return {
      arch: this.#options.arch,
      protected: this.#options.protected ?? false,
      outcome: this.#outcome.kind,
      detail: this.#outcome.detail,
      vmState: states.length <= 1 ? (states[0] ?? 'normal') : statistics.vmStates,
      instructions: machine.clock.now,
      idle: machine.clock.idle,
      seconds: this.#milliseconds / 1000,
      seed: this.#options.seed ?? DEFAULT_SEED,
      exits: statistics.exits,
      calls: statistics.calls,
      pages: statistics.pages,
      esmFailures: statistics.esmFailures,
      hypervisorSaw: {
        entries: statistics.hypervisorEntries,
        refused: statistics.refused,
        ...(statistics.pagesRead && { pagesRead: statistics.pagesRead }),
        ...(this.view && { sightings: this.view.sightings.length }),
        ...(hostile && { attack: this.#attackReport(hostile) }),
      },
      translation: { regions, instructions, bytes },
    };
  }

  #attackReport({ toolbox: { attempts, loot } }: Hostile | ArmHostile): AttackReport {
    return {
      name: (this.#options.attack ?? this.#options.armAttack)?.name ?? '',
      attempts: Object.fromEntries(attempts),
      lootBytes: loot.reduce((sum, { length }) => sum + length, 0),
    };
  }

  get view(): HypervisorView | null {
    return this.#power?.view ?? this.#pkvm?.view ?? null;
  }

  get clock(): number {
    return this.#machine?.clock.now ?? 0;
  }

  get idle(): number {
    return this.#machine?.clock.idle ?? 0;
  }

  get vmStates(): Readonly<Record<string, string>> {
    return this.#machine?.vmStates() ?? {};
  }

  #plugMemory(index: number, size: number): PluggedMemory {
    const guest = this.#power?.guests[index];
    if (guest === undefined) throw new Error('memory can be plugged in only where a guest runs');
    const plugged = guest.plugMemory(size);
    return { base: plugged.slot.base, size, unplug: () => void guest.unplugMemory(plugged) };
  }

  get instructionsPerMillisecond(): number {
    return INSTRUCTIONS_PER_MILLISECOND[this.#options.arch];
  }

  #make(): ArchMachine {
    if (this.#options.arch === 'arm64') return this.#makeArm();
    if (this.#options.arch === 's390') return this.#makeS390();
    this.#power = this.#makePower();
    return this.#power;
  }

  /** @throws OptionError for what cannot be granted */
  #makeArm(): ArmMachine | PkvmMachine | ArmHostMachine {
    const { protected: offered = false, pkvmProfile, role = 'guest', watch, armAttack, seedOverrides } = this.#options;
    const guests = this.#vms.map(({ options, console }) => ({
      name: options.name,
      image: options.image,
      initrd: options.initrd ?? null,
      cmdline: options.cmdline ?? '',
      memory: options.memory ?? DEFAULT_MEMORY,
      cpus: options.cpus ?? 1,
      console,
      ...(options.disk && { disk: options.disk }),
    }));
    const shared = {
      interpret: this.#options.interpret ?? false,
      seed: this.#options.seed ?? DEFAULT_SEED,
      ...(seedOverrides && { seedOverrides }),
      crypto: this.#options.crypto ?? defaultProvider(),
      trace: this.#options.trace ?? null,
    };
    const [guest = noVm()] = guests;
    if (role === 'host') return new ArmHostMachine({ ...guest, profile: pkvmProfile ?? 'I', ...shared });
    const asked = offered || pkvmProfile !== undefined || armAttack !== undefined || watch !== undefined;
    if (!asked && guests.length === 1) return new ArmMachine({ guest, ...shared });
    this.#pkvm = new PkvmMachine({
      guests,
      protected: offered,
      profile: pkvmProfile ?? 'I',
      ...shared,
      ...(armAttack && { attack: armAttack }),
      ...(watch && { watch }),
    });
    return this.#pkvm;
  }

  /** @throws OptionError for what s390 does not have yet */
  #makeS390(): S390Machine | S390HostMachine {
    const {
      protected: offered = false,
      role = 'guest',
      watch,
      attack,
      trace = null,
      interpret = false,
    } = this.#options;
    this.#refuse([
      ['--role host', role === 'host'],
      ['--hypervisor', watch !== undefined || attack !== undefined],
    ]);
    const guests = this.#vms.map(({ options, console }) => {
      const { name, image, initrd = null, cmdline = '', disk = null } = options;
      const devices = { name, image, initrd, cmdline, console, disk, unpack: offered, platformAccess: offered };
      return { name, memory: options.memory ?? DEFAULT_MEMORY, cpus: options.cpus ?? 1, devices };
    });
    const [{ devices, ...only } = noVm()] = guests;
    if (!offered && guests.length === 1) {
      return new S390Machine({
        ...only,
        interpret,
        trace,
        makeUserSpace: (platform, view, clock) => new CcwMachine(platform, new AbsoluteMemory(view), devices, clock),
      });
    }
    return new S390HostMachine({
      guests: guests.map(({ devices: own, ...guest }) => ({
        ...guest,
        makeUserSpace: (platform, memory, clock) => new CcwMachine(platform, memory, own, clock),
      })),
      cpus: Math.max(...guests.map(({ cpus }) => cpus)),
      interpret,
      trace,
      ultravisor: offered ? this.#ultravisorKit() : null,
    });
  }

  /** @throws OptionError for a host key that is none */
  #ultravisorKit(): UltravisorKit {
    const { crypto = defaultProvider(), seed = DEFAULT_SEED, seedOverrides, uvKey } = this.#options;
    return {
      crypto,
      hostKey: keyOf(uvKey ?? DEVELOPMENT_HOST_KEY, readP521PrivateKey),
      random: new RandomSource(crypto, seed, seedOverrides).stream(ULTRAVISOR_RANDOM_STREAM),
    };
  }

  /** @throws OptionError for the first that was asked for */
  #refuse(missing: readonly (readonly [option: string, asked: boolean])[]): void {
    for (const [option, asked] of missing) {
      if (asked) throw new OptionError(option, `not there yet with --arch ${this.#options.arch}`);
    }
  }

  #makePower(): PowerMachine {
    const { options, console: first } = this.#vms[0] ?? noVm();
    const { role = 'guest', watch } = this.#options;
    const host = {
      role: 'host',
      image: options.image,
      initrd: options.initrd ?? null,
      cmdline: options.cmdline ?? '',
      memory: options.memory ?? DEFAULT_MEMORY,
      cpus: options.cpus ?? 1,
      console: first,
      ...(options.esmBlob && { esmBlob: options.esmBlob }),
    } as const;
    const guests = this.#vms.map((vm) => ({
      name: vm.options.name,
      image: vm.options.image,
      initrd: vm.options.initrd ?? null,
      cmdline: vm.options.cmdline ?? '',
      memory: vm.options.memory ?? DEFAULT_MEMORY,
      ...(vm.options.maxMemory !== undefined && { maxMemory: vm.options.maxMemory }),
      cpus: vm.options.cpus ?? 1,
      entry: vm.options.entry ?? ('of' as const),
      console: vm.console,
      ...(vm.options.disk && { disk: vm.options.disk }),
      ...(vm.options.esmBlob && { esmBlob: vm.options.esmBlob }),
    }));
    return new PowerMachine({
      protected: this.#options.protected ?? false,
      secureMemory: this.#options.secureMemory ?? DEFAULT_SECURE_MEMORY,
      software: role === 'host' ? host : { role: 'guest', guests },
      pageMerging: this.#options.pageMerging ?? false,
      interpret: this.#options.interpret ?? false,
      seed: this.#options.seed ?? DEFAULT_SEED,
      ...(this.#options.seedOverrides && { seedOverrides: this.#options.seedOverrides }),
      crypto: this.#options.crypto ?? defaultProvider(),
      cipher: this.#options.cipher ?? 'iapm',
      ...(this.#options.uvKey !== undefined && { uvKey: keyOf(this.#options.uvKey, readRsaPrivateKey) }),
      esmScope: this.#options.esmScope ?? 'all',
      ...(this.#options.securePfns !== undefined && { securePfns: this.#options.securePfns }),
      trace: this.#options.trace ?? null,
      ...(watch && { watch }),
      ...(this.#options.attack && { attack: this.#options.attack }),
    });
  }
}

/** @throws OptionError for a text that is no such key */
function keyOf<K>(pem: string, read: (pem: string) => K): K {
  try {
    return read(pem);
  } catch (error) {
    if (error instanceof PemError) throw new OptionError('uvKey', error.message);
    throw error;
  }
}

function noVm(): never {
  throw new Error('a machine needs a VM');
}
