import { CR0, EXTERNAL } from '../abi.ts';
import type { FloatingInterruption, FloatingInterruptions, InterruptionMasks } from '../cpu/port.ts';

/** An I/O interruption: what is stored at 0xb8 to 0xc3 of the prefix area. */
export type IoInterruption = Extract<FloatingInterruption, { kind: 'io' }>;
type MachineCheck = Extract<FloatingInterruption, { kind: 'machine-check' }>;

/** CR14: channel-report-pending subclass mask (bit 35). */
const CHANNEL_REPORT_MASK = 0x10000000;
/** Machine-check interruption code of a channel report: subclass CP, all of the CPU's state valid (Principles of Operation, chapter 11). */
const CHANNEL_REPORT_CODE = 0x00400f1d40330000n;

/** The I/O-interruption word says the subclass in bits 2 to 4, and in bit 0 that an adapter interrupts. */
const ISC_SHIFT = 27;
const ADAPTER = 0x80000000;

/** The event-pending bit of a service signal's parameter. */
export const SERVICE_EVENTS_PENDING = 1;

/**
 * Interruptions that belong to no CPU, of one machine or VM. Each is there once: a service signal gathers what it has to say, a subchannel has one
 * interruption at a time, an adapter one for each subclass.
 */
export class FloatingQueue implements FloatingInterruptions {
  readonly #notice: () => void;
  #service = 0;
  #channelReport = false;
  #io: IoInterruption[] = [];

  /** @param notice something was put in */
  constructor(notice: () => void) {
    this.#notice = notice;
  }

  /** SCLP is done with a block, or has events: bits of the parameter at 0x80. */
  serviceSignal(parameter: number): void {
    this.#service = (this.#service | parameter) >>> 0;
    this.#notice();
  }

  /** There are channel reports to be stored by STCRW. */
  channelReport(): void {
    this.#channelReport = true;
    this.#notice();
  }

  /** A subchannel has status that is pending. */
  subchannel(interruption: Omit<IoInterruption, 'kind' | 'word'>, isc: number): void {
    this.withdraw(interruption.subchannel);
    this.#io.push({ kind: 'io', ...interruption, word: isc << ISC_SHIFT });
    this.#notice();
  }

  /** What the subchannel had to say was asked for, or was cancelled. */
  withdraw(subchannel: number): void {
    this.#io = this.#io.filter((io) => isAdapter(io) || io.subchannel !== subchannel);
  }

  /** An adapter has set its summary indicator. */
  adapter(isc: number): void {
    if (this.#io.some((io) => isAdapter(io) && iscOf(io) === isc)) return;
    this.#io.push({
      kind: 'io',
      subchannelId: 0,
      subchannel: 0,
      parameter: 0,
      word: (ADAPTER | (isc << ISC_SHIFT)) >>> 0,
    });
    this.#notice();
  }

  due(masks: InterruptionMasks): boolean {
    return this.#machineCheckDue(masks) || this.#serviceDue(masks) || this.peekIo(masks.io) !== undefined;
  }

  take(masks: InterruptionMasks): FloatingInterruption | null {
    if (this.#machineCheckDue(masks)) {
      this.#channelReport = false;
      return { kind: 'machine-check', code: CHANNEL_REPORT_CODE, failingAddress: 0n, damage: 0 } satisfies MachineCheck;
    }
    if (this.#serviceDue(masks)) {
      const parameter = this.#service;
      this.#service = 0;
      return { kind: 'external', code: EXTERNAL.SERVICE_SIGNAL, parameter };
    }
    return this.takeIo(masks.io) ?? null;
  }

  /** @param io subclasses that are enabled, ISC 0 in the most significant bit of the byte */
  peekIo(io: number): IoInterruption | undefined {
    const open = this.#io.filter((pending) => (io & (0x80 >> iscOf(pending))) !== 0);
    return open.reduce<IoInterruption | undefined>(
      (first, next) => (first === undefined || iscOf(next) < iscOf(first) ? next : first),
      undefined,
    );
  }

  /** Takes off what `peekIo` shows. */
  takeIo(io: number): IoInterruption | undefined {
    const taken = this.peekIo(io);
    if (taken !== undefined) this.#io.splice(this.#io.indexOf(taken), 1);
    return taken;
  }

  /** Nothing is pending: as after a subsystem reset. */
  clear(): void {
    this.#service = 0;
    this.#channelReport = false;
    this.#io = [];
  }

  #machineCheckDue({ machineCheck }: InterruptionMasks): boolean {
    return this.#channelReport && (machineCheck & CHANNEL_REPORT_MASK) !== 0;
  }

  #serviceDue({ external }: InterruptionMasks): boolean {
    return this.#service !== 0 && (external & Number(CR0.SERVICE_SIGNAL)) !== 0;
  }
}

function iscOf({ word }: IoInterruption): number {
  return (word >>> ISC_SHIFT) & 7;
}

function isAdapter({ word }: IoInterruption): boolean {
  return (word & ADAPTER) !== 0;
}
