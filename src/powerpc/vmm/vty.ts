import type { ConsoleBackend } from '../../devices/console.ts';
import type { TraceSink } from '../../trace/events.ts';
import { H_CODE } from '../abi.ts';
import type { HypercallResult, PollStamp, UserHypercall } from '../kvm/user-space.ts';

/** Unit address of the console in /vdevice. */
export const VTY_REG = 0x71000000;
/** Its interrupt: the first that QEMU gives to a virtual I/O device. */
export const VTY_INTERRUPT = 0x1100;

const MAX_CHARS = 16;
const CARRIAGE_RETURN = 0x0d;
/** H_VIO_SIGNAL: the one kind of interrupt that a terminal has. */
const SIGNAL_INPUT = 1n;

/** QEMU's virtual terminal over a console back end: hvterm1, 16 characters a call (power-pef.md 9.5). */
export class Vty {
  readonly #backend: ConsoleBackend;
  readonly #trace: TraceSink | null;
  /** Characters that were taken from the back end and not by the guest. */
  readonly #typed: number[] = [];

  constructor(backend: ConsoleBackend, trace: TraceSink | null) {
    this.#backend = backend;
    this.#trace = trace;
  }

  /** Takes input from the back end, as much as QEMU's terminal holds. @returns whether there is some where there was none: an interrupt */
  poll({ clock, cpu }: PollStamp, vm: { readonly lpid: number }): boolean {
    const before = this.#typed.length;
    if (before >= MAX_CHARS) return false;
    const bytes = this.#backend.input(MAX_CHARS - before);
    if (bytes.length === 0) return false;
    this.#typed.push(...bytes);
    this.#trace?.emit({ type: 'console-input', at: clock, cpu, vm: vm.lpid, bytes: bytes.slice() });
    return before === 0;
  }

  /** H_VIO_SIGNAL: R4 unit address, R5 which interrupts are to come. QEMU's terminal, which this follows, raises its own whatever that says. */
  signal({ args: [reg, mode] }: UserHypercall): HypercallResult {
    return { status: isVty(reg) && (mode & ~SIGNAL_INPUT) === 0n ? H_CODE.H_SUCCESS : H_CODE.H_PARAMETER };
  }

  /** H_PUT_TERM_CHAR: R4 unit address, R5 length, R6 and R7 characters, the first in the highest byte. */
  put(call: UserHypercall): HypercallResult {
    const [reg, length, high, low] = call.args;
    if (!isVty(reg) || length > BigInt(MAX_CHARS)) return { status: H_CODE.H_PARAMETER };
    const bytes = new Uint8Array(MAX_CHARS);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, high);
    view.setBigUint64(8, low);
    this.output(call, bytes.subarray(0, Number(length)));
    return { status: H_CODE.H_SUCCESS };
  }

  /**
   * H_GET_TERM_CHAR: R4 length, R5 and R6 characters. A NUL follows each carriage return, as PowerVM has it: guests take out a NUL that
   * they find there.
   */
  get(call: UserHypercall): HypercallResult {
    if (!isVty(call.args[0])) return { status: H_CODE.H_PARAMETER };
    const bytes = new Uint8Array(MAX_CHARS);
    let length = 0;
    while (length < MAX_CHARS) {
      if (this.#typed.length === 0) this.poll(call, call.vm);
      const [byte] = this.#typed;
      if (byte === undefined) break;
      const room = byte === CARRIAGE_RETURN ? 2 : 1;
      if (length + room > MAX_CHARS) break;
      this.#typed.shift();
      bytes[length] = byte;
      length += room;
    }
    const view = new DataView(bytes.buffer);
    return { status: H_CODE.H_SUCCESS, out: [BigInt(length), view.getBigUint64(0), view.getBigUint64(8)] };
  }

  /** Sends bytes to the back end. */
  output({ vm, clock, cpu }: UserHypercall, bytes: Uint8Array): void {
    this.#backend.output(bytes);
    this.#trace?.emit({ type: 'console', at: clock, cpu, vm: vm.lpid, bytes: bytes.slice() });
  }
}

/** Unit address 0 means the first console: early debug code of guests knows no better. */
function isVty(reg: bigint): boolean {
  return reg === BigInt(VTY_REG) || reg === 0n;
}
