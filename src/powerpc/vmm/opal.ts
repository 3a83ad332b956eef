import type { ConsoleBackend } from '../../devices/console.ts';
import type { HostView } from '../../machine/host-view.ts';
import { type RealAddress, realAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import { codeToRegister } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';

/** Calls of OPAL, skiboot's run-time services, by R0 (skiboot `include/opal-api.h`). */
export const OPAL_TOKEN = {
  OPAL_CONSOLE_WRITE: 1,
  OPAL_CONSOLE_READ: 2,
  OPAL_CEC_POWER_DOWN: 5,
  OPAL_CEC_REBOOT: 6,
  OPAL_POLL_EVENTS: 10,
  OPAL_CONSOLE_WRITE_BUFFER_SPACE: 25,
  OPAL_CHECK_TOKEN: 80,
} as const;

/** Return codes of OPAL. */
export const OPAL_CODE = { OPAL_SUCCESS: 0, OPAL_PARAMETER: -1, OPAL_UNSUPPORTED: -7 } as const;

const { OPAL_SUCCESS, OPAL_PARAMETER, OPAL_UNSUPPORTED } = OPAL_CODE;

/** The machine's only terminal. */
const TERMINAL = 0n;
/** The most that one console call moves, and the room that a console always has. */
const MAX_CONSOLE_BYTES = 4096;

/** How a host ended itself. */
export interface HostEnd {
  readonly kind: 'poweroff' | 'stopped';
  readonly detail: string;
}

type OpalCall = (args: readonly bigint[], view: HostView, port: RegisterPort) => number;

/**
 * OPAL for a machine-code hypervisor (`--role host`): console and power-off. Pointers are real addresses, what they point to is big-endian.
 */
export class Opal {
  /** Set when the host has turned the machine off. */
  end: HostEnd | null = null;
  readonly #console: ConsoleBackend;
  readonly #trace: TraceSink | null;

  constructor(console: ConsoleBackend, trace: TraceSink | null) {
    this.#console = console;
    this.#trace = trace;
  }

  /**
   * Serves the call in the registers: token in R0, arguments from R3; the return code goes to R3.
   * @param view memory with the rights of the caller
   */
  call(port: RegisterPort, view: HostView): void {
    const token = port.gpr(0);
    const args = [3, 4, 5, 6].map((n) => port.gpr(n));
    const call = token < 0x10000n ? this.#calls.get(Number(token)) : undefined;
    port.setGpr(3, codeToRegister(call?.(args, view, port) ?? OPAL_UNSUPPORTED));
  }

  readonly #calls: ReadonlyMap<number, OpalCall> = new Map<number, OpalCall>([
    [OPAL_TOKEN.OPAL_CONSOLE_WRITE, (args, view, port) => this.#write(args, view, port)],
    [OPAL_TOKEN.OPAL_CONSOLE_READ, (args, view, port) => this.#read(args, view, port)],
    [OPAL_TOKEN.OPAL_CONSOLE_WRITE_BUFFER_SPACE, ([terminal, length], view) => writeSpace(terminal, length, view)],
    [OPAL_TOKEN.OPAL_CEC_POWER_DOWN, () => this.#finish({ kind: 'poweroff', detail: 'OPAL_CEC_POWER_DOWN' })],
    [OPAL_TOKEN.OPAL_CEC_REBOOT, () => this.#finish({ kind: 'stopped', detail: 'OPAL_CEC_REBOOT' })],
    [OPAL_TOKEN.OPAL_POLL_EVENTS, ([events], view) => pollEvents(events, view)],
    [OPAL_TOKEN.OPAL_CHECK_TOKEN, ([token]) => (token < 0x10000n && this.#calls.has(Number(token)) ? 1 : 0)],
  ]);

  #write([terminal, lengthAt, bufferAt]: readonly bigint[], view: HostView, port: RegisterPort): number {
    const target = consoleBuffer(terminal, lengthAt, bufferAt, view);
    if (target === undefined) return OPAL_PARAMETER;
    const bytes = view.read(target.buffer, target.size);
    this.#console.output(bytes);
    this.#trace?.emit({ type: 'console', at: port.clock, cpu: port.cpu, vm: 0, bytes });
    view.writeU64(target.length, BigInt(target.size));
    return OPAL_SUCCESS;
  }

  #read([terminal, lengthAt, bufferAt]: readonly bigint[], view: HostView, port: RegisterPort): number {
    const target = consoleBuffer(terminal, lengthAt, bufferAt, view);
    if (target === undefined) return OPAL_PARAMETER;
    const bytes = this.#console.input(target.size);
    if (bytes.length > 0) {
      this.#trace?.emit({ type: 'console-input', at: port.clock, cpu: port.cpu, vm: 0, bytes: bytes.slice() });
    }
    view.write(target.buffer, bytes);
    view.writeU64(target.length, BigInt(bytes.length));
    return OPAL_SUCCESS;
  }

  #finish(end: HostEnd): number {
    this.end ??= end;
    return OPAL_SUCCESS;
  }
}

/** Where length and bytes of a console call are, and how many bytes it moves; undefined if the caller may not reach them. */
function consoleBuffer(
  terminal: bigint,
  lengthAt: bigint,
  bufferAt: bigint,
  view: HostView,
): { length: RealAddress; buffer: RealAddress; size: number } | undefined {
  const length = reachable(lengthAt, 8, view);
  if (terminal !== TERMINAL || length === undefined) return undefined;
  const wanted = view.readU64(length);
  const size = wanted < BigInt(MAX_CONSOLE_BYTES) ? Number(wanted) : MAX_CONSOLE_BYTES;
  const buffer = reachable(bufferAt, size, view);
  return buffer === undefined ? undefined : { length, buffer, size };
}

function writeSpace(terminal: bigint, lengthAt: bigint, view: HostView): number {
  const length = reachable(lengthAt, 8, view);
  if (terminal !== TERMINAL || length === undefined) return OPAL_PARAMETER;
  view.writeU64(length, BigInt(MAX_CONSOLE_BYTES));
  return OPAL_SUCCESS;
}

/** There are no events; a null pointer is allowed. */
function pollEvents(eventsAt: bigint, view: HostView): number {
  if (eventsAt === 0n) return OPAL_SUCCESS;
  const events = reachable(eventsAt, 8, view);
  if (events === undefined) return OPAL_PARAMETER;
  view.writeU64(events, 0n);
  return OPAL_SUCCESS;
}

function reachable(address: bigint, length: number, view: HostView): RealAddress | undefined {
  const real = realAddress(address);
  return real !== undefined && view.reaches(real, length) ? real : undefined;
}
