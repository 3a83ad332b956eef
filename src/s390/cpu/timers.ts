const MASK_64 = (1n << 64n) - 1n;
/** Units of the TOD clock in the instructions that take so long: a microsecond is bit 51, and a CPU executes a thousand million instructions a second. */
const RATE = { units: 512n, instructions: 125n } as const;
/** TOD clock at 1970-01-01 00:00 UTC: where the clock of a new machine starts. */
export const TOD_AT_START = 0x7d91048bca000000n;

/** The TOD clock of a machine, which all its CPUs share. */
export class TodClock {
  readonly #clock: () => bigint;
  /** The CPU that executes at this moment: the clock is as far as it is. */
  running: { readonly now: bigint } | null = null;
  #offset = TOD_AT_START;

  /** @param clock instructions executed so far */
  constructor(clock: () => bigint) {
    this.#clock = clock;
  }

  /** What all timers count, from 0 on and without wrapping. */
  units(): bigint {
    const now = this.running?.now ?? this.#clock();
    return (now * RATE.units) / RATE.instructions;
  }

  /** Bits 0 to 63 of the clock. */
  get value(): bigint {
    return (this.units() + this.#offset) & MASK_64;
  }

  set value(value: bigint) {
    this.#offset = value - this.units();
  }

  /** The clock value in instructions at which `units` is reached. */
  instructionsAt(units: bigint): bigint {
    return (units * RATE.instructions + RATE.units - 1n) / RATE.units;
  }
}

/** Clock comparator, CPU timer and TOD programmable register of one CPU. They count with the machine's clock, so nothing has to tick. */
export class Timers {
  readonly tod: TodClock;
  /** Added to the TOD clock as this CPU's program sees it: the epoch difference of a guest under SIE. */
  epoch = 0n;
  clockComparator = 0n;
  todProgrammable = 0;
  /** CPU timer when `units` was `#at`; it stands still while the CPU is stopped. */
  #timer = 0n;
  #at: bigint | null = 0n;

  constructor(tod: TodClock) {
    this.tod = tod;
  }

  /** As after an initial CPU reset. */
  reset(): void {
    this.clockComparator = 0n;
    this.todProgrammable = 0;
    this.cpuTimer = 0n;
  }

  /** The TOD clock as the program sees it. */
  get clock(): bigint {
    return (this.tod.value + this.epoch) & MASK_64;
  }

  /** Unsigned; its first bit is the sign. */
  get cpuTimer(): bigint {
    const passed = this.#at === null ? 0n : this.tod.units() - this.#at;
    return (this.#timer - passed) & MASK_64;
  }

  set cpuTimer(value: bigint) {
    this.#timer = value;
    if (this.#at !== null) this.#at = this.tod.units();
  }

  /** Lets the CPU timer run or stand still. */
  set running(runs: boolean) {
    const value = this.cpuTimer;
    this.#at = runs ? this.tod.units() : null;
    this.#timer = value;
  }

  /** @param signed CR0 bit 10: both are compared as signed numbers */
  isComparatorPending(signed: boolean): boolean {
    return order(this.clock, signed) > order(this.clockComparator, signed);
  }

  get isTimerPending(): boolean {
    return this.cpuTimer >> 63n === 1n;
  }

  /**
   * When a condition that does not hold will hold, in instructions of the machine; null for never.
   * @param comparator whether the clock comparator matters, `timer` whether the CPU timer does
   */
  deadline(comparator: boolean, timer: boolean, signed: boolean): number | null {
    let left: bigint | null = null;
    if (comparator && !this.isComparatorPending(signed)) {
      left = order(this.clockComparator, signed) - order(this.clock, signed) + 1n;
    }
    if (timer && !this.isTimerPending && this.#at !== null) {
      const timerLeft = this.cpuTimer + 1n;
      if (left === null || timerLeft < left) left = timerLeft;
    }
    if (left === null) return null;
    const at = this.tod.instructionsAt(this.tod.units() + left);
    return at > BigInt(Number.MAX_SAFE_INTEGER) ? null : Number(at);
  }
}

function order(value: bigint, signed: boolean): bigint {
  return signed ? BigInt.asIntN(64, value) : value;
}
