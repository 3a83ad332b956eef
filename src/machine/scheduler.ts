/** The one clock: instructions executed by all CPUs, in execution order. Below 2^53. */
export class MachineClock {
  #now = 0;

  get now(): number {
    return this.#now;
  }

  /** The same as a bigint, for events and registers. */
  get stamp(): bigint {
    return BigInt(this.#now);
  }

  /** @throws RangeError for a negative or fractional step: a mistake of ours */
  advance(instructions: number): void {
    if (!Number.isInteger(instructions) || instructions < 0) throw new RangeError(`clock step of ${instructions}`);
    this.#now += instructions;
  }
}

/** A physical CPU as the scheduler sees it. */
export interface ScheduledCpu {
  /** Executes up to `budget` instructions, advances the clock by them, and returns how many they were; 0 only if it waits or is stopped. */
  run(budget: number): number;
  /** Nothing to execute until a deadline or an interrupt from another CPU. */
  readonly waiting: boolean;
  /** When something is due for this CPU, in clock units; null for never. At or before now means at once. */
  readonly deadline: number | null;
}

/** Why a run ended. */
export type RunEnd =
  /** `until` said so. */
  | 'ended'
  /** The instruction limit was reached. */
  | 'limit'
  /** Every CPU waits and nothing is due. */
  | 'deadlock';

/** Instructions that one CPU executes before the next one's turn. Short slices cost speed, because each ends in the interpreter. */
const SLICE = 50_000;
/** The same where there is no other CPU. */
const LONE_SLICE = 5_000_000;

/**
 * Runs CPUs in fixed slices in a fixed order. A slice ends early at the next deadline of its CPU; when all wait, the clock jumps to the first
 * deadline.
 * @param until asked between slices
 * @param limit clock value at which the run ends
 */
export function runMachine(
  cpus: readonly ScheduledCpu[],
  clock: MachineClock,
  until: () => boolean,
  limit: number = Number.MAX_SAFE_INTEGER,
): RunEnd {
  const slice = cpus.length > 1 ? SLICE : LONE_SLICE;
  for (;;) {
    let executed = 0;
    for (const cpu of cpus) {
      if (until()) return 'ended';
      const left = limit - clock.now;
      if (left <= 0) return 'limit';
      const due = cpu.deadline === null ? slice : Math.max(1, cpu.deadline - clock.now);
      executed += cpu.run(Math.min(slice, due, left));
    }
    if (until()) return 'ended';
    if (executed > 0) continue;
    const next = firstDeadline(cpus, clock);
    if (next === null) return 'deadlock';
    if (next >= limit) return 'limit';
    if (next > clock.now) clock.advance(next - clock.now);
  }
}

function firstDeadline(cpus: readonly ScheduledCpu[], clock: MachineClock): number | null {
  let first: number | null = null;
  for (const { deadline } of cpus) {
    if (deadline !== null && (first === null || deadline < first)) first = Math.max(deadline, clock.now);
  }
  return first;
}
