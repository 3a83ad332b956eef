import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import { CR0, LOWCORE, PSW, SD, UVCB } from '../abi.ts';
import { ENTRIES, type NativeLevel, type RegisterPort, STUBS, type Stub, WAIT_PSW } from '../cpu/host-port.ts';
import { createVm, type VmSpec } from './create-vm.ts';
import { GuestStorage } from './guest-storage.ts';
import { HostStorage, PAGE, type StorageRange } from './host-storage.ts';
import type { ExitCause, ExitJob, Job, PvJob, Result, Step } from './job.ts';
import type { PvCommand } from './pv-command.ts';
import { runJob, uvcName } from './run-job.ts';
import { pvJob } from './run-pv.ts';
import { type Ctx, count, type KvmHooks, type KvmState, type KvmStatistics } from './state.ts';
import type { UserSpace } from './user-space.ts';
import { type UvcAnswer, type UvInfo, u16 } from './uvc.ts';
import { startVcpu } from './vcpu-reset.ts';
import type { Vcpu, Vm } from './vm.ts';
import { VmPlatform } from './vm-platform.ts';

/** What the hypervisor is built from. */
export interface KvmOptions {
  /** Storage with the rights of the host. */
  readonly view: HostView;
  /** Storage that is the hypervisor's to give out: guest pages, tables, state descriptions, what it donates. */
  readonly storage: readonly StorageRange[];
  /** Physical CPUs, and the absolute addresses of their prefix areas. */
  readonly prefixes: readonly RealAddress[];
  /** The host is to use UV calls (`prot_virt=1` and facility 158). */
  readonly ultravisor: boolean;
  readonly trace: TraceSink | null;
  /** The TOD clock, for devices. */
  readonly tod: () => bigint;
  /** Some interruption has become pending for a VM: its CPUs have to leave SIE or their wait. */
  readonly kick: () => void;
  /** TOD units that a vCPU runs before the next of its CPU; 10 ms by default. */
  readonly timeSlice?: bigint;
  readonly hooks?: KvmHooks;
}

const DEFAULT_TIME_SLICE = 40_960_000n;

/** PSWs of the host: 64-bit addressing, real mode; while it waits open for external and I/O interruptions. */
const HOST_PSW = PSW.EA | PSW.BA;
const HOST_WAIT = HOST_PSW | PSW.WAIT | PSW.EXTERNAL | PSW.IO;

/** New PSWs of the host's prefix area, by what they are for. */
const NEW_PSWS = [
  [LOWCORE.RESTART_NEW, ENTRIES.restart],
  [LOWCORE.EXTERNAL_NEW, ENTRIES.external],
  [LOWCORE.PROGRAM_NEW, ENTRIES.program],
  [LOWCORE.MACHINE_CHECK_NEW, ENTRIES.machineCheck],
  [LOWCORE.IO_NEW, ENTRIES.io],
] as const;

/** TEID bits that are the address (3.3). */
const TEID_ADDRESS = 0xffff_ffff_ffff_f000n;

/**
 * The KVM half: untrusted host software in an LPAR, as Linux's KVM for s390 is. It knows what the architecture tells it, the registers and the storage of its
 * view, and reaches the Ultravisor by UVC and SIE alone.
 */
export class Kvm implements NativeLevel {
  readonly #state: KvmState;
  readonly #prefixes: readonly RealAddress[];
  readonly #tod: () => bigint;
  readonly #kick: () => void;
  #entries = 0;
  /** A CPU is in the hypervisor. */
  #inside = false;

  /** Writes the host's prefix areas. @throws RangeError if there is no storage for control blocks */
  constructor(options: KvmOptions) {
    const { view, prefixes } = options;
    this.#prefixes = prefixes;
    this.#tod = options.tod;
    this.#kick = options.kick;
    const storage = new HostStorage(view, options.storage);
    this.#state = {
      view,
      storage,
      guests: new GuestStorage(view, storage),
      wantsUltravisor: options.ultravisor,
      uv: null,
      vms: [],
      userSpace: new Map(),
      cpus: prefixes.map((_, index) => {
        const block = storage.allocate(PAGE);
        if (block === undefined) throw new RangeError('the host has no storage');
        return { index, running: null, inSie: false, jobs: [], block };
      }),
      requests: [],
      statistics: { exits: {}, calls: {}, protectFailures: [] },
      trace: options.trace,
      timeSlice: options.timeSlice ?? DEFAULT_TIME_SLICE,
      hooks: options.hooks ?? {},
    };
    for (const prefix of prefixes) writeLowcore(view, prefix);
  }

  get vms(): readonly Vm[] {
    return this.#state.vms;
  }

  get guests(): GuestStorage {
    return this.#state.guests;
  }

  /** Bytes that the hypervisor could still give out. */
  get freeStorage(): number {
    return this.#state.storage.free;
  }

  /** Whether the first CPU is through with what has to be done before there are others. */
  get booted(): boolean {
    const [first] = this.#state.cpus;
    return this.#entries > 0 && first?.jobs.every(({ kind }) => kind !== 'boot') === true;
  }

  /** How often a CPU entered the hypervisor. */
  get entries(): number {
    return this.#entries;
  }

  get statistics(): KvmStatistics {
    return this.#state.statistics;
  }

  /** What the Ultravisor offers; null while the host role is off. */
  get ultravisor(): UvInfo | null {
    return this.#state.uv;
  }

  /** Whether nothing is left to run: every VM has ended and is taken down. */
  get finished(): boolean {
    return this.vms.every(({ destroyed }) => destroyed);
  }

  /**
   * Makes a VM whose first CPU starts when a CPU next enters the hypervisor.
   * @param makeUserSpace gets the VM and the machine that its devices are to see
   * @throws RangeError if storage or CPUs do not allow it
   */
  createVm(spec: VmSpec, makeUserSpace: (vm: Vm, platform: VmPlatform) => UserSpace): Vm {
    const vm = createVm(this.#state, spec);
    this.#state.vms.push(vm);
    const user = makeUserSpace(vm, new VmPlatform(vm, { tod: this.#tod, notice: () => this.#notice(vm) }));
    this.#state.userSpace.set(vm.id, user);
    startVcpu(vm.vcpus[0] as Vcpu, user.load());
    return vm;
  }

  /**
   * KVM_S390_PV_COMMAND at the next entry into the hypervisor.
   * @returns the job: `result` is 0 or a negative errno once it is done, `rc` and `rrc` those of its last UVC
   */
  schedule(vm: Vm, command: PvCommand): PvJob {
    const job = pvJob(vm, command);
    this.#state.requests.push(job);
    return job;
  }

  enter(port: RegisterPort, address: number): Stub {
    this.#entries += 1;
    this.#inside = true;
    const stub = this.#enter(port, address);
    this.#inside = false;
    return stub;
  }

  #enter(port: RegisterPort, address: number): Stub {
    const kvm = this.#state;
    const cpu = kvm.cpus[port.cpu];
    if (cpu === undefined) throw new Error(`the host has no CPU ${port.cpu}`);
    const ctx: Ctx = { kvm, port, cpu };
    if (address === STUBS.uvc.address + 4) return run(ctx, { uvc: readAnswer(ctx), value: 0 });
    const vcpu = cpu.inSie ? cpu.running : null;
    cpu.inSie = false;
    if (vcpu !== null) saveRegisters(port, vcpu);
    if (address === ENTRIES.restart) this.#boot(ctx);
    else cpu.jobs.push(exitJob(vcpu, this.#cause(port, address, vcpu)));
    return run(ctx, { uvc: null, value: 0 });
  }

  /** An interruption of a device's: whoever could take it has to look, and outside of the hypervisor the CPUs have to come into it first. */
  #notice(vm: Vm): void {
    for (const vcpu of vm.vcpus) vcpu.kicked = true;
    if (!this.#inside) this.#kick();
  }

  /** The host's first instruction on a CPU. */
  #boot({ kvm, port, cpu }: Ctx): void {
    port.setCr(0, CR0.CLOCK_COMPARATOR | CR0.EMERGENCY_SIGNAL | CR0.EXTERNAL_CALL | CR0.SERVICE_SIGNAL | CR0.AFP);
    port.setCr(6, 0xff000000n);
    cpu.jobs.push(exitJob(null, { kind: 'idle' }));
    const isFirst = cpu.index === 0;
    if (isFirst && kvm.wantsUltravisor) cpu.jobs.push({ kind: 'boot', step: 'query', info: null });
  }

  #cause(port: RegisterPort, address: number, vcpu: Vcpu | null): ExitCause {
    if (address === STUBS.sie.address + 4) return { kind: 'interception' };
    if (address !== ENTRIES.program) return vcpu === null ? { kind: 'idle' } : { kind: 'interruption' };
    const prefix = this.#prefixes[port.cpu] as RealAddress;
    const { view } = this.#state;
    const code = u16(view.read((prefix + LOWCORE.PROGRAM_CODE) as RealAddress, 2), 0);
    if (vcpu === null) throw new Error(`program interruption 0x${code.toString(16)} of the host's own code`);
    const teid = view.readU64((prefix + LOWCORE.TRANSLATION_EXCEPTION_ID) as RealAddress);
    return { kind: 'program', code, address: Number(teid & TEID_ADDRESS) };
  }
}

function exitJob(vcpu: Vcpu | null, cause: ExitCause): ExitJob {
  return { kind: 'exit', step: 'dispatch', vcpu, cause, yields: false };
}

/** Runs jobs until one leaves the hypervisor. */
function run(ctx: Ctx, first: Result): Stub {
  const { kvm, cpu, port } = ctx;
  let result = first;
  for (;;) {
    const job = cpu.jobs.at(-1);
    if (job === undefined) {
      cpu.jobs.push(exitJob(null, { kind: 'idle' }));
      continue;
    }
    const step: Step = runJob(ctx, job, result);
    result = { uvc: null, value: 0 };
    switch (step.do) {
      case 'uvc':
        return issue(ctx, step.block);
      case 'job':
        cpu.jobs.push(step.job);
        break;
      case 'give':
        remove(cpu.jobs, job);
        job.result = step.value;
        result = { uvc: null, value: step.value };
        break;
      case 'sie':
        remove(cpu.jobs, job);
        loadRegisters(port, step.vcpu);
        cpu.inSie = true;
        step.vcpu.vm.wasSecure = step.vcpu.secure !== null;
        kvm.hooks.entering?.(ctx, step.vcpu);
        signalKicked(ctx);
        return 'sie';
      case 'wait':
        remove(cpu.jobs, job);
        signalKicked(ctx);
        return 'wait';
    }
  }
}

/** Has other CPUs look again at what concerns their vCPUs. Of this CPU's own has just been looked at. */
function signalKicked({ kvm, port, cpu }: Ctx): void {
  const targets = new Set<number>();
  for (const vm of kvm.vms) {
    for (const vcpu of vm.vcpus) {
      if (vcpu.kicked && vcpu.cpu !== cpu.index) targets.add(vcpu.cpu);
      vcpu.kicked = false;
    }
  }
  for (const target of targets) port.signal(target);
}

/** A job may have pushed others above itself before it was done. */
function remove(jobs: Job[], job: Job): void {
  jobs.splice(jobs.lastIndexOf(job), 1);
}

function issue(ctx: Ctx, honest: Uint8Array): Stub {
  const { kvm, port, cpu } = ctx;
  const block = kvm.hooks.uvc?.(ctx, honest) ?? honest;
  kvm.view.write(cpu.block, block);
  port.setGr(2, 0n);
  port.setGr(3, BigInt(cpu.block));
  count(kvm.statistics.calls, uvcName(block));
  return 'uvc';
}

function readAnswer(ctx: Ctx): UvcAnswer {
  const { kvm, port, cpu } = ctx;
  const length = u16(kvm.view.read(cpu.block, 2), 0);
  const block = kvm.view.read(cpu.block, Math.max(UVCB.HEADER_SIZE, Math.min(length, PAGE)));
  const cc = port.cc();
  kvm.hooks.answered?.(ctx, block, cc);
  return { cc, rc: u16(block, UVCB.RC), rrc: u16(block, UVCB.RRC), block };
}

/** Registers that SIE takes from the CPU: of a normal guest. A protected one's are the Ultravisor's. */
function loadRegisters(port: RegisterPort, vcpu: Vcpu): void {
  const { sie, vm, secure } = vcpu;
  port.setCr(1, vm.gmap.asce);
  if (secure === null) {
    for (let n = 0; n < 14; n++) port.setGr(n, vcpu.gr[n] as bigint);
    sie.setU64(SD.GR14, vcpu.gr[14] as bigint);
    sie.setU64(SD.GR15, vcpu.gr[15] as bigint);
    for (let n = 0; n < 16; n++) {
      port.setFpr(n, vcpu.fpr[n] as bigint);
      port.setAr(n, vcpu.ar[n] as number);
    }
    port.setFpc(vcpu.fpc);
  }
  port.setGr(14, BigInt(sie.address));
}

function saveRegisters(port: RegisterPort, vcpu: Vcpu): void {
  if (vcpu.secure !== null) return;
  for (let n = 0; n < 14; n++) vcpu.gr[n] = port.gr(n);
  vcpu.gr[14] = vcpu.sie.u64(SD.GR14);
  vcpu.gr[15] = vcpu.sie.u64(SD.GR15);
  for (let n = 0; n < 16; n++) {
    vcpu.fpr[n] = port.fpr(n);
    vcpu.ar[n] = port.ar(n);
  }
  vcpu.fpc = port.fpc();
}

function writeLowcore(view: HostView, prefix: RealAddress): void {
  const put = (offset: number, mask: bigint, address: number): void => {
    view.writeU64((prefix + offset) as RealAddress, mask);
    view.writeU64((prefix + offset + 8) as RealAddress, BigInt(address));
  };
  for (const [offset, address] of NEW_PSWS) put(offset, HOST_PSW, address);
  put(WAIT_PSW, HOST_WAIT, 0);
  for (const { address, words } of Object.values(STUBS)) {
    for (const [n, word] of words.entries()) view.writeU32((prefix + address + 4 * n) as RealAddress, word);
  }
}
