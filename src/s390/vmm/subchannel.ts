import type { DeviceMemory } from '../../devices/device-memory.ts';
import { type ChannelDevice, type ProgramEnd, type ProgramState, runProgram } from './channel-program.ts';
import {
  ACTIVITY,
  CCW_BYTES,
  CHANNEL_STATUS,
  DEVICE_STATUS,
  ERW_SENSE,
  ESW_PATH_USED,
  FUNCTION,
  IRB,
  IRB_BYTES,
  ORB,
  ORB_FLAG,
  PMCW,
  PMCW_CHARACTERISTIC,
  PMCW_FLAG,
  PMCW_ISC_SHIFT,
  SCHIB_BYTES,
  SCHIB_MEASUREMENT_ADDRESS,
  SCSW,
  SCSW_FLAG,
  SENSE_BYTES,
  STATUS,
  viewOf,
} from './css-format.ts';

/** Condition code of an instruction for a subchannel. */
export type SubchannelCc = 0 | 1 | 2 | 3;

/** The one path of a virtual device. */
const PATH = 0x80;
/** What of the PMCW a program may change: flags, and characteristics. */
const MODIFIABLE_FLAGS =
  PMCW_FLAG.ISC | PMCW_FLAG.ENABLED | PMCW_FLAG.LIMIT_MODE | PMCW_FLAG.MEASUREMENT_MODE | PMCW_FLAG.MULTIPATH;
const MODIFIABLE_CHARACTERISTICS = PMCW_CHARACTERISTIC.MEASUREMENT_FORMAT | PMCW_CHARACTERISTIC.CONCURRENT_SENSE;

/** Status control and device and channel status of a program that ended. */
const ENDS: Readonly<Record<Exclude<ProgramEnd, 'suspended'>, { control: number; device: number; channel: number }>> = {
  done: {
    control: STATUS.PRIMARY | STATUS.SECONDARY | STATUS.PENDING,
    device: DEVICE_STATUS.CHANNEL_END | DEVICE_STATUS.DEVICE_END,
    channel: 0,
  },
  reject: {
    control: STATUS.PRIMARY | STATUS.SECONDARY | STATUS.ALERT | STATUS.PENDING,
    device: DEVICE_STATUS.UNIT_CHECK,
    channel: 0,
  },
  'program-check': {
    control: STATUS.PRIMARY | STATUS.SECONDARY | STATUS.ALERT | STATUS.PENDING,
    device: 0,
    channel: CHANNEL_STATUS.PROGRAM_CHECK,
  },
};

/**
 * A subchannel with one device and one path (Principles of Operation, chapters 14 and 15). Functions are done at once, and their status is pending when the instruction that
 * starts them ends. Its state is the SCHIB, as STSCH stores it.
 */
export class Subchannel {
  readonly number: number;
  readonly device: ChannelDevice;
  readonly #memory: DeviceMemory;
  readonly #interrupt: (subchannel: Subchannel) => void;
  readonly #schib = viewOf(new Uint8Array(SCHIB_BYTES));
  #program: ProgramState = idleProgram();
  #orbFlags = 0;

  /** @param interrupt status is pending */
  constructor(
    number: number,
    device: ChannelDevice,
    memory: DeviceMemory,
    interrupt: (subchannel: Subchannel) => void,
  ) {
    this.number = number;
    this.device = device;
    this.#memory = memory;
    this.#interrupt = interrupt;
    this.reset();
  }

  /** As after a subsystem reset: nothing pending, disabled, all paths there. */
  reset(): void {
    new Uint8Array(this.#schib.buffer).fill(0);
    this.#schib.setUint16(PMCW.FLAGS, PMCW_FLAG.VALID);
    this.#schib.setUint16(PMCW.DEVICE, this.number);
    for (const at of [PMCW.LPM, PMCW.PIM, PMCW.PAM]) this.#schib.setUint8(at, PATH);
    this.#schib.setUint8(PMCW.POM, 0xff);
    this.#program = idleProgram();
    this.device.reset();
  }

  get parameter(): number {
    return this.#schib.getUint32(PMCW.PARAMETER);
  }

  /** Interruption subclass. */
  get isc(): number {
    return (this.#flags & PMCW_FLAG.ISC) >> PMCW_ISC_SHIFT;
  }

  /** STSCH. */
  store(): Uint8Array {
    return new Uint8Array(this.#schib.buffer).slice();
  }

  /** MSCH; the block was found valid. */
  modify(schib: Uint8Array): SubchannelCc {
    if ((this.#control & STATUS.PENDING) !== 0) return 1;
    if ((this.#control & FUNCTION.ALL) !== 0) return 2;
    const asked = viewOf(schib);
    const flags = this.#flags;
    const characteristics = this.#schib.getUint32(PMCW.CHARACTERISTICS);
    this.#schib.setUint32(PMCW.PARAMETER, asked.getUint32(PMCW.PARAMETER));
    this.#schib.setUint16(PMCW.FLAGS, (flags & ~MODIFIABLE_FLAGS) | (asked.getUint16(PMCW.FLAGS) & MODIFIABLE_FLAGS));
    this.#schib.setUint8(PMCW.LPM, asked.getUint8(PMCW.LPM));
    this.#schib.setUint16(PMCW.MEASUREMENT, asked.getUint16(PMCW.MEASUREMENT));
    this.#schib.setUint8(PMCW.POM, asked.getUint8(PMCW.POM));
    this.#schib.setUint32(
      PMCW.CHARACTERISTICS,
      (characteristics & ~MODIFIABLE_CHARACTERISTICS) |
        (asked.getUint32(PMCW.CHARACTERISTICS) & MODIFIABLE_CHARACTERISTICS),
    );
    this.#schib.setBigUint64(SCHIB_MEASUREMENT_ADDRESS, asked.getBigUint64(SCHIB_MEASUREMENT_ADDRESS));
    if ((flags & PMCW_FLAG.ENABLED) !== 0 && !this.#enabled) this.device.disabled();
    return 0;
  }

  /** SSCH; the block was found valid. */
  start(orb: Uint8Array): SubchannelCc {
    if (!this.#enabled) return 3;
    if ((this.#control & STATUS.PENDING) !== 0) return 1;
    if ((this.#control & FUNCTION.ALL) !== 0) return 2;
    const view = viewOf(orb);
    this.#orbFlags = view.getUint16(ORB.FLAGS);
    this.#program = { ...this.#program, address: view.getUint32(ORB.PROGRAM), transferred: false, idle: 0 };
    this.#control |= FUNCTION.START | ACTIVITY.START_PENDING;
    this.#setStatus(0, 0);
    this.#schib.setUint32(PMCW.PARAMETER, view.getUint32(ORB.PARAMETER));
    this.#scswFlags &= ~SCSW_FLAG.PATH_NOT_OPERATIONAL;
    if ((view.getUint8(ORB.LPM) & PATH) === 0) {
      this.#scswFlags |= SCSW_FLAG.DEFERRED_CC;
      this.#control = (this.#control & ~STATUS.ALL) | STATUS.ALERT | STATUS.PENDING;
      this.#interrupt(this);
      return 0;
    }
    const format1 = (this.#orbFlags & ORB_FLAG.FORMAT_1) !== 0;
    this.#scswFlags = (this.#scswFlags & ~SCSW_FLAG.FORMAT_1) | (format1 ? SCSW_FLAG.FORMAT_1 : 0);
    this.#run((this.#orbFlags & ORB_FLAG.SUSPEND) !== 0);
    return 0;
  }

  /** RSCH. */
  resume(): SubchannelCc {
    if (!this.#enabled) return 3;
    if ((this.#control & STATUS.PENDING) !== 0) return 1;
    const suspended = (this.#control & ACTIVITY.SUSPENDED) !== 0 && (this.#control & ACTIVITY.RESUME_PENDING) === 0;
    if ((this.#control & FUNCTION.ALL) !== FUNCTION.START || !suspended) return 2;
    this.#control &= ~ACTIVITY.SUSPENDED;
    this.#run(true);
    return 0;
  }

  /** XSCH. @returns what the condition code is; with 0 there is nothing left to interrupt for */
  cancel(): SubchannelCc {
    if (!this.#enabled) return 3;
    if ((this.#control & STATUS.ALL) !== 0) return 1;
    const waits = ACTIVITY.RESUME_PENDING | ACTIVITY.START_PENDING | ACTIVITY.SUSPENDED;
    const starts = (this.#control & FUNCTION.ALL) === FUNCTION.START && (this.#control & waits) !== 0;
    if (!starts || (this.#control & ACTIVITY.SUBCHANNEL_ACTIVE) !== 0) return 2;
    this.#control &= ~(FUNCTION.START | waits);
    this.#forgetProgram();
    this.#setStatus(0, 0);
    return 0;
  }

  /** CSCH. */
  clear(): SubchannelCc {
    if (!this.#enabled) return 3;
    this.#control = (this.#control & ~(FUNCTION.ALL | ACTIVITY.ALL)) | FUNCTION.CLEAR | STATUS.PENDING;
    this.#schib.setUint8(PMCW.POM, 0xff);
    this.#scswFlags &= ~SCSW_FLAG.PATH_NOT_OPERATIONAL;
    this.#forgetProgram();
    this.#setStatus(0, 0);
    this.#schib.setUint8(PMCW.LPUM, PATH);
    this.#interrupt(this);
    return 0;
  }

  /** HSCH. */
  halt(): SubchannelCc {
    if (!this.#enabled) return 3;
    const control = this.#control;
    const pending = STATUS.PRIMARY | STATUS.SECONDARY | STATUS.ALERT;
    if ((control & STATUS.ALL) === STATUS.PENDING || (control & pending) !== 0) return 1;
    if ((control & (FUNCTION.HALT | FUNCTION.CLEAR)) !== 0) return 2;
    const active = (control & (ACTIVITY.SUBCHANNEL_ACTIVE | ACTIVITY.DEVICE_ACTIVE)) !== 0;
    const suspended = (control & ACTIVITY.SUSPENDED) !== 0;
    const idle = (control & ACTIVITY.START_PENDING) === 0 && !suspended;
    if (suspended) this.#schib.setUint32(PMCW.BYTES + SCSW.ADDRESS, this.#program.address + CCW_BYTES);
    this.#control = (control & ~FUNCTION.START) | FUNCTION.HALT | STATUS.PENDING;
    this.#setStatus(
      active || idle ? DEVICE_STATUS.DEVICE_END : this.#schib.getUint8(PMCW.BYTES + SCSW.DEVICE_STATUS),
      0,
    );
    this.#forgetProgram();
    this.#schib.setUint8(PMCW.LPUM, PATH);
    this.#interrupt(this);
    return 0;
  }

  /** What TSCH stores, with its condition code. `tested` is to follow once it is stored. */
  test(): { readonly cc: SubchannelCc; readonly irb: Uint8Array } {
    if (!this.#enabled) return { cc: 3, irb: new Uint8Array(IRB_BYTES) };
    const irb = new Uint8Array(IRB_BYTES);
    irb.set(new Uint8Array(this.#schib.buffer, PMCW.BYTES, SCSW.BYTES));
    const view = viewOf(irb);
    if ((this.#control & STATUS.PENDING) === 0) return { cc: 1, irb };
    view.setUint32(IRB.ESW, ESW_PATH_USED);
    const unitCheck = (view.getUint8(SCSW.DEVICE_STATUS) & DEVICE_STATUS.UNIT_CHECK) !== 0;
    if (unitCheck && this.#concurrentSense) {
      view.setUint16(SCSW.FLAGS, view.getUint16(SCSW.FLAGS) | SCSW_FLAG.EXTENDED_STATUS | SCSW_FLAG.EXTENDED_CONTROL);
      view.setUint32(IRB.ERW, ERW_SENSE | (SENSE_BYTES << 8));
      irb.set(this.#program.sense, IRB.ECW);
    }
    return { cc: 0, irb };
  }

  /** The program has seen the status: it is no longer pending, and functions that it ends are over. */
  tested(): void {
    const control = this.#control;
    if ((control & STATUS.PENDING) === 0) return;
    const intermediate = (control & STATUS.ALL) === (STATUS.INTERMEDIATE | STATUS.PENDING);
    this.#control &= ~STATUS.ALL;
    if (intermediate) {
      this.#control &= ~ACTIVITY.RESUME_PENDING;
      return;
    }
    const pending =
      ACTIVITY.RESUME_PENDING |
      ACTIVITY.START_PENDING |
      ACTIVITY.HALT_PENDING |
      ACTIVITY.CLEAR_PENDING |
      ACTIVITY.SUSPENDED;
    this.#control &= ~(FUNCTION.ALL | pending);
    this.#scswFlags &= ~SCSW_FLAG.PATH_NOT_OPERATIONAL;
    if (this.#concurrentSense) this.#program.sense = new Uint8Array(SENSE_BYTES);
  }

  /** The device has something to say by itself. @returns false if status is pending already */
  alert(): boolean {
    if ((this.#control & STATUS.PENDING) !== 0) return false;
    this.#control = (this.#control & ~STATUS.ALL) | STATUS.ALERT | STATUS.PENDING;
    this.#interrupt(this);
    return true;
  }

  #run(suspends: boolean): void {
    const { end, count } = runProgram(this.#memory, this.device, this.#program, {
      format1: (this.#orbFlags & ORB_FLAG.FORMAT_1) !== 0,
      format2Ida: (this.#orbFlags & ORB_FLAG.FORMAT_2_IDA) !== 0,
      blocksOf2k: (this.#orbFlags & ORB_FLAG.BLOCKS_OF_2K) !== 0,
      suspends,
    });
    if (count !== null) this.#schib.setUint16(PMCW.BYTES + SCSW.COUNT, count);
    this.#control &= ~ACTIVITY.START_PENDING;
    if (end === 'suspended') {
      this.#control |= ACTIVITY.SUSPENDED;
      if ((this.#orbFlags & ORB_FLAG.SUPPRESS_SUSPENDED) !== 0) return;
      this.#control |= STATUS.INTERMEDIATE | STATUS.PENDING;
    } else {
      const { control, device, channel } = ENDS[end];
      this.#control = (this.#control & ~STATUS.ALL) | control;
      this.#setStatus(device, channel);
      this.#schib.setUint32(PMCW.BYTES + SCSW.ADDRESS, this.#program.address + CCW_BYTES);
    }
    this.#interrupt(this);
  }

  #forgetProgram(): void {
    this.#program = { ...idleProgram(), sense: this.#program.sense };
  }

  #setStatus(device: number, channel: number): void {
    this.#schib.setUint8(PMCW.BYTES + SCSW.DEVICE_STATUS, device);
    this.#schib.setUint8(PMCW.BYTES + SCSW.CHANNEL_STATUS, channel);
  }

  get #flags(): number {
    return this.#schib.getUint16(PMCW.FLAGS);
  }

  get #enabled(): boolean {
    return (this.#flags & PMCW_FLAG.ENABLED) !== 0;
  }

  get #concurrentSense(): boolean {
    return (this.#schib.getUint32(PMCW.CHARACTERISTICS) & PMCW_CHARACTERISTIC.CONCURRENT_SENSE) !== 0;
  }

  get #control(): number {
    return this.#schib.getUint16(PMCW.BYTES + SCSW.CONTROL);
  }

  set #control(value: number) {
    this.#schib.setUint16(PMCW.BYTES + SCSW.CONTROL, value);
  }

  get #scswFlags(): number {
    return this.#schib.getUint16(PMCW.BYTES + SCSW.FLAGS);
  }

  set #scswFlags(value: number) {
    this.#schib.setUint16(PMCW.BYTES + SCSW.FLAGS, value);
  }
}

function idleProgram(): ProgramState {
  return { address: 0, transferred: false, idle: 0, sense: new Uint8Array(SENSE_BYTES) };
}
