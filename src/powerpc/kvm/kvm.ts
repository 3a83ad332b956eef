import type { HostView } from '../../machine/host-view.ts';
import type { TraceSink } from '../../trace/events.ts';
import { MSR, PATE_DW1, registerToCode, SPR, UV_PAGE_SIZE, ultracallName } from '../abi.ts';
import { type NativeLevel, type RegisterPort, STUBS, type Stub } from '../cpu/port.ts';
import { bootCpu } from './boot.ts';
import { captureExit, idleExit } from './exit-info.ts';
import { GuestMemory } from './guest-memory.ts';
import { HostPages, type MemoryRange } from './host-pages.ts';
import type { ExitJob, PageInvalJob, PageOutJob, SlotCreateJob, SlotDeleteJob, SvmOffJob } from './job.ts';
import { countFrames, createSlot, type Memslot, type SlotSpec, slotConflict } from './memslot.ts';
import { type PageMergingOptions, startPageMerging } from './merging-state.ts';
import { PARTITIONS } from './partition.ts';
import { createTree } from './radix.ts';
import { saveContext } from './registers.ts';
import { runJob } from './run-job.ts';
import { type Ctx, type KvmHooks, type KvmState, loadedVcpu, type Request } from './state.ts';
import { count, type KvmStatistics } from './statistics.ts';
import type { UserSpace } from './user-space.ts';
import { UvmemPool } from './uvmem.ts';
import { createContext, createVcpu, type EntryState, startVcpu, type Vm } from './vm.ts';
import { VM_LIFE_CYCLE, vmState } from './vm-state.ts';
import { ringDoorbells } from './wake-up.ts';
import { claimSource, createXics, pulse, setLevel } from './xics.ts';

/** What the hypervisor is built from. */
export interface KvmOptions {
  /** Effective address at which each physical CPU first enters it. */
  readonly bootEntry: bigint;
  /** Memory with the rights of HV=1, S=0. */
  readonly view: HostView;
  /** Normal memory that is the hypervisor's to give out: guest pages and tables. Nothing else may be in it. */
  readonly memory: readonly MemoryRange[];
  /** Physical CPUs. */
  readonly cpus: number;
  /** The device tree has `/ibm,ultravisor`: partition table and secure VMs go through ultracalls. */
  readonly ultravisor: boolean;
  /** Bytes that secure-PFNs name, as many as secure memory has in KVM; 0 without. */
  readonly secureMemory: number;
  /** The source of H_RANDOM for normal guests. */
  readonly random: (bytes: number) => Uint8Array;
  readonly trace: TraceSink | null;
  /** Time base ticks that a vCPU runs before the next; 10 ms of 512 MHz by default. */
  readonly timeSlice?: bigint;
  /** What a hostile hypervisor does differently. */
  readonly hooks?: KvmHooks;
  /** Merge equal pages of VMs that opted in; by default nobody does. */
  readonly pageMerging?: PageMergingOptions;
}

/** A virtual machine to be made. */
export interface VmSpec {
  readonly name: string;
  readonly slots: readonly SlotSpec[];
  /** How many vCPUs; the first is started with `entry`, the others wait for start-cpu. */
  readonly vcpus: number;
  /** KVM_CAP_PPC_SECURE_GUEST: the VM may become secure. */
  readonly svmEnabled: boolean;
  /** Its memory opts in to page merging; it does by default, as QEMU's `mem-merge`. */
  readonly mergeable?: boolean;
  readonly entry: EntryState;
  readonly userSpace: UserSpace;
}

const DEFAULT_TIME_SLICE = 5_120_000n;

/**
 * The KVM half: untrusted hypervisor software at HV=1, S=0, as Linux's KVM for Book3S HV is. It knows what the architecture tells it, the
 * registers and the memory of its view, and reaches the Ultravisor by `sc 2` alone.
 */
export class Kvm implements NativeLevel {
  readonly #state: KvmState;
  readonly #bootEntry: bigint;
  /** The VMM's way into guest memory, with the hypervisor's rights. */
  readonly memory: GuestMemory;
  readonly pages: HostPages;

  /** @throws RangeError if the memory does not hold the hypervisor's own tables */
  constructor(options: KvmOptions) {
    const { view, ultravisor } = options;
    this.pages = new HostPages(view, options.memory);
    this.memory = new GuestMemory(view, this.pages);
    this.#bootEntry = options.bootEntry;
    const partitionTable = ultravisor ? null : this.pages.allocate();
    if (partitionTable === undefined) throw new RangeError('the hypervisor has no memory for its partition table');
    this.#state = {
      view,
      pages: this.pages,
      memory: this.memory,
      uvmem: new UvmemPool(ultravisor ? Math.floor(options.secureMemory / UV_PAGE_SIZE) : 0),
      merging: options.pageMerging === undefined ? null : startPageMerging(options.pageMerging),
      partitionTable,
      random: options.random,
      trace: options.trace,
      timeSlice: options.timeSlice ?? DEFAULT_TIME_SLICE,
      vms: new Map(),
      userSpace: new Map(),
      cpus: Array.from({ length: options.cpus }, (_, index) => ({
        index,
        loaded: null,
        inGuest: false,
        waiting: false,
        jobs: [],
      })),
      requests: [],
      statistics: { exits: {}, hypercalls: {}, ultracalls: {} },
      hooks: options.hooks ?? {},
    };
  }

  /** All VMs, the ended ones too, in the order in which they were made. */
  get vms(): readonly Vm[] {
    return [...this.#state.vms.values()];
  }

  /** Whether nothing is left to run: every VM has ended and is taken down. */
  get finished(): boolean {
    return this.vms.every(({ destroyed }) => destroyed);
  }

  get statistics(): KvmStatistics {
    return this.#state.statistics;
  }

  /**
   * Makes a VM. Its memory can be written at once through a `GuestMemory`; it runs from the next entry into the hypervisor on.
   * @throws RangeError if memory, slots, LPIDs or vCPUs do not allow it
   */
  createVm(spec: VmSpec): Vm {
    const lpid = this.#state.vms.size + 1;
    if (lpid >= PARTITIONS) throw new RangeError('the partition table is full');
    if (spec.vcpus < 1) throw new RangeError(`${spec.name}: a VM needs a vCPU`);
    checkSlots(spec);
    const { mergeable = true } = spec;
    const slots = spec.slots.map((slot) => createSlot(slot, mergeable));
    const tree = createTree(this.pages);
    if (tree === undefined) throw new RangeError(`${spec.name}: no host memory left for its page table`);
    const cpus = this.#state.cpus.length;
    const vm: Vm = {
      lpid,
      name: spec.name,
      slots,
      vcpus: Array.from({ length: spec.vcpus }, (_, id) => createVcpu(id, lpid, id % cpus)),
      svmEnabled: spec.svmEnabled,
      mergeable,
      secureGuest: 0,
      transition: null,
      tree,
      ready: false,
      processTable: PATE_DW1.GR,
      lpcr: 0n,
      xics: createXics(spec.vcpus),
      pins: new Map(),
      end: null,
      resetRequested: false,
      finalFrames: null,
      destroyed: false,
    };
    startVcpu(vm.vcpus[0], spec.entry, 0n);
    this.#state.vms.set(lpid, vm);
    this.#state.userSpace.set(lpid, spec.userSpace);
    this.#state.requests.push({ kind: 'write-pate', lpid, processTable: PATE_DW1.GR, waiting: false });
    return vm;
  }

  /** Gives a device of a VM an interrupt source, level- or edge-triggered. @throws RangeError if it cannot have that number */
  claimInterrupt(vm: Vm, number: number, trigger: 'edge' | 'level' = 'edge'): void {
    claimSource(vm.xics, number, trigger === 'level');
  }

  /** A device of a VM raises or lowers its level-triggered interrupt (KVM_IRQ_LINE). */
  setInterrupt(vm: Vm, number: number, asserted: boolean): void {
    setLevel(vm.xics, number, asserted);
  }

  /** A device of a VM pulses its interrupt (KVM_IRQ_LINE); its vCPU learns of it when a CPU next leaves the hypervisor. */
  pulseInterrupt(vm: Vm, number: number): void {
    pulse(vm.xics, number);
  }

  /** How many frames of the VM are in each state, `unbacked` for Normal ones that nobody touched; at its end for one that has ended. */
  frames(vm: Vm): Readonly<Record<string, number>> {
    return vm.finalFrames ?? countFrames(vm.slots);
  }

  /**
   * Has a frame of the VM paged out at the next entry into the hypervisor, as when host software reads it; afterwards its normal page holds
   * ciphertext. Nothing happens to a frame that is not Secure and paged in.
   * @returns the job; its `result` is an H_CODE once it is done
   */
  schedulePageOut(vm: Vm, gfn: number): PageOutJob {
    return this.#request({ kind: 'page-out', lpid: vm.lpid, gfn, page: null });
  }

  /**
   * Has the normal page behind a Shared frame moved at the next entry into the hypervisor, as when host memory is compacted.
   * @returns the job; its `result` is a U_CODE once it is done
   */
  scheduleSharedMove(vm: Vm, gfn: number): PageInvalJob {
    return this.#request({ kind: 'page-inval', lpid: vm.lpid, gfn, waiting: false });
  }

  /**
   * KVM_PPC_SVM_OFF at the next entry into the hypervisor: the VM is Normal again.
   * @returns the job; its `result` is 0 or a negative errno once it is done
   */
  scheduleSvmOff(vm: Vm): SvmOffJob {
    return this.#request({ kind: 'svm-off', lpid: vm.lpid, step: 'start', slot: 0 });
  }

  /**
   * Gives a VM one more memory slot at the next entry into the hypervisor, in whatever state the VM is.
   * @returns the job; its `result` is 0 or a negative errno once it is done
   * @throws RangeError if base or size are no multiples of 64 KiB
   */
  scheduleSlotCreate(vm: Vm, spec: SlotSpec): SlotCreateJob {
    createSlot(spec, false);
    return this.#request({ kind: 'slot-create', lpid: vm.lpid, spec, slot: null });
  }

  /**
   * Takes a memory slot away from a VM at the next entry into the hypervisor, with all that it holds.
   * @returns the job; its `result` is 0 or a negative errno once it is done
   */
  scheduleSlotDelete(vm: Vm, id: number): SlotDeleteJob {
    return this.#request({ kind: 'slot-delete', lpid: vm.lpid, id });
  }

  /**
   * Starts a VM again from its first vCPU, after `scheduleSvmOff` if it was secure.
   * @param timebase the time base now
   * @returns false, with nothing changed, unless the VM is Normal and none of its vCPUs could run
   */
  startVm(vm: Vm, entry: EntryState, timebase: bigint): boolean {
    if (VM_LIFE_CYCLE[vmState(vm.secureGuest)]['start-vm'] !== 'normal') return false;
    if (vm.end !== null || vm.vcpus.some(({ state }) => state !== 'stopped')) return false;
    startVcpu(vm.vcpus[0], entry, timebase);
    return true;
  }

  /** The first entry on a physical CPU. */
  boot(port: RegisterPort): Stub {
    const ctx: Ctx = { kvm: this.#state, port, cpu: this.#state.cpus[port.cpu] };
    bootCpu(ctx);
    ctx.kvm.hooks.booted?.(ctx);
    ctx.cpu.jobs.push(idleExit());
    return run(ctx, 0);
  }

  enter(port: RegisterPort, nia: bigint): Stub {
    if (nia === this.#bootEntry) return this.boot(port);
    const cpu = this.#state.cpus[port.cpu];
    const ctx: Ctx = { kvm: this.#state, port, cpu };
    cpu.inGuest = false;
    if (nia === port.stubPage + BigInt(STUBS.ultracall.offset + 4)) return run(ctx, registerToCode(port.gpr(3)));
    // Whatever comes otherwise, UV_RETURN did not come back, and so did not fail.
    if (cpu.jobs.at(-1)?.kind === 'uv-return') cpu.jobs.pop();
    if (nia === port.stubPage + BigInt(STUBS.stop.offset + 4)) {
      // What ended the wait is answered by looking around; left alone, it would end the next one too.
      port.clearDoorbell();
      if (cpu.waiting) cpu.waiting = false;
      else cpu.jobs.push(idleExit());
    } else cpu.jobs.push(exitJob(ctx, nia));
    return run(ctx, 0);
  }

  #request<J extends Request>(job: J): J {
    this.#state.requests.push(job);
    return job;
  }
}

/** Runs jobs until one leaves the hypervisor. `result` is for the current one. */
function run(ctx: Ctx, result: number): Stub {
  const { jobs } = ctx.cpu;
  for (;;) {
    const job = jobs.at(-1);
    if (job === undefined) {
      // All that was left was the record of a UV_RETURN, which failed: the guest is gone, and another may run.
      jobs.push(idleExit());
      continue;
    }
    const step = runJob(ctx, job, result);
    switch (step.do) {
      case 'ultracall':
        return ultracall(ctx, step.number, step.args);
      case 'job':
        jobs.push(step.job);
        result = 0;
        break;
      case 'give':
        jobs.pop();
        job.result = step.value;
        result = step.value;
        break;
      case 'leave':
        jobs.pop();
        if (step.waitFor !== null) jobs.push(step.waitFor);
        ctx.cpu.inGuest = step.stub !== 'stop';
        forgetStale(ctx);
        ringDoorbells(ctx);
        return step.stub;
      case 'wait':
        ctx.cpu.waiting = true;
        ringDoorbells(ctx);
        ctx.port.setSpr(SPR.HDEC, ctx.kvm.timeSlice);
        return 'stop';
    }
  }
}

/** Forgets what CPUs have cached of VMs that a page was taken away from. */
function forgetStale({ kvm: { pages }, port }: Ctx): void {
  if (pages.stale.size === 0) return;
  for (const lpid of pages.stale) port.invalidateTranslations(lpid);
  pages.stale.clear();
}

/** Puts an ultracall into the registers, of which the guest's are saved before. */
function ultracall(ctx: Ctx, number: number, honest: readonly (bigint | number)[]): Stub {
  const { kvm, port, cpu } = ctx;
  const args = kvm.hooks.ultracall?.(ctx, number, honest) ?? honest;
  for (const job of cpu.jobs) if (job.kind === 'exit') saveContext(port, job.context);
  port.setGpr(3, BigInt(number));
  for (const [i, value] of args.entries()) port.setGpr(4 + i, BigInt.asUintN(64, BigInt(value)));
  count(kvm.statistics.ultracalls, ultracallName(number));
  return 'ultracall';
}

/** The record of an interrupt that brought the CPU here. */
function exitJob(ctx: Ctx, vector: bigint): ExitJob {
  const { port, cpu } = ctx;
  const nested = cpu.jobs.length > 0;
  const vcpu = loadedVcpu(ctx);
  // Without a vCPU on the CPU it was `stop` that the interrupt ended.
  if (vcpu === undefined && !nested) return idleExit();
  const context = nested || vcpu === undefined ? createContext() : vcpu.context;
  const info = captureExit(port, vector, context);
  if ((info.status & (MSR.HV | MSR.S)) === MSR.HV) {
    throw new Error(`interrupt 0x${vector.toString(16)} from the hypervisor's own code`);
  }
  return { kind: 'exit', step: 'dispatch', info, context, nested, yields: false };
}

function checkSlots({ name, slots }: VmSpec): void {
  const placed: Memslot[] = [];
  for (const spec of slots) {
    const conflict = slotConflict(placed, spec);
    if (conflict !== undefined) throw new RangeError(`${name}: ${conflict}`);
    placed.push(createSlot(spec, false));
  }
}
