import { RunWatch } from '../machine/run-watch.ts';
import type { TraceSink } from '../trace/events.ts';

/** Keeps what the report says of VMs: their pages as the Ultravisor has them until their configuration is destroyed. */
export function watchRun(next: TraceSink | null): RunWatch {
  return new RunWatch(next, { nobodys: 'NEVER-TOUCHED', going: 'DESTROYED' });
}
