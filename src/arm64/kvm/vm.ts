import type { GicV3 } from '../../devices/gicv3.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { UserSpace } from './user-space.ts';
import type { VcpuStruct } from './vcpu-struct.ts';

/** How a VM ended. */
export interface VmEnd {
  readonly kind: 'poweroff' | 'stopped' | 'crashed' | 'terminated';
  readonly detail: string;
}

/** The physical timer as KVM plays it for a guest: CNTP_CTL_EL0 without its status, CNTP_CVAL_EL0. */
export interface PhysicalTimer {
  control: bigint;
  compare: bigint;
}

/** An interrupt that a list register has, as it was listed. */
export interface Listed {
  readonly intid: number;
  readonly state: 'pending' | 'active';
}

/** What KVM knows of a vCPU, beside its structure. */
export interface Vcpu {
  readonly vm: Vm;
  readonly index: number;
  /** The physical CPU that runs it. */
  readonly cpu: number;
  readonly struct: VcpuStruct;
  /** `off`: until CPU_ON; `blocked`: until it has an interrupt. */
  state: 'off' | 'running' | 'blocked';
  readonly timer: PhysicalTimer;
  listed: readonly Listed[];
  /** What faulted last, and how often in a row: a page that never comes must not be asked for for ever. */
  fault: { readonly gfn: number; readonly count: number };
}

/** A virtual machine in KVM's books. */
export interface Vm {
  readonly name: string;
  readonly isProtected: boolean;
  /** Its registers are out of our reach: protected, with full isolation. */
  readonly isolated: boolean;
  /** Guest memory: where it begins, and the host page behind each frame. */
  readonly base: number;
  readonly frames: Float64Array;
  /** Frames that the guest's stage 2 has. */
  readonly mapped: Set<number>;
  readonly vcpus: readonly Vcpu[];
  readonly gic: GicV3;
  readonly userSpace: UserSpace;
  /** The host's `struct kvm`. */
  readonly kvm: RealAddress;
  /** The hyp's handle; 0 until it is created. */
  handle: number;
  /** Pages that the host gave for the hyp's structures of the VM. */
  readonly areas: RealAddress[];
  created: boolean;
  end: VmEnd | null;
  /** Teardown is under way, or done. */
  tearingDown: boolean;
  destroyed: boolean;
}

export function endVm(vm: Vm, end: VmEnd): void {
  vm.end ??= end;
}
