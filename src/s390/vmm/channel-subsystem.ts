import type { DeviceMemory } from '../../devices/device-memory.ts';
import { PGM } from '../abi.ts';
import type { ChannelDevice } from './channel-program.ts';
import {
  ORB,
  ORB_CONTROL,
  ORB_FLAG,
  PMCW,
  PMCW_CHARACTERISTIC,
  PMCW_FLAG,
  SCHIB_MEASUREMENT_ADDRESS,
  viewOf,
} from './css-format.ts';
import type { FloatingQueue } from './floating-queue.ts';
import { Subchannel, type SubchannelCc } from './subchannel.ts';

/** How an instruction ended: a condition code, or a program interruption. */
export type ChannelAnswer = SubchannelCc | { readonly program: number };
/** The same with what is to be stored where the condition code is not 3. */
export type ChannelStore = { readonly cc: SubchannelCc; readonly bytes: Uint8Array } | { readonly program: number };

/** Subsystem-identification word: a subchannel set, a one, the subchannel's number; and, with M, the image of the channel subsystem. */
const ID = { CSS: 0xff000000, M: 0x00080000, SET: 0x00060000, ONE: 0x00010000, NUMBER: 0xffff } as const;
const OPERAND = { program: PGM.OPERAND } as const;

/** Channel report words: solicited, a channel path was initialized. */
const REPORT_PATH_INITIALIZED = 0x44020000;

/**
 * A channel subsystem with one path and virtual devices (Principles of Operation, chapters 13 to 17), by the words and blocks of its instructions: who calls has fetched them, and
 * stores what is answered. Channel programs and data are reached through the devices' view of storage.
 */
export class ChannelSubsystem {
  readonly #memory: DeviceMemory;
  readonly #queue: FloatingQueue;
  readonly #subchannels: Subchannel[] = [];
  readonly #reports: number[] = [];

  /** @param memory storage as channel programs address it: absolute */
  constructor(memory: DeviceMemory, queue: FloatingQueue) {
    this.#memory = memory;
    this.#queue = queue;
  }

  /** Puts a device behind the next subchannel. */
  attach(device: ChannelDevice): Subchannel {
    const subchannel = new Subchannel(this.#subchannels.length, device, this.#memory, (pending) =>
      this.#interrupt(pending),
    );
    this.#subchannels.push(subchannel);
    return subchannel;
  }

  /** The subchannel of an identification word; undefined where there is none, or the word is none. */
  find(id: number): Subchannel | undefined {
    return isId(id) && (id & (ID.M | ID.SET)) === 0 ? this.#subchannels[id & ID.NUMBER] : undefined;
  }

  /** STSCH. */
  store(id: number): ChannelStore {
    if (!isId(id)) return OPERAND;
    const subchannel = this.find(id);
    return subchannel === undefined ? { cc: 3, bytes: new Uint8Array(0) } : { cc: 0, bytes: subchannel.store() };
  }

  /** MSCH. */
  modify(id: number, schib: Uint8Array): ChannelAnswer {
    if (!isId(id) || !isSchibValid(viewOf(schib))) return OPERAND;
    return this.find(id)?.modify(schib) ?? 3;
  }

  /** SSCH. */
  start(id: number, orb: Uint8Array): ChannelAnswer {
    if (!isId(id) || !isOrbValid(viewOf(orb))) return OPERAND;
    return this.find(id)?.start(orb) ?? 3;
  }

  /** TSCH. Where the bytes can be stored, `tested` follows. */
  test(id: number): ChannelStore {
    if (!isId(id)) return OPERAND;
    const { cc, irb } = this.find(id)?.test() ?? { cc: 3 as const, irb: new Uint8Array(0) };
    return { cc, bytes: irb };
  }

  /** The status that TSCH stored is over, and whatever would have told of it. */
  tested(id: number): void {
    const subchannel = this.find(id);
    if (subchannel === undefined) return;
    subchannel.tested();
    this.#queue.withdraw(subchannel.number);
  }

  /** CSCH. */
  clear(id: number): ChannelAnswer {
    return isId(id) ? (this.find(id)?.clear() ?? 3) : OPERAND;
  }

  /** HSCH. */
  halt(id: number): ChannelAnswer {
    return isId(id) ? (this.find(id)?.halt() ?? 3) : OPERAND;
  }

  /** RSCH. */
  resume(id: number): ChannelAnswer {
    return isId(id) ? (this.find(id)?.resume() ?? 3) : OPERAND;
  }

  /** XSCH. */
  cancel(id: number): ChannelAnswer {
    if (!isId(id)) return OPERAND;
    const subchannel = this.find(id);
    const cc = subchannel?.cancel() ?? 3;
    if (subchannel !== undefined && cc === 0) this.#queue.withdraw(subchannel.number);
    return cc;
  }

  /** RCHP: resets a channel path, and reports it. @param path register 1 */
  resetPath(path: number): ChannelAnswer {
    if ((path & 0xff00ff00) !== 0) return OPERAND;
    if (path !== 0 || this.#subchannels.length === 0) return 3;
    this.#reports.push(REPORT_PATH_INITIALIZED | path);
    this.#queue.channelReport();
    return 0;
  }

  /** STCRW: the next channel report word, or 0. `reported` is to follow once it is stored. */
  report(): { readonly cc: 0 | 1; readonly word: number } {
    const [word] = this.#reports;
    return word === undefined ? { cc: 1, word: 0 } : { cc: 0, word };
  }

  /** The report was stored. */
  reported(): void {
    this.#reports.shift();
  }

  /** Tells of a subchannel's device, if its status is not pending already. */
  alert(subchannel: Subchannel): void {
    subchannel.alert();
  }

  /** An adapter interruption. */
  adapterInterruption(isc: number): void {
    this.#queue.adapter(isc);
  }

  /** As after a subsystem reset. */
  reset(): void {
    this.#reports.length = 0;
    for (const subchannel of this.#subchannels) subchannel.reset();
  }

  #interrupt(subchannel: Subchannel): void {
    const { number, parameter, isc } = subchannel;
    this.#queue.subchannel({ subchannelId: ID.ONE >>> 16, subchannel: number, parameter }, isc);
  }
}

/** Without M there is one image, whose number is 0. */
function isId(id: number): boolean {
  return (id & ID.ONE) !== 0 && ((id & ID.M) !== 0 || (id & ID.CSS) === 0);
}

function isSchibValid(schib: DataView): boolean {
  const characteristics = schib.getUint32(PMCW.CHARACTERISTICS);
  const { INVALID, EXTENDED_MEASUREMENT, MEASUREMENT_FORMAT } = PMCW_CHARACTERISTIC;
  if ((schib.getUint16(PMCW.FLAGS) & PMCW_FLAG.INVALID) !== 0) return false;
  if ((characteristics & (INVALID | EXTENDED_MEASUREMENT)) !== 0) return false;
  const address = schib.getBigUint64(SCHIB_MEASUREMENT_ADDRESS);
  return (characteristics & MEASUREMENT_FORMAT) === 0 || (address & 0x3fn) === 0n;
}

function isOrbValid(orb: DataView): boolean {
  const control = orb.getUint8(ORB.CONTROL);
  if ((orb.getUint16(ORB.FLAGS) & ORB_FLAG.INVALID) !== 0) return false;
  if ((control & (ORB_CONTROL.INVALID | ORB_CONTROL.MODIFIED_IDA)) !== 0) return false;
  return (orb.getUint32(ORB.PROGRAM) & 0x80000000) === 0;
}
