import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import type { Gfn } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { HostPages } from './host-pages.ts';
import type { ExitJob, Job } from './job.ts';
import type { PageMerging } from './merging-state.ts';
import type { KvmStatistics } from './statistics.ts';
import type { UserSpace } from './user-space.ts';
import type { UvmemPool } from './uvmem.ts';
import type { Vcpu, Vm } from './vm.ts';

/** What the hypervisor knows of one physical CPU, as plain data. */
export interface CpuRecord {
  readonly index: number;
  /** The vCPU whose registers the CPU holds. */
  loaded: { readonly lpid: number; readonly vcpu: number } | null;
  /** It executes the loaded vCPU, or the Ultravisor does something for it. */
  inGuest: boolean;
  /** It stopped in the middle of a job, until another CPU has left a VM. */
  waiting: boolean;
  /** Jobs under way, the current one last. */
  readonly jobs: Job[];
}

/** A job for a VM that somebody other than a guest asked for. */
export type Request = Exclude<Job, ExitJob>;

/** The hypervisor's books and what it may use. */
export interface KvmState {
  readonly view: HostView;
  readonly pages: HostPages;
  readonly memory: GuestMemory;
  readonly uvmem: UvmemPool;
  /** The page-merging service; null if it does not run. */
  readonly merging: PageMerging | null;
  /** The hypervisor's own partition table; null where an Ultravisor owns it. */
  readonly partitionTable: RealAddress | null;
  readonly random: (bytes: number) => Uint8Array;
  readonly trace: TraceSink | null;
  /** Time base ticks that a vCPU runs before the next one does. */
  readonly timeSlice: bigint;
  /** VMs by LPID; LPID 0 is the hypervisor itself. */
  readonly vms: Map<number, Vm>;
  readonly userSpace: Map<number, UserSpace>;
  readonly cpus: CpuRecord[];
  /** Jobs that the next entry into the hypervisor is to carry out before a guest runs again. */
  readonly requests: Request[];
  readonly statistics: KvmStatistics;
  /** None in an honest hypervisor. */
  readonly hooks: KvmHooks;
}

/** What a job works with: the hypervisor and the CPU that it runs on. */
export interface Ctx {
  readonly kvm: KvmState;
  readonly port: RegisterPort;
  readonly cpu: CpuRecord;
}

/** The stub through which the hypervisor leaves to a guest: straight, or by UV_RETURN. */
export type EntryStub = 'hrfid' | 'ultracall';

/**
 * Where a hypervisor that is not honest departs from this one. At each point hypervisor code has the CPU, so an implementation has what such
 * code has and no more: registers (`ctx.port`), memory (`ctx.kvm.view`), its own books, and jobs of its own in `ctx.kvm.requests`.
 */
export interface KvmHooks {
  /** A CPU is in the hypervisor for the first time; all VMs are loaded, none has run. */
  booted?(ctx: Ctx): void;
  /** A guest has stopped. All registers are as they were left to us; nothing is handled yet. */
  exited?(ctx: Ctx, exit: ExitJob): void;
  /** All registers are as a guest, or the Ultravisor, is about to get them. */
  entering?(ctx: Ctx, vm: Vm, stub: EntryStub): void;
  /** An ultracall of KVM's is about to be made. @returns its arguments from R4 up */
  ultracall?(ctx: Ctx, number: number, args: readonly (bigint | number)[]): readonly (bigint | number)[];
  /** A frame that has contents gets a page: mapped for a normal VM, by UV_PAGE_IN for a secure one. @returns the page that it gets */
  pageIn?(ctx: Ctx, vm: Vm, gfn: Gfn, page: RealAddress): RealAddress;
  /** UV_PAGE_OUT has put the ciphertext of a frame into the page. */
  pagedOut?(ctx: Ctx, vm: Vm, gfn: Gfn, page: RealAddress): void;
  /** One call of an `UltracallsJob` came back. */
  answered?(ctx: Ctx, number: number, result: number): void;
}

/** The VM of an LPID that our own books hold. @throws if they do not */
export function vmOf(kvm: KvmState, lpid: number): Vm {
  const vm = kvm.vms.get(lpid);
  if (vm === undefined) throw new Error(`no VM has LPID ${lpid}`);
  return vm;
}

/** The vCPU whose registers the CPU holds, or undefined. */
export function loadedVcpu({ kvm, cpu }: Ctx): Vcpu | undefined {
  return cpu.loaded === null ? undefined : kvm.vms.get(cpu.loaded.lpid)?.vcpus[cpu.loaded.vcpu];
}
