import type { GuestPhysical } from '../abi.ts';
import type { EntryState, Vcpu, Vm } from './vm.ts';

/** A hypercall that the VMM is to serve (KVM's H_TOO_HARD). */
export interface UserHypercall {
  readonly vm: Vm;
  readonly vcpu: Vcpu;
  readonly number: number;
  /** R4 to R12. */
  readonly args: readonly bigint[];
  readonly timebase: bigint;
  /** Instructions executed so far, and the physical CPU: for the trace. */
  readonly clock: bigint;
  readonly cpu: number;
  /** The Ultravisor handed the call over. */
  readonly secure: boolean;
}

/** A load or store at a guest physical address that is in no memory slot (KVM_EXIT_MMIO). */
export interface MmioAccess {
  readonly vm: Vm;
  readonly address: GuestPhysical;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
}

/** When and where the hypervisor has control: for the trace. */
export interface PollStamp {
  readonly clock: bigint;
  readonly cpu: number;
}

/** R3, and what goes to R4 and up. */
export interface HypercallResult {
  readonly status: number;
  readonly out?: readonly bigint[];
}

/**
 * The VMM's end of the hypervisor. A handler checks its arguments, and that the memory it is going to write can be reached, before it changes
 * anything: a `GuestFault` that it lets through has it run again from its start.
 */
export interface UserSpace {
  /** @returns undefined for a hypercall that the VMM does not know */
  hypercall(call: UserHypercall): HypercallResult | undefined;
  /** A load from a device: its bytes in the order of their addresses, or undefined if there is none. */
  mmioLoad?(access: MmioAccess): Uint8Array | undefined;
  /** A store to a device. @returns false if there is none */
  mmioStore?(access: MmioAccess, bytes: Uint8Array): boolean;
  /**
   * The VM begins anew: puts firmware and kernel into its memory again. What other memory holds is up to the VMM; of a VM that was secure it
   * is zeros.
   * @returns how its first vCPU starts
   * @throws GuestFault if host memory is used up
   */
  reset?(vm: Vm): EntryState;
  /** The hypervisor has control: time to look whether a device has input. */
  poll?(stamp: PollStamp): void;
}
