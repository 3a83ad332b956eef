import type { Outcome } from '../index.ts';

/** Exit statuses of the command: a contract that scripts depend on. */
export const EXIT_STATUS = {
  /** The guest powered off or stopped normally. */
  ok: 0,
  /** It crashed or was terminated. */
  crashed: 1,
  /** Bad usage or a bad image. */
  usage: 2,
  /** The instruction limit was reached. */
  limit: 3,
  /** A bug of ours. */
  bug: 70,
} as const;

const BY_OUTCOME: Readonly<Record<Outcome['kind'], number>> = {
  poweroff: EXIT_STATUS.ok,
  stopped: EXIT_STATUS.ok,
  crashed: EXIT_STATUS.crashed,
  terminated: EXIT_STATUS.crashed,
  limit: EXIT_STATUS.limit,
};

export function statusOf(outcome: Outcome): number {
  return BY_OUTCOME[outcome.kind];
}

/** Bad usage: one line that names the place and the reason. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
