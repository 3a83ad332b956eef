/**
 * What native software at an exception level (a TypeScript hyp or host) can do with the PE it runs on: exactly what machine code at the same level
 * could do with instructions. The two kinds are interchangeable; neither knows which the other is.
 */

/** Instructions that native code leaves through. They lie in the level's stub page and are really executed there. */
export const STUBS = {
  /** Return to ELR_ELx with SPSR_ELx. */
  eret: { offset: 0x00, word: 0xd69f03e0 },
  /** Call of the level above. Comes back at `offset + 4`. */
  hvc: { offset: 0x10, word: 0xd4000002 },
  /** Call of the firmware. Comes back at `offset + 4`. */
  smc: { offset: 0x20, word: 0xd4000003 },
  /** Wait until an interrupt is pending. Comes back at a vector or at `offset + 4`. */
  wfi: { offset: 0x30, word: 0xd503207f },
} as const;
export type Stub = keyof typeof STUBS;

/** Bytes that a level's stubs take. */
export const STUB_BYTES = 0x40;

/** A system register that the current exception level may not use was named: hardware raises an exception. */
export class RegisterRefused extends Error {
  readonly register: string;
  readonly write: boolean;

  constructor(register: string, write: boolean) {
    super(`this exception level may not ${write ? 'write' : 'read'} ${register}`);
    this.name = 'RegisterRefused';
    this.register = register;
    this.write = write;
  }
}

/** The registers of one PE, seen from the exception level that is in control. All 64-bit values are unsigned bigints. */
export interface RegisterPort {
  /** Position of the PE in its machine, from 0. */
  readonly cpu: number;
  /** Address of the stub page of the current level. */
  readonly stubPage: bigint;
  /** Instructions executed by the machine so far: the one clock. */
  readonly clock: bigint;
  /** X0 to X30. */
  x(n: number): bigint;
  setX(n: number, value: bigint): void;
  /** The stack pointer of an exception level at or below the current one. */
  sp(level: 0 | 1 | 2): bigint;
  setSp(level: 0 | 1 | 2, value: bigint): void;
  /** Low and high half of V0 to V31. */
  v(n: number): readonly [low: bigint, high: bigint];
  setV(n: number, low: bigint, high: bigint): void;
  fpcr(): bigint;
  setFpcr(value: bigint): void;
  fpsr(): bigint;
  setFpsr(value: bigint): void;
  /** PSTATE of the current level, in the format of SPSR_ELx. */
  pstate(): bigint;
  /**
   * Reads a system register by its name, as MRS would.
   * @throws RegisterRefused where the instruction would raise an exception
   */
  register(name: string): bigint;
  /** Writes a system register, as MSR would. @throws RegisterRefused */
  setRegister(name: string, value: bigint): void;
  /** Forgets cached translations on every PE (TLBI, inner shareable). */
  invalidateTranslations(): void;
}

/** Native software at one exception level. */
export interface NativeLevel {
  /**
   * Control entered the level, by an exception (`pc` is the vector), by a return of the level above, or behind a stub (`pc` is the stub's address plus
   * 4). Runs to completion: changes registers and memory, then says which stub instruction to leave through. Whatever must go on later stands in a
   * record of the level's own.
   */
  enter(port: RegisterPort, pc: bigint): Stub;
}
