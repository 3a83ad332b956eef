import type { CryptoProvider } from '../crypto/provider.ts';
import type { RsaPrivateKey } from '../crypto/rsa.ts';
import { readRsaPrivateKey } from '../crypto/rsa-key.ts';
import type { ConsoleBackend } from '../devices/console.ts';
import type { DiskBackend } from '../devices/disk.ts';
import { Engine } from '../engine/engine.ts';
import type { ImageFile } from '../image/image-file.ts';
import { HostView } from '../machine/host-view.ts';
import { HypervisorView, type HypervisorViewOptions } from '../machine/hypervisor-view.ts';
import { makeStore } from '../machine/make-store.ts';
import { RealMemory, type RegionSpec } from '../machine/memory.ts';
import { RandomSource } from '../machine/random.ts';
import { type MachineOutcome, type MachineStatistics, pagesReadBy } from '../machine/run-report.ts';
import { MachineClock, runMachine, startOfSchedule } from '../machine/scheduler.ts';
import { type Agent, OptionError, type RealAddress } from '../machine/types.ts';
import type { TraceSink } from '../trace/events.ts';
import { type Gfn, MSR, SECURE_ADDRESS_BIT, UV_PAGE_SIZE } from './abi.ts';
import type { EntryCause } from './cpu/core.ts';
import type { Level } from './cpu/msr.ts';
import type { NativeSeat } from './cpu/native-levels.ts';
import { PowerCpu } from './cpu/power-cpu.ts';
import { LevelPort } from './cpu/register-port.ts';
import { powerIsa } from './isa/index.ts';
import type { PowerMode } from './isa/mode.ts';
import { layout } from './isa/state.ts';
import type { Attack } from './kvm/hostile/attack.ts';
import { Hostile } from './kvm/hostile/hostile.ts';
import { Kvm } from './kvm/kvm.ts';
import { DEFAULT_PAGE_MERGING } from './kvm/merging-state.ts';
import { RunWatch } from './run-watch.ts';
import { blobForGuestOfHost, initrdWithBlob, type TenantKit } from './tenant.ts';
import type { EsmScope } from './ultravisor/context.ts';
import { DEVELOPMENT_KEY } from './ultravisor/development-key.ts';
import type { PageCipher } from './ultravisor/page-cipher.ts';
import { Ultravisor } from './ultravisor/ultravisor.ts';
import { placeHost } from './vmm/host-image.ts';
import { Opal } from './vmm/opal.ts';
import { Spapr } from './vmm/spapr.ts';

/** Real addresses that do not depend on the machine's size. Firmware is normal memory above all RAM that a machine can have. */
const FIRMWARE_BASE = 0x1_0000_0000;
const HYPERVISOR_STUBS = FIRMWARE_BASE as RealAddress;
const OPAL_BASE = (FIRMWARE_BASE + UV_PAGE_SIZE) as RealAddress;
const FIRMWARE_SIZE = 2 * UV_PAGE_SIZE;
const SECURE_BASE = SECURE_ADDRESS_BIT as RealAddress;

/** `attn; blr`: what a call of OPAL executes. */
const OPAL_ENTRY = [0x00000200, 0x4e800020];

/** EA bit 0 keeps HRMOR out of a real-mode address. */
const NO_OFFSET = 1n << 63n;
/** An address at which native hypervisor code is entered for the first time: behind its stubs. */
const KVM_BOOT = NO_OFFSET | BigInt(HYPERVISOR_STUBS + 0x1000);

/** Normal memory of the hypervisor itself, beside what guests get: tables, and pages on their way in or out. */
const HOST_MEMORY = 0x400000;

/** The Ultravisor's stubs and its partition table. */
const LEAST_SECURE_MEMORY = 4 * UV_PAGE_SIZE;

/** Time base ticks between two guests of a hypervisor that needs several at once. */
const SHORT_TIME_SLICE = 50_000n;

/**
 * How a guest gets an ESM blob, without which it does not become secure:
 * - `auto`: if the machine has the development key, and the initrd brings none along, one is made of the files that the
 *   guest is given, as their tenant would;
 * - `none`: it has what is in its initrd, or nothing;
 * - a file: that blob, which the device tree tells of (power-pef.md 7.1).
 */
export type EsmBlobOption = 'auto' | 'none' | ImageFile;

/** One guest of the native hypervisor. */
export interface GuestOptions {
  readonly name: string;
  readonly image: ImageFile;
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes, a multiple of 64 KiB. */
  readonly memory: number;
  /** As much as it may have with what is plugged in while it runs (QEMU's `maxmem`); not below `memory`, which is the default. */
  readonly maxMemory?: number;
  readonly cpus: number;
  readonly entry: 'of' | 'fdt';
  readonly console: ConsoleBackend;
  /** A virtio block device. */
  readonly disk?: DiskBackend;
  /** Default `auto`. */
  readonly esmBlob?: EsmBlobOption;
}

/** A hypervisor in machine code in place of the native one. */
export interface HostOptions {
  readonly image: ImageFile;
  /** For a hypervisor of ours: the guest image. */
  readonly initrd: ImageFile | null;
  readonly cmdline: string;
  /** Bytes of normal memory, a multiple of 64 KiB. */
  readonly memory: number;
  readonly cpus: number;
  readonly console: ConsoleBackend;
  /** For its guest, if that is an ELF file in `initrd`. Default `auto`. */
  readonly esmBlob?: EsmBlobOption;
}

/**
 * The pool of secure-PFNs, of which KVM takes one for each frame that is Secure and paged in:
 * - `guests`: enough for all frames of all guests, however little secure memory there is: the Ultravisor pages out;
 * - `memory`: one for each page of secure memory, as Linux has them by the device tree's `secure-memory-ranges`;
 * - a number of 64 KiB pages.
 * Where it runs out, H_SVM_PAGE_IN gives H_PARAMETER, H_SVM_INIT_DONE H_STATE, and a plugged slot is not the SVM's.
 */
export type SecurePfns = 'guests' | 'memory' | number;

/** A POWER9 machine. */
export interface PowerMachineOptions {
  /** The Protected Execution Facility is offered: SMFCTRL[E], secure memory and an Ultravisor. */
  readonly protected: boolean;
  /** Bytes of secure memory, a multiple of 64 KiB; used only with `protected`. */
  readonly secureMemory: number;
  /** How many secure-PFNs the native hypervisor has. Default `guests`. */
  readonly securePfns?: SecurePfns;
  readonly software:
    | { readonly role: 'guest'; readonly guests: readonly GuestOptions[] }
    | ({ readonly role: 'host' } & HostOptions);
  /** Equal pages of normal VMs are merged, copy-on-write. */
  readonly pageMerging?: boolean;
  /** Interpret everything. */
  readonly interpret: boolean;
  readonly seed: string;
  /** Seeds of single random streams, by purpose. */
  readonly seedOverrides?: ReadonlyMap<string, string>;
  readonly crypto: CryptoProvider;
  /** How the Ultravisor encrypts pages. Default `iapm`. */
  readonly cipher?: PageCipher;
  /** The machine's private key, for which blobs are made. Default: the development key, which everybody has. */
  readonly uvKey?: RsaPrivateKey;
  /** What of its memory a VM takes along when it becomes secure. Default `all`. */
  readonly esmScope?: EsmScope;
  readonly trace: TraceSink | null;
  /** Watch what the hypervisor can learn. */
  readonly watch?: HypervisorViewOptions;
  /** The native hypervisor is hostile in this way. */
  readonly attack?: Attack;
  /** The two frames that it attacks; default: the first that a guest's image begins with zeros, where it keeps what it computes. */
  readonly attackTargets?: readonly [Gfn, Gfn];
}

/** Purposes of the machine's random streams. */
export const RANDOM_STREAM = {
  /** H_RANDOM of secure guests, answered inside the Ultravisor. */
  secureGuest: 'h-random',
  /** H_RANDOM of normal guests, answered by the hypervisor. */
  normalGuest: 'h-random-normal',
  cookies: 'cookies',
  keys: 'page keys',
  darn: 'darn',
  /** Keys and padding of blobs that are made for a run. */
  esmBlobs: 'ESM blobs',
} as const;

/** Puts one POWER9 machine together and runs it. */
export class PowerMachine {
  readonly clock = new MachineClock();
  readonly memory: RealMemory;
  readonly cpus: readonly PowerCpu[];
  readonly engine: Engine<PowerMode>;
  readonly ultravisor: Ultravisor | null;
  /** null where the hypervisor is machine code. */
  readonly kvm: Kvm | null;
  readonly guests: readonly Spapr[];
  /** null unless the hypervisor is hostile. */
  readonly hostile: Hostile | null;
  /** What the hypervisor could learn; null unless watched. */
  readonly view: HypervisorView | null;
  readonly #options: PowerMachineOptions;
  readonly #watch: RunWatch;
  #hypervisorEntries = 0;
  readonly #views: HostView[] = [];
  readonly #schedule = startOfSchedule();
  readonly #random: RandomSource;
  /** What blobs are made with for guests that need one; null if none are made. */
  readonly #tenant: TenantKit | null;
  readonly #opal: Opal | null;

  /**
   * @throws ImageError for an image that cannot be placed
   * @throws OptionError for an option that cannot be granted
   * @throws RangeError if all memory together is over the limit
   */
  constructor(options: PowerMachineOptions) {
    this.#options = options;
    const { software, crypto } = options;
    this.#watch = new RunWatch(options.trace);
    const trace = this.#watch;
    this.#random = new RandomSource(crypto, options.seed, options.seedOverrides);
    this.#tenant = options.protected && options.uvKey === undefined ? this.#makeTenant() : null;
    const cpuCount = software.role === 'host' ? software.cpus : Math.max(1, ...software.guests.map(({ cpus }) => cpus));
    const regions = planRegions(options);
    const store = makeStore(regions, Engine.bytes + cpuCount * Engine.bytesPerContext + regions.length * UV_PAGE_SIZE);
    this.engine = new Engine(store, powerIsa, layout, { translate: !options.interpret });
    this.memory = new RealMemory(store, regions);
    this.view = options.watch === undefined ? null : new HypervisorView(this.memory, crypto, options.watch);
    const hypervisorView = this.#viewOf('hypervisor');
    this.ultravisor = options.protected ? this.#makeUltravisor(regions) : null;
    this.hostile = options.attack === undefined ? null : this.#makeHostile(options.attack, regions);
    this.kvm =
      software.role === 'guest'
        ? new Kvm({
            bootEntry: KVM_BOOT,
            view: hypervisorView,
            memory: [{ base: 0 as RealAddress, size: sizeOf(regions, 'normal') }],
            cpus: cpuCount,
            ultravisor: options.protected,
            secureMemory: securePfnBytes(options),
            random: this.#random.stream(RANDOM_STREAM.normalGuest),
            trace,
            ...(options.pageMerging && { pageMerging: DEFAULT_PAGE_MERGING }),
            ...(this.hostile && { hooks: this.hostile }),
            // Guests that a hypervisor uses against each other have to run at the same time.
            ...(options.attack?.accomplice === true && { timeSlice: SHORT_TIME_SLICE }),
          })
        : null;
    this.#opal = software.role === 'host' ? new Opal(software.console, trace) : null;
    const cpus: PowerCpu[] = [];
    for (let index = 0; index < cpuCount; index++) cpus.push(this.#makeCpu(index, cpus));
    this.cpus = cpus;
    this.guests = software.role === 'guest' ? this.#makeGuests(software.guests) : [];
    for (const { vm, loaded } of this.guests) {
      this.hostile?.toolbox.aim(vm, { ...loaded, targets: options.attackTargets ?? loaded.targets });
    }
    if (software.role === 'host') this.#startHost(software);
    else for (const cpu of cpus) cpu.powerOn(this.#firstEntry());
  }

  /**
   * Runs until the software has ended or the clock reaches `limit` instructions.
   * @returns how it ended; `limit` can be run on
   */
  run(limit: number = Number.MAX_SAFE_INTEGER): MachineOutcome {
    const end = runMachine(this.cpus, this.clock, () => this.#ended(), limit, this.#schedule);
    if (end === 'limit') return { kind: 'limit', detail: `${limit} instructions` };
    if (end === 'deadlock') return { kind: 'crashed', detail: 'every CPU waits, and nothing is due' };
    return this.#outcome();
  }

  /** By VM: the last state in which it could execute. */
  vmStates(): MachineStatistics['vmStates'] {
    const states = this.#watch.vmStates;
    const known =
      this.kvm === null
        ? [...states.keys()].map((vm) => [vm, `lpid ${vm}`] as const)
        : this.guests.map(({ vm }) => [vm.lpid, vm.name] as const);
    return Object.fromEntries(known.map(([vm, name]) => [name, states.get(vm) ?? 'normal']));
  }

  /** Counts since the start. */
  statistics(): MachineStatistics {
    const { kvm } = this;
    const pages: Record<string, number> = {};
    const frames =
      kvm === null
        ? (this.ultravisor?.report().svms.map((svm) => svm.pages) ?? [])
        : this.guests.map(({ vm }) => kvm.frames(vm));
    for (const counts of frames) {
      for (const [state, n] of Object.entries(counts)) pages[state] = (pages[state] ?? 0) + n;
    }
    return {
      exits: kvm?.statistics.exits ?? {},
      calls: { ...kvm?.statistics.hypercalls, ...kvm?.statistics.ultracalls },
      pages,
      vmStates: this.vmStates(),
      esmFailures: this.#watch.esmFailures.map(({ vm, reason }) => ({ vm: this.#nameOf(vm), reason })),
      hypervisorEntries: this.#hypervisorEntries,
      refused: this.#watch.refused,
      pagesRead: pagesReadBy(this.#views),
    };
  }

  #nameOf(lpid: number): string {
    return this.guests.find(({ vm }) => vm.lpid === lpid)?.vm.name ?? `lpid ${lpid}`;
  }

  #firstEntry(): bigint | undefined {
    return this.#options.protected ? undefined : KVM_BOOT;
  }

  #ended(): boolean {
    if (this.cpus.every((cpu) => cpu.stopped)) return true;
    return this.#opal === null
      ? this.guests.every(({ vm }) => vm.end !== null && vm.destroyed)
      : this.#opal.end !== null;
  }

  #outcome(): MachineOutcome {
    if (this.#opal?.end) return this.#opal.end;
    const worst = this.guests.map(({ vm }) => vm.end).find((end) => end !== null && end.kind !== 'poweroff');
    const end = worst ?? this.guests[0]?.vm.end;
    return end ?? { kind: 'crashed', detail: 'checkstop: a machine check while machine checks were off' };
  }

  #makeHostile(attack: Attack, regions: readonly RegionSpec[]): Hostile {
    const size = sizeOf(regions, 'secure');
    return new Hostile(attack, this.#viewOf('device'), size === 0 ? null : { base: SECURE_BASE, size });
  }

  #viewOf(agent: Agent): HostView {
    const rights = { agent, secure: agent === 'ultravisor' };
    const view = new HostView(this.memory, rights, this.#watch, () => this.clock.stamp);
    this.#views.push(view);
    return view;
  }

  #makeUltravisor(regions: readonly RegionSpec[]): Ultravisor {
    const { software, crypto } = this.#options;
    const size = sizeOf(regions, 'secure') - UV_PAGE_SIZE;
    const nia = software.role === 'host' ? placeHost(software.image, software.memory).entry : KVM_BOOT;
    return new Ultravisor({
      view: this.#viewOf('ultravisor'),
      secureRanges: [{ base: (SECURE_BASE + UV_PAGE_SIZE) as RealAddress, size }],
      hypervisorEntry: { nia, msr: MSR.SF | MSR.HV | MSR.ME },
      random: {
        cookies: this.#random.stream(RANDOM_STREAM.cookies),
        keys: this.#random.stream(RANDOM_STREAM.keys),
        hRandom: this.#random.stream(RANDOM_STREAM.secureGuest),
      },
      crypto,
      cipher: this.#options.cipher ?? 'iapm',
      machineKey: this.#options.uvKey ?? readRsaPrivateKey(DEVELOPMENT_KEY),
      esmScope: this.#options.esmScope ?? 'all',
      trace: this.#watch,
      // A native hypervisor emits the calls that it serves itself.
      traceServed: software.role === 'host',
    });
  }

  #makeCpu(index: number, cpus: readonly PowerCpu[]): PowerCpu {
    const { kvm, ultravisor } = this;
    const hypervisor: NativeSeat | undefined =
      kvm === null ? undefined : { level: kvm, stubPage: HYPERVISOR_STUBS, boot: (port) => kvm.boot(port) };
    const uv: NativeSeat | undefined =
      ultravisor === null
        ? undefined
        : { level: ultravisor, stubPage: SECURE_BASE, boot: (port) => ultravisor.boot(port) };
    const darn = this.#random.stream(`${RANDOM_STREAM.darn} ${index}`);
    const firmware = this.#viewOf('firmware');
    return new PowerCpu({
      memory: this.memory,
      engine: this.engine,
      clock: this.clock,
      index,
      trace: this.#watch,
      secureMemory: this.#options.protected,
      random: () => new DataView(darn(8).buffer).getBigUint64(0),
      peers: {
        invalidateTranslations: () => {
          for (const cpu of cpus) cpu.flushTranslations();
        },
        ringDoorbell: (pir) => {
          const target = cpus[pir];
          if (target !== undefined) target.lines.hypervisorDoorbell = true;
        },
      },
      native: { ...(hypervisor && { hypervisor }), ...(uv && { ultravisor: uv }) },
      attention: { address: BigInt(OPAL_BASE), call: (cpu) => this.#callOpal(cpu, firmware) },
      onLevelEnter: (cpu, level, cause, nia) => this.#observe(cpu, level, cause, nia),
    });
  }

  #callOpal(cpu: PowerCpu, view: HostView): void {
    const port = new LevelPort(cpu.core, OPAL_BASE, {
      invalidateTranslations: () => {},
      ringDoorbell: () => {},
      clearDoorbell: () => {},
    });
    port.during(() => this.#opal?.call(port, view));
    if (this.#opal?.end) cpu.endSlice();
  }

  #observe(cpu: PowerCpu, level: Level, cause: EntryCause, nia: bigint): void {
    if (level.privilege !== 'hypervisor') return;
    this.#hypervisorEntries++;
    if (this.view === null) return;
    const clock = Number(cpu.now);
    this.view.observe({ clock, cpu: cpu.index, cause, nia, registers: cpu.architectedRegisters() });
  }

  #makeGuests(guests: readonly GuestOptions[]): Spapr[] {
    const { kvm } = this;
    if (kvm === null) return [];
    const view = this.#viewOf('vmm');
    const devices = this.#viewOf('device');
    return guests.map((guest) => {
      const { image, initrd, cmdline, esmBlob = 'auto' } = guest;
      const isAuto = esmBlob === 'auto' && this.#tenant !== null;
      const options = {
        ...guest,
        initrd: isAuto ? initrdWithBlob(image, initrd, cmdline, this.#tenant) : initrd,
        esmBlob: typeof esmBlob === 'string' ? null : esmBlob,
        svmEnabled: this.#options.protected,
        trace: this.#watch,
      };
      return new Spapr(kvm, view, options, devices);
    });
  }

  /** Tenants make blobs for the key that everybody has. */
  #makeTenant(): TenantKit {
    return {
      crypto: this.#options.crypto,
      machine: readRsaPrivateKey(DEVELOPMENT_KEY),
      random: this.#random.stream(RANDOM_STREAM.esmBlobs),
    };
  }

  #startHost(host: HostOptions): void {
    const view = this.#viewOf('firmware');
    OPAL_ENTRY.forEach((word, i) => {
      view.writeU32((OPAL_BASE + 4 * i) as RealAddress, word);
    });
    const secure = { base: SECURE_BASE, size: this.#options.secureMemory };
    const placed = placeHost(host.image, host.memory);
    const { initrd, cmdline, esmBlob = 'auto' } = host;
    const made = this.#tenant === null ? null : blobForGuestOfHost(initrd, cmdline, this.#tenant);
    const tree = placed.load(view, {
      initrd,
      esmBlob: typeof esmBlob !== 'string' ? esmBlob : esmBlob === 'auto' ? made : null,
      cmdline,
      cpus: host.cpus,
      opal: { base: OPAL_BASE, entry: OPAL_BASE, size: UV_PAGE_SIZE },
      secureMemory: this.#options.protected ? [secure] : null,
    });
    for (const cpu of this.cpus) {
      cpu.setGpr(3, BigInt(tree));
      cpu.setGpr(8, BigInt(OPAL_BASE));
      cpu.setGpr(9, BigInt(OPAL_BASE));
      cpu.powerOn(this.#options.protected ? undefined : placed.entry);
    }
  }
}

/**
 * KVM's secure PFNs are names, one for each secure frame number of a guest, and the Ultravisor takes a frame for one when it is first needed: so there
 * may be more names than secure memory.
 */
/** Bytes that the secure-PFNs of KVM name. */
function securePfnBytes({
  protected: isProtected,
  secureMemory,
  securePfns = 'guests',
  software,
}: PowerMachineOptions): number {
  if (!isProtected) return 0;
  if (typeof securePfns === 'number') return securePfns * UV_PAGE_SIZE;
  return securePfns === 'memory' ? secureMemory : Math.max(secureMemory, guestMemory(software));
}

function guestMemory(software: PowerMachineOptions['software']): number {
  return software.role === 'host'
    ? 0
    : software.guests.reduce((sum, { memory, maxMemory = memory }) => sum + maxMemory, 0);
}

function planRegions({ software, protected: isProtected, secureMemory }: PowerMachineOptions): RegionSpec[] {
  const normal = software.role === 'host' ? software.memory : HOST_MEMORY + guestMemory(software);
  const regions: RegionSpec[] = [
    { name: 'normal', base: 0 as RealAddress, size: normal, secure: false },
    { name: 'firmware', base: FIRMWARE_BASE as RealAddress, size: FIRMWARE_SIZE, secure: false },
  ];
  if (isProtected) {
    if (secureMemory < LEAST_SECURE_MEMORY) {
      throw new OptionError('--secure-memory', `the Ultravisor itself needs ${LEAST_SECURE_MEMORY >> 10} KiB`);
    }
    regions.push({ name: 'secure', base: SECURE_BASE, size: secureMemory, secure: true });
  }
  return regions;
}

function sizeOf(regions: readonly RegionSpec[], name: string): number {
  return regions.find((r) => r.name === name)?.size ?? 0;
}
