import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { HostPages } from './host-pages.ts';
import type { Job } from './job.ts';
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

/** The hypervisor's books and what it may use. */
export interface KvmState {
  readonly view: HostView;
  readonly pages: HostPages;
  readonly memory: GuestMemory;
  readonly uvmem: UvmemPool;
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
  readonly requests: Job[];
  readonly statistics: KvmStatistics;
}

/** What a job works with: the hypervisor and the CPU that it runs on. */
export interface Ctx {
  readonly kvm: KvmState;
  readonly port: RegisterPort;
  readonly cpu: CpuRecord;
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
