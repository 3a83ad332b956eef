const MASK_64 = (1n << 64n) - 1n;
/** Bits of POWER9's large decrementer, and of HDEC. */
const LARGE_DECREMENTER_BITS = 56n;
/** The largest value of a 32-bit decrementer. */
const FAR_AHEAD = (1n << 31n) - 1n;

/** How fast the time base runs against the machine clock: `ticks` per `instructions`. */
export interface TimebaseRate {
  readonly ticks: bigint;
  readonly instructions: bigint;
}

/** One tick per instruction. */
export const DEFAULT_TIMEBASE_RATE: TimebaseRate = { ticks: 1n, instructions: 1n };

/**
 * The time registers of one CPU: time base, both decrementers, and the counters that follow the time base. Each is kept as its distance
 * from the machine clock, so nothing has to tick.
 */
export class Timers {
  readonly #clock: () => bigint;
  readonly #rate: TimebaseRate;
  /** One tick per instruction: nothing to multiply and divide, at each of the many looks at the time. */
  readonly #isUnit: boolean;
  #timebaseOffset = 0n;
  /** Time base at which DEC is 0, as a running number that never wraps. */
  #decZero = 0n;
  #hdecZero = 0n;
  /** Bits of DEC: 32, or 56 where LPCR[LD] makes it large. */
  #decBits = 32n;
  #hdecTaken = false;

  constructor(clock: () => bigint, rate: TimebaseRate) {
    if (rate.ticks <= 0n || rate.instructions <= 0n) throw new RangeError('the time base must run forward');
    this.#clock = clock;
    this.#rate = rate;
    this.#isUnit = rate.ticks === rate.instructions;
    this.reset();
  }

  /** Power-on: both decrementers are far ahead. The time base goes on. */
  reset(): void {
    this.#decBits = 32n;
    this.decrementer = FAR_AHEAD;
    this.hypervisorDecrementer = FAR_AHEAD;
  }

  /** The time base, 64 bits. */
  get timebase(): bigint {
    return (this.#ticks() + this.#timebaseOffset) & MASK_64;
  }

  set timebase(value: bigint) {
    this.#timebaseOffset = value - this.#ticks();
  }

  /** DEC: 32 bits, or sign-extended to 64 where it is large. */
  get decrementer(): bigint {
    return BigInt.asUintN(this.#decBits === 32n ? 32 : 64, this.#signedDecrementer());
  }

  set decrementer(value: bigint) {
    this.#decZero = this.#ticks() + BigInt.asIntN(Number(this.#decBits), value);
  }

  /** LPCR[LD]: whether DEC has 56 bits. A change keeps the register's low bits. */
  set largeDecrementer(large: boolean) {
    const value = this.decrementer;
    this.#decBits = large ? LARGE_DECREMENTER_BITS : 32n;
    this.decrementer = value;
  }

  /** Whether DEC's sign bit requests an interrupt: a level, as on POWER8 and later. */
  get decrementerPending(): boolean {
    return this.#signedDecrementer() < 0n;
  }

  /** HDEC, sign-extended to 64 bits. */
  get hypervisorDecrementer(): bigint {
    return BigInt.asUintN(64, BigInt.asIntN(Number(LARGE_DECREMENTER_BITS), this.#hdecZero - this.#ticks()));
  }

  set hypervisorDecrementer(value: bigint) {
    this.#hdecZero = this.#ticks() + BigInt.asIntN(Number(LARGE_DECREMENTER_BITS), value);
    this.#hdecTaken = false;
  }

  /** Whether HDEC has become negative and no interrupt was taken for it yet: an edge, so that its interrupt comes once. */
  get hypervisorDecrementerPending(): boolean {
    return !this.#hdecTaken && this.hypervisorDecrementer >> 63n !== 0n;
  }

  /** The interrupt for HDEC was taken. */
  takeHypervisorDecrementer(): void {
    this.#hdecTaken = true;
  }

  /** The machine clock at which the next decrementer becomes negative, or null if both are already. */
  nextDeadline(): bigint | null {
    const now = this.#ticks();
    const dec = this.#decZero;
    const hdec = this.#hdecZero;
    if (dec < now && hdec < now) return null;
    const first = hdec < now || (dec >= now && dec < hdec) ? dec : hdec;
    const { ticks, instructions } = this.#rate;
    return this.#isUnit ? first + 1n : ((first + 1n) * instructions + ticks - 1n) / ticks;
  }

  #signedDecrementer(): bigint {
    return BigInt.asIntN(Number(this.#decBits), this.#decZero - this.#ticks());
  }

  #ticks(): bigint {
    const clock = this.#clock();
    return this.#isUnit ? clock : (clock * this.#rate.ticks) / this.#rate.instructions;
  }
}
