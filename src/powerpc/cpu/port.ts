/**
 * What native software at a privilege level (a TypeScript Ultravisor or hypervisor) can do with the CPU it runs on: exactly what machine
 * code at the same level could do with instructions. The two kinds are interchangeable; neither knows which the other is.
 */

/** Instructions that native code leaves through. They lie in the level's stub page and are really executed there. */
export const STUBS = {
  /** Return to the state in HSRR0 and HSRR1. */
  hrfid: { offset: 0x00, word: 0x4c000224 },
  /** Return to the state in USRR0 and USRR1; Ultravisor only. */
  urfid: { offset: 0x10, word: 0x4c000264 },
  /** Ultracall. Comes back at `offset + 4`. */
  ultracall: { offset: 0x20, word: 0x44000042 },
  /** Wait until an interrupt is pending: `stop`. Comes back at a vector or at `offset + 4`. */
  stop: { offset: 0x30, word: 0x4c0002e4 },
} as const;
export type Stub = keyof typeof STUBS;

/** Bytes that a level's stubs take. */
export const STUB_BYTES = 0x40;

/** A special purpose register that the current privilege level may not use was named; hardware raises an interrupt (HEAI). */
export class PrivilegeRefused extends Error {
  readonly spr: number;
  readonly write: boolean;

  constructor(spr: number, write: boolean) {
    super(`this privilege level may not ${write ? 'write' : 'read'} SPR ${spr}`);
    this.name = 'PrivilegeRefused';
    this.spr = spr;
    this.write = write;
  }
}

/** The registers of one CPU, seen from the privilege level that is in control. All 64-bit values are unsigned bigints. */
export interface RegisterPort {
  /** Position of the CPU in its machine, from 0. */
  readonly cpu: number;
  /** Address of the stub page of the current level: an effective address that the stubs execute at. */
  readonly stubPage: bigint;
  /** Instructions executed by the machine so far: the one clock. */
  readonly clock: bigint;
  gpr(n: number): bigint;
  setGpr(n: number, value: bigint): void;
  /** Raw bits of a floating point register. */
  fpr(n: number): bigint;
  setFpr(n: number, bits: bigint): void;
  /** Raw bits of all 32, a copy: for whoever changes hands with all of them at each entry. */
  fprs(): BigUint64Array;
  setFprs(bits: BigUint64Array): void;
  /** Floating point status and control. */
  fpscr(): bigint;
  setFpscr(value: bigint): void;
  /** The condition register: bit 0 (IBM numbering) in bit 31 of the number. */
  cr(): number;
  setCr(value: number): void;
  /** The MSR of the current level. */
  msr(): bigint;
  /**
   * Reads a special purpose register by number, as `mfspr` would.
   * @throws PrivilegeRefused where the instruction would raise Hypervisor Emulation Assistance
   */
  spr(n: number): bigint;
  /** Writes a special purpose register, as `mtspr` would. @throws PrivilegeRefused */
  setSpr(n: number, value: bigint): void;
  /**
   * Forgets cached translations of a partition (`tlbie` with RIC=2), on every CPU.
   * @param lpid logical partition; undefined: all
   */
  invalidateTranslations(lpid?: number): void;
  /** Rings the hypervisor doorbell of the CPU with this PIR, as `msgsnd` does; hypervisor and Ultravisor only. */
  sendDoorbell(pir: number): void;
  /** Takes a doorbell of this CPU back that it has not answered yet, as `msgclr` does. */
  clearDoorbell(): void;
}

/** Native software at one privilege level. */
export interface NativeLevel {
  /**
   * Control entered the level, by an interrupt (`nia` is the vector), by a return instruction of another level, or from a stub (`nia` is the
   * stub's address plus 4). Runs to completion: changes registers and memory, then says which stub instruction to leave through.
   * Whatever must go on later stands in a record of the level's own.
   */
  enter(port: RegisterPort, nia: bigint): Stub;
}
