/** The registers of a CPU that does not run, as plain data: what SIE loads and stores. All 64-bit values are unsigned. */
export interface GuestState {
  /** First doubleword of the PSW, with the condition code in its place. */
  pswMask: bigint;
  pswAddress: bigint;
  readonly gr: bigint[];
  /** Raw bits of the floating point registers. */
  readonly fpr: bigint[];
  /** Access registers, 32 bits. */
  readonly ar: number[];
  readonly cr: bigint[];
  /** Floating point control register. */
  fpc: number;
  /** Real-to-absolute prefix, a multiple of 8192. */
  prefix: number;
  /** CPU timer at the time of the state, in TOD units (bit 51 is a microsecond); negative numbers as two's complement. */
  cpuTimer: bigint;
  clockComparator: bigint;
  /** TOD programmable field, 16 bits. */
  todProgrammable: number;
}
