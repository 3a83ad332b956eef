import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import type { RegisterPort } from '../cpu/host-port.ts';
import type { GuestStorage } from './guest-storage.ts';
import type { HostStorage } from './host-storage.ts';
import type { Job } from './job.ts';
import type { UserSpace } from './user-space.ts';
import type { UvInfo } from './uvc.ts';
import type { Vcpu, Vm } from './vm.ts';

/** What the hypervisor knows of one physical CPU, as plain data. */
export interface CpuRecord {
  readonly index: number;
  /** The vCPU in SIE, or the one that left it last. */
  running: Vcpu | null;
  /** SIE was issued and has not come back. */
  inSie: boolean;
  /** Jobs under way, the current one last. */
  readonly jobs: Job[];
  /** A page for UV control blocks. */
  readonly block: RealAddress;
}

/** Counts for reports. */
export interface KvmStatistics {
  readonly exits: Record<string, number>;
  readonly calls: Record<string, number>;
  /** Why VMs that asked did not become protected. */
  readonly protectFailures: { readonly vm: string; readonly reason: string }[];
}

/** The hypervisor's books and what it may use. */
export interface KvmState {
  readonly view: HostView;
  readonly storage: HostStorage;
  readonly guests: GuestStorage;
  /** The host is offered UV calls and asked to use them. */
  readonly wantsUltravisor: boolean;
  /** Since INIT_UV: the host role is on. */
  uv: UvInfo | null;
  readonly vms: Vm[];
  readonly userSpace: Map<number, UserSpace>;
  readonly cpus: CpuRecord[];
  /** Jobs that the next entry into the hypervisor is to carry out before a guest runs again. */
  readonly requests: Job[];
  readonly statistics: KvmStatistics;
  readonly trace: TraceSink | null;
  /** TOD units that a vCPU runs before the next one of its CPU does. */
  readonly timeSlice: bigint;
  /** None in an honest hypervisor. */
  readonly hooks: KvmHooks;
}

/** What a job works with: the hypervisor and the CPU that it runs on. */
export interface Ctx {
  readonly kvm: KvmState;
  readonly port: RegisterPort;
  readonly cpu: CpuRecord;
}

/**
 * Where a hypervisor that is not honest departs from this one. At each point it has what hypervisor code has and no more: registers (`ctx.port`),
 * storage (`ctx.kvm.view`), its own books, and jobs of its own in `ctx.kvm.requests`.
 */
export interface KvmHooks {
  /** A guest has left SIE; nothing is handled yet. */
  exited?(ctx: Ctx, vcpu: Vcpu): void;
  /** Registers and state description are as SIE is about to get them. */
  entering?(ctx: Ctx, vcpu: Vcpu): void;
  /** A UVC is about to be made. @returns the control block that is used */
  uvc?(ctx: Ctx, block: Uint8Array): Uint8Array;
  /** The answer of a UVC has come. */
  answered?(ctx: Ctx, block: Uint8Array, cc: number): void;
}

/** The vCPUs that a CPU runs, in a fixed order. */
export function vcpusOf(kvm: KvmState, cpu: number): Vcpu[] {
  return kvm.vms.flatMap(({ vcpus }) => vcpus.filter((vcpu) => vcpu.cpu === cpu));
}

/** Counts one more of something. */
export function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
