import type { TraceEvent, TraceSink } from './events.ts';
import { traceJson } from './json.ts';

/** Writes every event as one line of JSON. */
export class JsonLinesTrace implements TraceSink {
  readonly #write: (line: string) => void;

  /** `write` takes a line with its newline, e.g. to append it to a file. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  emit(event: TraceEvent): void {
    this.#write(`${traceJson(event)}\n`);
  }
}
