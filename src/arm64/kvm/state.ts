import type { PhysicalBus } from '../../devices/mmio.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import type { HypercallName, PkvmProfile } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { HostPages } from './host-pages.ts';
import type { ExtraCall, Job } from './job.ts';
import type { Vcpu, Vm } from './vm.ts';

/** Counts for the report. */
export interface KvmStatistics {
  readonly exits: Record<string, number>;
  readonly calls: Record<string, number>;
}

export function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

/** The host's interrupt controller, by physical address. */
export interface HostGic {
  readonly distributor: number;
  readonly redistributors: number;
  /** Bytes of each CPU's redistributor. */
  readonly stride: number;
}

/** What the host was given at boot. */
export interface HostLayout {
  /** Where each physical CPU enters the host for the first time. */
  readonly entry: bigint;
  /** Memory for the hyp's tables. */
  readonly pool: { readonly base: RealAddress; readonly bytes: number };
  readonly gic: HostGic;
  readonly cpus: number;
  /** Ticks of the system counter that a vCPU runs before the next one does. */
  readonly timeSlice: bigint;
}

/** What KVM knows of one physical CPU. */
export interface CpuRecord {
  readonly index: number;
  loaded: Vcpu | null;
  /** Jobs under way, the current one last. */
  readonly jobs: Job[];
  /** It stopped until an interrupt comes. */
  waiting: boolean;
  /** A guest has control. */
  inGuest: boolean;
  /** The vCPU whose turn it is. */
  turn: Vcpu | null;
  /** When it has had its time, in ticks of the system counter. */
  sliceEnd: bigint;
}

/** KVM's books and what it may use. */
export interface KvmState {
  readonly view: HostView;
  readonly pages: HostPages;
  readonly devices: PhysicalBus;
  readonly layout: HostLayout;
  readonly profile: PkvmProfile;
  readonly trace: TraceSink | null;
  readonly vms: Vm[];
  readonly cpus: readonly CpuRecord[];
  /** Hypercalls that a hostile hypervisor makes of its own accord before its guest goes on. */
  readonly extra: ExtraCall[];
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

/**
 * Where a hypervisor that is not honest departs from this one. At each point hypervisor code has the CPU, so that it has what such code has: its
 * registers, memory through its view, its own books, and hypercalls in `ctx.kvm.extra`.
 */
export interface KvmHooks {
  /** A guest has left; nothing is handled yet. */
  exited?(ctx: Ctx, vcpu: Vcpu, code: number): void;
  /** A guest is about to go on: everything is in its structure. */
  entering?(ctx: Ctx, vcpu: Vcpu): void;
  /** A frame gets a page. @returns the page that it gets; null to withhold it */
  pageFor?(ctx: Ctx, vcpu: Vcpu, gfn: number, page: RealAddress): RealAddress | null;
  /** One of the attack's own hypercalls came back. */
  answered?(ctx: Ctx, name: HypercallName, args: readonly (number | bigint)[], result: number): void;
  /** Firmware has answered a guest that asked for random numbers: x1 to x3. */
  randoms?(ctx: Ctx, vcpu: Vcpu, values: readonly bigint[]): void;
  /** A VM was taken down. */
  destroyed?(ctx: Ctx, vm: Vm): void;
}
