import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What shells show for a command that a signal ended. */
export const SIGNAL_STATUS = 128;

/** Its number: Node ignores the signal, and a write fails instead. */
const SIGPIPE = 13;
/** Exit status where nobody reads standard output any more: as if the signal had ended us, as it does other tools. */
export const UNHEARD_STATUS = SIGNAL_STATUS + SIGPIPE;

/** Why a run is to end before the guest does, and with which exit status. */
export interface StopRequest {
  readonly detail: string;
  readonly status: number;
}

/** Waits for somebody to end the run: a signal, a key, an output that nobody reads. The first reason counts. */
export class StopWatch {
  request: StopRequest | null = null;
  readonly #handlers = SIGNALS.map((signal) => {
    const status = SIGNAL_STATUS + constants.signals[signal];
    return [signal, () => this.ask({ detail: signal, status })] as const;
  });

  ask(request: StopRequest): void {
    this.request ??= request;
  }

  listen(): void {
    for (const [signal, handler] of this.#handlers) process.on(signal, handler);
  }

  /** Gives the signals back. */
  close(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler);
  }
}
