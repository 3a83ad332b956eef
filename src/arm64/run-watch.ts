import type { TraceEvent, TraceSink } from '../trace/events.ts';

/** Keeps what the report says of VMs, from the hyp's events, and passes every event on. */
export class RunWatch implements TraceSink {
  /** Refused accesses by who tried. */
  readonly refused: Record<string, number> = {};
  readonly #next: TraceSink | null;
  /** By VM: the state of each page of its; it stays as it was when the VM began to die. */
  readonly #pages = new Map<number, Map<bigint, string>>();
  readonly #dying = new Set<number>();

  constructor(next: TraceSink | null) {
    this.#next = next;
  }

  emit(event: TraceEvent): void {
    if (event.type === 'refused-access') this.refused[event.agent] = (this.refused[event.agent] ?? 0) + 1;
    if (event.type === 'vm-state' && event.to === 'DYING') this.#dying.add(event.vm);
    if (event.type === 'page-state' && !this.#dying.has(event.vm)) {
      const pages = this.#pages.get(event.vm) ?? new Map<bigint, string>();
      pages.set(event.gfn, event.to);
      this.#pages.set(event.vm, pages);
    }
    this.#next?.emit(event);
  }

  /** Pages of all VMs by state; those that nobody touched are in none. */
  get pages(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const pages of this.#pages.values()) {
      for (const state of pages.values()) if (state !== 'NOPAGE') counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }
}
