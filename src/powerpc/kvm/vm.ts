import { LPCR, MSR } from '../abi.ts';
import type { Memslot } from './memslot.ts';
import type { PartitionTree } from './radix.ts';
import type { Xics } from './xics.ts';

/** How a VM ended. */
export interface VmEnd {
  /**
   * `poweroff`: the guest turned itself off. `stopped`: it stopped in another orderly way. `crashed`: it reported a panic or could not go on.
   * `terminated`: somebody below it gave up on it.
   */
  readonly kind: 'poweroff' | 'stopped' | 'crashed' | 'terminated';
  readonly detail: string;
}

/**
 * The state of a guest as hypervisor software holds it between two runs, plain data. For a secure VM it is what the Ultravisor let through.
 */
export interface GuestContext {
  readonly gpr: bigint[];
  cr: number;
  lr: bigint;
  ctr: bigint;
  xer: bigint;
  srr0: bigint;
  srr1: bigint;
  /** Where and with which MSR the guest goes on. */
  pc: bigint;
  msr: bigint;
  /** The last exit was handed over by the Ultravisor, which then also takes the guest back. */
  secure: boolean;
  /** All but `pc` and `msr` are still in the CPU's registers, and what stands here is stale. */
  live: boolean;
  /** The last exit was a call of the Ultravisor's own: what the guest itself does at the moment cannot be interrupted. */
  upcall: boolean;
}

/** A context of zeros that is in nobody's registers. */
export function createContext(): GuestContext {
  return {
    gpr: new Array<bigint>(32).fill(0n),
    cr: 0,
    lr: 0n,
    ctr: 0n,
    xer: 0n,
    srr0: 0n,
    srr1: 0n,
    pc: 0n,
    msr: 0n,
    secure: false,
    live: false,
    upcall: false,
  };
}

/** What a virtual processor area registered with H_REGISTER_VPA occupies; addresses are guest physical. */
export interface RegisteredArea {
  readonly gpa: number;
  readonly length: number;
}

/** A virtual CPU as plain data. */
export interface Vcpu {
  /** Position in the VM, and its interrupt server number. */
  readonly id: number;
  readonly lpid: number;
  /** The physical CPU that runs it. */
  readonly cpu: number;
  /**
   * `stopped` waits for start-cpu; `ceded` for its decrementer, an interrupt or H_PROD; `conferred`, having conferred to itself, for H_PROD, or
   * for what `ceded` waits for if MSR[EE] lets it through.
   */
  state: 'stopped' | 'running' | 'ceded' | 'conferred';
  /** H_PROD came while it was not ceded. */
  prodded: boolean;
  /** H_SIGNAL_SYS_RESET: takes a system reset interrupt when it next can. */
  systemReset: boolean;
  /** Its physical CPU has to look at it again, and was not told yet. */
  kicked: boolean;
  /** Time base at which its decrementer goes negative. */
  decrementerExpires: bigint;
  readonly context: GuestContext;
  /** Registers that only change hands when another vCPU is loaded: special purpose registers by number, then floating point. */
  spr: Map<number, bigint>;
  fpr: bigint[];
  fpscr: bigint;
  vpa: RegisteredArea | null;
  dtl: RegisteredArea | null;
  slbShadow: RegisteredArea | null;
}

/** A virtual machine as plain data. */
export interface Vm {
  readonly lpid: number;
  readonly name: string;
  readonly slots: Memslot[];
  readonly vcpus: Vcpu[];
  /** KVM_CAP_PPC_SECURE_GUEST: the VMM allows this VM to become secure. */
  readonly svmEnabled: boolean;
  /** The VMM opted in to page merging, for all memory of the VM. */
  readonly mergeable: boolean;
  /** KVM's `secure_guest` flags; `vmState` reads them. */
  secureGuest: number;
  /** The vCPU that is taking the VM to secure state, which alone may go on while the VM is Transient. */
  transition: number | null;
  readonly tree: PartitionTree;
  /** Its partition table entry is written: vCPUs may run. */
  ready: boolean;
  /** Dw1 of its partition table entry: its process table. */
  processTable: bigint;
  /** LPCR fields that the guest chose by H_SET_MODE. */
  lpcr: bigint;
  readonly xics: Xics;
  /** How often each frame is pinned; a pinned page cannot move to secure memory. */
  readonly pins: Map<number, number>;
  end: VmEnd | null;
  /** It is to begin anew as soon as no CPU is in it. */
  resetRequested: boolean;
  /** Frames by state when the VM ended. */
  finalFrames: Record<string, number> | null;
  /** It has ended and nothing of it is left but this record. */
  destroyed: boolean;
}

/** How a vCPU starts. */
export interface EntryState {
  readonly pc: bigint;
  readonly msr: bigint;
  readonly gpr: Readonly<Record<number, bigint>>;
}

/** A vCPU at rest. */
export function createVcpu(id: number, lpid: number, cpu: number): Vcpu {
  return {
    id,
    lpid,
    cpu,
    state: 'stopped',
    prodded: false,
    systemReset: false,
    kicked: false,
    decrementerExpires: 0n,
    context: createContext(),
    spr: new Map(),
    fpr: new Array<bigint>(32).fill(0n),
    fpscr: 0n,
    vpa: null,
    dtl: null,
    slbShadow: null,
  };
}

/** What a decrementer is at the start: the most that 32 bits hold. */
const FIRST_DECREMENTER = 0x7fffffffn;

/** The register in which the Ultravisor names what it waits for (6.2.1). */
const COOKIE_GPR = 31;

/** Makes a stopped vCPU runnable with all its registers zero but those named. `timebase` is the time base now. */
export function startVcpu(vcpu: Vcpu, entry: EntryState, timebase: bigint): void {
  // A vCPU of a secure VM stopped inside a call that the Ultravisor waits for: by R31, as it came, it knows that it has ended (6.7).
  const cookie = vcpu.context.secure ? vcpu.context.gpr[COOKIE_GPR] : 0n;
  Object.assign(vcpu.context, createContext(), { gpr: vcpu.context.gpr, pc: entry.pc, msr: entry.msr });
  vcpu.context.gpr.fill(0n);
  vcpu.context.gpr[COOKIE_GPR] = cookie;
  for (const [n, value] of Object.entries(entry.gpr)) vcpu.context.gpr[Number(n)] = value;
  vcpu.spr = new Map();
  vcpu.fpr.fill(0n);
  vcpu.fpscr = 0n;
  vcpu.prodded = false;
  vcpu.systemReset = false;
  vcpu.kicked = true;
  vcpu.decrementerExpires = timebase + FIRST_DECREMENTER;
  vcpu.state = 'running';
}

/** The MSR that start-cpu gives a vCPU: 64-bit real mode, in the byte order that H_SET_MODE chose (power-pef.md 9.5). */
export function startCpuMsr(vm: Vm): bigint {
  return MSR.SF | MSR.ME | ((vm.lpcr & LPCR.ILE) === 0n ? 0n : MSR.LE);
}

/** Areas that vCPUs registered stay pinned otherwise, and could not move at the next UV_ESM. */
export function forgetAreas(vm: Vm): void {
  vm.pins.clear();
  for (const vcpu of vm.vcpus) {
    vcpu.vpa = null;
    vcpu.dtl = null;
    vcpu.slbShadow = null;
  }
}

/** Has a VM begin anew: none of its vCPUs goes on, and what the guest was doing is lost. */
export function requestReset(vm: Vm): void {
  vm.resetRequested = true;
  for (const vcpu of vm.vcpus) {
    vcpu.state = 'stopped';
    vcpu.kicked = true;
  }
}

/** Ends a VM; the first end counts. */
export function endVm(vm: Vm, end: VmEnd): void {
  vm.end ??= end;
}
