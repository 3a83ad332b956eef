import type { TraceEvent, TraceEventOf, TraceSink } from './events.ts';

/** Keeps every event. */
export class MemoryTrace implements TraceSink {
  readonly events: TraceEvent[] = [];

  emit(event: TraceEvent): void {
    this.events.push(event);
  }

  /** The events of one type, in their order. */
  ofType<T extends TraceEvent['type']>(type: T): TraceEventOf<T>[] {
    return this.events.filter((event): event is TraceEventOf<T> => event.type === type);
  }
}
