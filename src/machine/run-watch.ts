import type { TraceEvent, TraceSink } from '../trace/events.ts';

/** States by the names that the architecture's tables give them. */
export interface WatchedStates {
  /** Of a page that is not the VM's. */
  readonly nobodys: string;
  /** Of a VM that begins to go: what happens to its pages from then on is no news of it. */
  readonly going: string;
}

/** Keeps what the report says of VMs, from the events of the trusted part, and passes every event on. */
export class RunWatch implements TraceSink {
  /** Refused accesses by who tried. */
  readonly refused: Record<string, number> = {};
  readonly #next: TraceSink | null;
  readonly #states: WatchedStates;
  /** By VM: the state of each page of its; it stays as it was when the VM began to go. */
  readonly #pages = new Map<number, Map<bigint, string>>();
  readonly #going = new Set<number>();

  constructor(next: TraceSink | null, states: WatchedStates) {
    this.#next = next;
    this.#states = states;
  }

  emit(event: TraceEvent): void {
    if (event.type === 'refused-access') this.refused[event.agent] = (this.refused[event.agent] ?? 0) + 1;
    if (event.type === 'vm-state' && event.to === this.#states.going) this.#going.add(event.vm);
    if (event.type === 'page-state' && !this.#going.has(event.vm)) {
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
      for (const state of pages.values()) if (state !== this.#states.nobodys) counts[state] = (counts[state] ?? 0) + 1;
    }
    return counts;
  }
}
