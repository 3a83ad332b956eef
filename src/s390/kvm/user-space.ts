import type { Services } from '../cpu/port.ts';

/** How a VM starts. */
export interface EntryState {
  /** First doubleword of the PSW, and the address. */
  readonly mask: bigint;
  readonly address: bigint;
}

/** The half of the hypervisor that has the devices: QEMU's place. */
export interface UserSpace {
  /** Instructions that the hypervisor leaves to it, and interruptions of its devices. */
  readonly services: Services;
  /** Devices are as after power-on. */
  subsystemReset(): void;
  /**
   * The VM is loaded anew: puts kernel and what belongs to it into guest storage.
   * @returns how its first CPU starts
   */
  load(): EntryState;
  /**
   * A CPU waits with interruptions of all kinds masked off: usually the end.
   * @param address of its PSW; null where that is not shown
   */
  disabledWait(cpu: number, address: bigint | null): void;
  /** The IPL information block of DIAG 308 subcode 8, as the guest stored it; null before. */
  readonly protectedBlock: Uint8Array | null;
}
