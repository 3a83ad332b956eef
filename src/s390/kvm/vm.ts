import type { RealAddress } from '../../machine/types.ts';
import type { Gmap } from './gmap.ts';
import type { SieBlock } from './sie-block.ts';

/** How a VM ended. */
export interface VmEnd {
  readonly kind: 'poweroff' | 'crashed' | 'terminated';
  readonly detail: string;
}

/** How a guest ends that stops its last CPU in order, as QEMU has it. */
export const ALL_STOPPED: VmEnd = { kind: 'poweroff', detail: 'every CPU is stopped' };

/** A contiguous range of host storage. */
export interface Donation {
  readonly base: RealAddress;
  readonly size: number;
}

/** What KVM holds of a virtual CPU, beside its state description. Plain data but for the block, which is in RAM. */
export interface Vcpu {
  /** Position in the VM, and its CPU address. */
  readonly id: number;
  readonly vm: Vm;
  /** The physical CPU that runs it. */
  readonly cpu: number;
  readonly sie: SieBlock;
  /** `waiting`: it loaded an enabled wait PSW and nothing has come since. */
  state: 'stopped' | 'operating' | 'waiting';
  /** TOD when it began to wait. Its CPU timer goes on from there. */
  waitingSince: bigint;
  /** General registers 0 to 13, and while it is not in SIE 14 and 15. */
  readonly gr: bigint[];
  readonly fpr: bigint[];
  readonly ar: number[];
  fpc: number;
  /** Interruptions of its own that are pending. */
  readonly pending: PendingLocal;
  /** Its physical CPU has to look at it again, and was not told yet. */
  kicked: boolean;
  /** An exit has left an instruction half done: nothing may be injected before the next one (case 5). */
  inBetween: boolean;
  /** Protected: handle and donated storage, and the SIDA. */
  secure: SecureCpu | null;
}

export interface SecureCpu {
  handle: bigint;
  readonly storage: Donation;
  readonly sida: RealAddress;
}

/** Interruptions that belong to one CPU. */
export interface PendingLocal {
  restart: boolean;
  stop: boolean;
  /** CPU addresses of those that sent an emergency signal. */
  readonly emergency: Set<number>;
  /** CPU address of the one that made an external call. */
  externalCall: number | null;
}

/** A virtual machine. */
export interface Vm {
  readonly id: number;
  readonly name: string;
  /** Bytes of guest storage. */
  readonly size: number;
  readonly gmap: Gmap;
  /** Host pages by guest page number; 0 where the guest has not touched it. */
  readonly pages: Float64Array;
  readonly sca: RealAddress;
  readonly vcpus: readonly Vcpu[];
  /** Protected: the secure configuration. */
  secure: SecureVm | null;
  /** It ran protected the last time that it could run. */
  wasSecure: boolean;
  /** Service-signal interruptions with an SCCB wait for the notification of SERVC (4.9). */
  serviceMasked: boolean;
  /** A dump is under way: no CPU may run. */
  dumping: boolean;
  end: VmEnd | null;
  destroyed: boolean;
}

export interface SecureVm {
  readonly handle: bigint;
  readonly base: Donation;
  readonly variable: Donation;
}

/** CPUs of a VM have nothing pending after a reset. */
export function noInterruptions(): PendingLocal {
  return { restart: false, stop: false, emergency: new Set(), externalCall: null };
}
