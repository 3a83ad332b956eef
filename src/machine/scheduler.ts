/** The one clock: instructions executed by all CPUs, in execution order. Below 2^53. */
export class MachineClock {
  #now = 0;
  #idle = 0;

  get now(): number {
    return this.#now;
  }

  /** How much of `now` nobody executed: all CPUs waited, and the clock jumped. */
  get idle(): number {
    return this.#idle;
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

  /** Time goes on while all CPUs wait. @throws RangeError as `advance` */
  jump(instructions: number): void {
    this.advance(instructions);
    this.#idle += instructions;
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

/** Where the scheduler is between two calls of `runMachine`, as plain data: a limit must not change whose turn it is. */
export interface SchedulePosition {
  /** Whose turn it is. */
  cpu: number;
  /** Instructions left of its slice; 0 at the beginning of one. */
  left: number;
  /** Whether some CPU executed something in this round. */
  active: boolean;
}

export function startOfSchedule(): SchedulePosition {
  return { cpu: 0, left: 0, active: false };
}

/**
 * Runs CPUs in fixed slices in a fixed order. A slice ends early when its CPU waits, and is interrupted at the next deadline of its CPU; when all
 * wait, the clock jumps to the first deadline.
 * @param until asked between slices
 * @param limit clock value at which the run ends
 * @param position where the last run ended; it is brought up to date
 */
export function runMachine(
  cpus: readonly ScheduledCpu[],
  clock: MachineClock,
  until: () => boolean,
  limit: number = Number.MAX_SAFE_INTEGER,
  position: SchedulePosition = startOfSchedule(),
): RunEnd {
  const slice = cpus.length > 1 ? SLICE : LONE_SLICE;
  for (;;) {
    const cpu = cpus[position.cpu];
    if (cpu === undefined) {
      const end = endRound(cpus, clock, limit, position);
      if (end !== null) return end;
      continue;
    }
    if (position.left === 0) {
      if (until()) return 'ended';
      position.left = slice;
    }
    const allowed = limit - clock.now;
    if (allowed <= 0) return 'limit';
    const due = cpu.deadline === null ? slice : Math.max(1, cpu.deadline - clock.now);
    const budget = Math.min(position.left, due, allowed);
    const executed = cpu.run(budget);
    position.active ||= executed > 0;
    position.left = executed < budget ? 0 : position.left - executed;
    if (position.left === 0) position.cpu++;
  }
}

/** Every CPU had its turn: if none could use it, the clock jumps. @returns null to go on */
function endRound(
  cpus: readonly ScheduledCpu[],
  clock: MachineClock,
  limit: number,
  position: SchedulePosition,
): RunEnd | null {
  if (!position.active) {
    const next = firstDeadline(cpus, clock);
    if (next === null) return 'deadlock';
    const target = Math.min(next, limit);
    if (target > clock.now) clock.jump(target - clock.now);
    if (next >= limit) return 'limit';
  }
  Object.assign(position, startOfSchedule());
  return null;
}

function firstDeadline(cpus: readonly ScheduledCpu[], clock: MachineClock): number | null {
  let first: number | null = null;
  for (const { deadline } of cpus) {
    if (deadline !== null && (first === null || deadline < first)) first = Math.max(deadline, clock.now);
  }
  return first;
}
