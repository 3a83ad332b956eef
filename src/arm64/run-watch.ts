import { RunWatch } from '../machine/run-watch.ts';
import type { TraceSink } from '../trace/events.ts';

/** Keeps what the report says of VMs: their pages as the hyp has them until they begin to die. */
export function watchRun(next: TraceSink | null): RunWatch {
  return new RunWatch(next, { nobodys: 'NOPAGE', going: 'DYING' });
}
