import type { ReportedVmState } from '../machine/run-report.ts';
import type { TraceEvent, TraceSink } from '../trace/events.ts';

/** Keeps what the report says of VM states, and passes every event on. */
export class RunWatch implements TraceSink {
  readonly vmStates = new Map<number, ReportedVmState>();
  /** Refused accesses by who tried. */
  readonly refused: Record<string, number> = {};
  /** Why VMs that asked did not become secure, in the order in which they asked. */
  readonly esmFailures: { readonly vm: number; readonly reason: string }[] = [];
  readonly #next: TraceSink | null;

  constructor(next: TraceSink | null) {
    this.#next = next;
  }

  emit(event: TraceEvent): void {
    if (event.type === 'vm-state') {
      this.#note(event.vm, event.to);
      if (event.reason !== undefined) this.esmFailures.push({ vm: event.vm, reason: event.reason });
    }
    if (event.type === 'refused-access') this.refused[event.agent] = (this.refused[event.agent] ?? 0) + 1;
    this.#next?.emit(event);
  }

  /** A VM that ends goes through NORMAL, which says nothing of how it ran. */
  #note(vm: number, state: string): void {
    if (state === 'SECURE') this.vmStates.set(vm, 'secure');
    if (state === 'DEAD') this.vmStates.set(vm, 'dead');
    if (state === 'ABORT') this.vmStates.set(vm, 'normal');
  }
}
