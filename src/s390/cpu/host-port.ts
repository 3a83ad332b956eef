/**
 * What native software at the host's place (a TypeScript KVM in an LPAR) can do with the CPU it runs on: exactly what machine code there could do with
 * instructions. The two kinds are interchangeable; neither knows which the other is.
 */

/**
 * Instructions that native code leaves through, by their real address: they lie in the host's prefix area, where software may keep what it likes,
 * and are really executed there, in real mode.
 */
export const STUBS = {
  /** SIE 0(%r14): the state description is where general register 14 says. Comes back at `address + 4`, or by an interruption. */
  sie: { address: 0x200, words: [0xb214e000], enabled: true },
  /** UVC %r2,%r3: the control block is where general register 3 says. Comes back at `address + 4` with the condition code in the PSW. */
  uvc: { address: 0x210, words: [0xb9a40023], enabled: false },
  /** LPSWE `WAIT_PSW`: waits for an external or I/O interruption. */
  wait: { address: 0x220, words: [0xb2b20280], enabled: false },
} as const;
export type Stub = keyof typeof STUBS;

/** Real addresses at which interruptions of the host enter native code: the new PSWs in its prefix area name them. */
export const ENTRIES = {
  restart: 0x240,
  external: 0x244,
  program: 0x248,
  machineCheck: 0x24c,
  io: 0x250,
} as const;
export type HostInterruption = keyof typeof ENTRIES;

/** Real address of the PSW that `wait` loads. */
export const WAIT_PSW = 0x280;

/** The registers of one CPU, seen from the host. All 64-bit values are unsigned bigints. */
export interface RegisterPort {
  /** Position of the CPU in its machine, and its CPU address. */
  readonly cpu: number;
  /** Instructions executed by the machine so far: the one clock. */
  readonly clock: bigint;
  gr(n: number): bigint;
  setGr(n: number, value: bigint): void;
  /** Raw bits of a floating point register. */
  fpr(n: number): bigint;
  setFpr(n: number, bits: bigint): void;
  /** Access registers, 32 bits. */
  ar(n: number): number;
  setAr(n: number, value: number): void;
  cr(n: number): bigint;
  setCr(n: number, value: bigint): void;
  fpc(): number;
  setFpc(value: number): void;
  /** Condition code of the host's PSW: what the last `uvc` set. */
  cc(): number;
  /** Absolute address of the prefix area. */
  prefix(): number;
  /** The TOD clock: bit 51 is a microsecond. */
  tod(): bigint;
  cpuTimer(): bigint;
  setCpuTimer(value: bigint): void;
  clockComparator(): bigint;
  setClockComparator(value: bigint): void;
  /** Forgets cached translations on every CPU, as IDTE and IPTE do for what they invalidate. */
  invalidateTranslations(): void;
  /** SIGP emergency signal to another CPU: ends its wait or its SIE. */
  signal(cpu: number): void;
}

/** Native software in the host's place. */
export interface NativeLevel {
  /**
   * Control came to the host: from a stub (`address` is the stub's plus 4) or by an interruption (`address` is one of `ENTRIES`, the lowcore has
   * the rest). Runs to completion: changes registers and memory, then says which stub to leave through. Whatever must go on later stands in a record
   * of its own.
   */
  enter(port: RegisterPort, address: number): Stub;
}
