import type { Machine, Outcome } from '../index.ts';
import { statusOf } from './exit-status.ts';
import type { InputSource } from './input.ts';
import type { StopWatch } from './signals.ts';

/** Instructions between two looks at the world outside. A run must not depend on the clock on the wall, so it is a constant. */
const SLICE = 5_000_000;

/** The world outside a machine, between slices. */
export interface Surroundings {
  readonly input: InputSource;
  readonly stop: StopWatch;
  /** Called after each slice. */
  look(): void;
}

/**
 * Runs a machine in slices, so that input and signals get through between them. Where somebody may type, a guest that waits does so in real time.
 * @returns the outcome, and the exit status for it
 */
export async function drive(
  machine: Machine,
  limit: number | null,
  outside: Surroundings,
): Promise<{ readonly outcome: Outcome; readonly status: number }> {
  const last = limit ?? Number.MAX_SAFE_INTEGER;
  let idled = 0;
  for (let end = Math.min(SLICE, last); ; end = Math.min(end + SLICE, last)) {
    await new Promise((resolve) => setImmediate(resolve));
    const { request } = outside.stop;
    if (request !== null) return { outcome: machine.stop(request.detail), status: request.status };
    const outcome = machine.run(end);
    if (outcome.kind !== 'limit' || end === last) return { outcome, status: statusOf(outcome) };
    outside.look();
    const waited = (machine.idle - idled) / machine.instructionsPerMillisecond;
    if (outside.input.live && waited < 1) continue;
    idled = machine.idle;
    if (outside.input.live) await outside.input.wait(waited);
  }
}
