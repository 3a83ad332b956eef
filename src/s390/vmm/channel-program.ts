import { type DeviceMemory, DmaFault } from '../../devices/device-memory.ts';
import { type ChannelCommand, ChannelData, ChannelProgramCheck, type ProgramFormat } from './channel-data.ts';
import { CCW, CCW_BYTES, CCW_FLAG, COMMAND_REJECT, SENSE_BYTES, viewOf } from './css-format.ts';

/** What a device answers to Sense ID. */
export interface DeviceIdentity {
  readonly controlUnit: number;
  readonly model: number;
}

/** A device behind a subchannel. */
export interface ChannelDevice {
  readonly identity: DeviceIdentity;
  /**
   * Carries out a command that is the device's own.
   * @param checkLength the program wants to know of a wrong length
   * @returns the count that is left, or `reject` for a command that it does not take
   * @throws ChannelProgramCheck, DmaFault
   */
  command(command: ChannelCommand, data: ChannelData, checkLength: boolean): number | 'reject';
  /** The subchannel was disabled. */
  disabled(): void;
  reset(): void;
}

/** A program that runs. */
export interface ProgramState {
  /** The CCW that comes next. */
  address: number;
  /** The last one was a transfer in channel. */
  transferred: boolean;
  /** CCWs without data so far: a program of nothing else comes to an end. */
  idle: number;
  /** What Sense gives, and then forgets. */
  sense: Uint8Array;
}

/** How it went on. */
export type ProgramEnd = 'done' | 'reject' | 'program-check' | 'suspended';

const SENSE_ID_BYTES = 256;
const MOST_IDLE_COMMANDS = 255;

/**
 * Runs a channel program to its end, all at once: our devices do what they are told before they answer. What QEMU 7.2 says of programs that are wrong (hw/s390x/css.c)
 * is said here.
 * @returns how it ended, and the count that the last command left
 */
export function runProgram(
  memory: DeviceMemory,
  device: ChannelDevice,
  state: ProgramState,
  format: ProgramFormat & { readonly suspends: boolean },
): { readonly end: ProgramEnd; readonly count: number | null } {
  let count: number | null = null;
  for (;;) {
    try {
      const command = readCommand(memory, state.address, format.format1);
      if ((command.flags & CCW_FLAG.SUSPEND) !== 0)
        return { end: format.suspends ? 'suspended' : 'program-check', count };
      const result = runCommand(memory, device, state, command, format);
      if (result === 'reject') {
        state.sense[0] = COMMAND_REJECT;
        return { end: 'reject', count };
      }
      if (result === 'transferred') continue;
      if (result !== null) count = result;
      state.transferred = false;
      if ((command.flags & CCW_FLAG.CHAIN) === 0) return { end: 'done', count };
      state.address += CCW_BYTES;
    } catch (error) {
      if (error instanceof ChannelProgramCheck || error instanceof DmaFault) return { end: 'program-check', count };
      throw error;
    }
  }
}

/** @returns the count that is left, null where the command moves no data */
function runCommand(
  memory: DeviceMemory,
  device: ChannelDevice,
  state: ProgramState,
  command: ChannelCommand,
  format: ProgramFormat,
): number | null | 'reject' | 'transferred' {
  const { code, flags, count } = command;
  if (command.data === 0 && state.idle++ >= MOST_IDLE_COMMANDS) throw new ChannelProgramCheck('a program without end');
  const checkLength = (flags & CCW_FLAG.SHORT) === 0 || (flags & CCW_FLAG.CHAIN_DATA) !== 0;
  const data = new ChannelData(memory, command, format);
  switch (code) {
    case CCW.NOOP:
      return null;
    case CCW.SENSE:
      give(data, state.sense, count, checkLength);
      state.sense = new Uint8Array(SENSE_BYTES);
      return data.residual;
    case CCW.SENSE_ID:
      give(data, identityOf(device.identity, count), count, checkLength);
      return data.residual;
    case CCW.TRANSFER:
      if (state.transferred || flags !== 0 || count !== 0) throw new ChannelProgramCheck('a transfer behind another');
      state.transferred = true;
      state.address = command.data;
      return 'transferred';
    default:
      return device.command(command, data, checkLength);
  }
}

function give(data: ChannelData, bytes: Uint8Array, count: number, checkLength: boolean): void {
  if (checkLength && count !== bytes.length) throw new ChannelProgramCheck('another length');
  data.write(bytes.subarray(0, Math.min(count, bytes.length)));
}

/** The first byte says that the rest is valid, if there is room for what matters. */
function identityOf({ controlUnit, model }: DeviceIdentity, room: number): Uint8Array {
  const bytes = new Uint8Array(SENSE_ID_BYTES);
  bytes[0] = room >= 4 ? 0xff : 0;
  viewOf(bytes).setUint16(1, controlUnit);
  bytes[3] = model;
  return bytes;
}

/** A CCW of either format. @throws ChannelProgramCheck for one that can be no command */
function readCommand(memory: DeviceMemory, address: number, format1: boolean): ChannelCommand {
  const limit = 2 ** (format1 ? 31 : 24);
  if (address === 0 || address % CCW_BYTES !== 0 || address >= limit) throw new ChannelProgramCheck('no CCW there');
  const view = viewOf(memory.read(BigInt(address), CCW_BYTES));
  const code = view.getUint8(0);
  const low = code & 0x0f;
  const transfer = low === CCW.TRANSFER;
  const command = format1
    ? { code, flags: view.getUint8(1), count: view.getUint16(2), data: view.getUint32(4) }
    : {
        // A transfer has no other fields.
        code: transfer ? CCW.TRANSFER : code,
        flags: transfer ? 0 : view.getUint8(4),
        count: transfer ? 0 : view.getUint16(6),
        data: view.getUint32(0) & 0xffffff,
      };
  const unknown = low === 0 || (transfer && format1 && code !== CCW.TRANSFER);
  const empty = !format1 && !transfer && command.count === 0;
  if (unknown || empty || (command.flags & CCW_FLAG.MODIFIED_IDA) !== 0) throw new ChannelProgramCheck('no command');
  return command;
}
