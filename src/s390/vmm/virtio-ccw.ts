import type { DeviceMemory } from '../../devices/device-memory.ts';
import { DmaFault } from '../../devices/device-memory.ts';
import { VIRTIO_ISR, VIRTIO_STATUS, type VirtioCore } from '../../devices/virtio.ts';
import { type ChannelCommand, type ChannelData, ChannelProgramCheck } from './channel-data.ts';
import type { ChannelDevice, DeviceIdentity } from './channel-program.ts';
import { viewOf } from './css-format.ts';

/** Control unit type of virtio over channel I/O (virtio 1.2, 4.3.1); its model is the device type. */
const CONTROL_UNIT = 0x3832;
/** The newest revision that drivers may have (4.3.1.1). */
const NEWEST_REVISION = 2;
const NO_REVISION = -1;
const QUEUE_BLOCK = 32;
const ADAPTER_BLOCK = 25;
/** The summary indicator is a byte, of which an adapter sets the last bit. */
const SUMMARY = 0x01;
const CONFIGURATION_CHANGED = 1n;

/** Commands (4.3.1.2). */
const CODE = {
  WRITE_FEATURES: 0x11,
  READ_FEATURES: 0x12,
  SET_QUEUE: 0x13,
  WRITE_CONFIGURATION: 0x21,
  READ_CONFIGURATION: 0x22,
  WRITE_STATUS: 0x31,
  READ_QUEUE: 0x32,
  RESET: 0x33,
  SET_INDICATORS: 0x43,
  SET_CONFIGURATION_INDICATORS: 0x53,
  READ_STATUS: 0x72,
  SET_ADAPTER_INDICATORS: 0x73,
  SET_REVISION: 0x83,
} as const;

/** How a device tells of used buffers: bits in a doubleword and its subchannel, or bits anywhere and an adapter. */
type Indicators =
  | { readonly kind: 'classic'; readonly address: bigint }
  | {
      readonly kind: 'adapter';
      readonly summary: bigint;
      readonly address: bigint;
      readonly bit: bigint;
      readonly isc: number;
    };

/** What a device may do to its surroundings. */
export interface CcwInterrupts {
  /** Its subchannel has something to say by itself. */
  alert(): void;
  adapter(isc: number): void;
}

type Result = number | 'reject';

/** A command: bytes that it moves, and what it does with them. */
interface Command {
  /** null: as many as the program says. */
  readonly bytes: number | null;
  /** @returns whether the device takes it */
  run(data: ChannelData, command: ChannelCommand, checkLength: boolean): boolean;
}

/**
 * The channel I/O transport of a virtio device (virtio 1.2, 4.3), of revision 1 and 2: legacy drivers are rejected. Blocks of the transport are big-endian.
 */
export class VirtioCcw implements ChannelDevice {
  readonly identity: DeviceIdentity;
  readonly #core: VirtioCore;
  readonly #memory: DeviceMemory;
  readonly #interrupts: CcwInterrupts;
  #revision = NO_REVISION;
  #indicators: Indicators | null = null;
  #configurationIndicators: bigint | null = null;

  /** @param memory where the indicators are */
  constructor(core: VirtioCore, memory: DeviceMemory, interrupts: CcwInterrupts) {
    this.#core = core;
    this.#memory = memory;
    this.#interrupts = interrupts;
    this.identity = { controlUnit: CONTROL_UNIT, model: core.device.type };
  }

  reset(): void {
    this.#revision = NO_REVISION;
    this.#resetDevice();
  }

  disabled(): void {
    this.#revision = NO_REVISION;
  }

  command(command: ChannelCommand, data: ChannelData, checkLength: boolean): Result {
    const entry = this.#commands.get(command.code);
    if (entry === undefined || (this.#revision === NO_REVISION && command.code !== CODE.SET_REVISION)) return 'reject';
    if (entry.bytes !== null) {
      const { count } = command;
      if (checkLength ? count !== entry.bytes : count < entry.bytes) throw new ChannelProgramCheck('another length');
    }
    if (entry.bytes !== 0 && command.data === 0) throw new ChannelProgramCheck('no data');
    if (!entry.run(data, command, checkLength)) return 'reject';
    return entry.bytes === null ? data.residual : command.count - entry.bytes;
  }

  /** The driver says that a queue has something (DIAGNOSE 0x500). @returns false where there is no such queue */
  notify(queue: number): boolean {
    if (this.#core.queues[queue] === undefined) return false;
    this.#core.notify(queue);
    const { isr } = this.#core;
    this.#core.isr = 0;
    if ((isr & VIRTIO_ISR.QUEUE) !== 0) this.#tellOfQueue(queue);
    if ((isr & VIRTIO_ISR.CONFIGURATION) !== 0) this.#tellOfConfiguration();
    return true;
  }

  readonly #commands: ReadonlyMap<number, Command> = new Map<number, Command>([
    [CODE.SET_QUEUE, { bytes: QUEUE_BLOCK, run: (data) => this.#setQueue(viewOf(data.read(QUEUE_BLOCK))) }],
    [CODE.RESET, { bytes: 0, run: () => this.#resetDevice() }],
    [CODE.READ_FEATURES, { bytes: 5, run: (data) => this.#readFeatures(data) }],
    [CODE.WRITE_FEATURES, { bytes: 5, run: (data) => this.#writeFeatures(viewOf(data.read(5))) }],
    [
      CODE.READ_CONFIGURATION,
      { bytes: null, run: (data, command, check) => this.#readConfiguration(data, command, check) },
    ],
    [CODE.WRITE_CONFIGURATION, { bytes: null, run: (_, command, check) => this.#writeConfiguration(command, check) }],
    [CODE.READ_STATUS, { bytes: 1, run: (data) => this.#readStatus(data) }],
    [CODE.WRITE_STATUS, { bytes: 1, run: (data) => this.#writeStatus(viewOf(data.read(1)).getUint8(0)) }],
    [CODE.SET_INDICATORS, { bytes: 8, run: (data) => this.#setIndicators(viewOf(data.read(8)).getBigUint64(0)) }],
    [
      CODE.SET_CONFIGURATION_INDICATORS,
      {
        bytes: 8,
        run: (data) => {
          this.#configurationIndicators = viewOf(data.read(8)).getBigUint64(0);
          return true;
        },
      },
    ],
    [CODE.READ_QUEUE, { bytes: 4, run: (data) => this.#readQueue(data) }],
    [
      CODE.SET_ADAPTER_INDICATORS,
      { bytes: ADAPTER_BLOCK, run: (data) => this.#setAdapterIndicators(viewOf(data.read(ADAPTER_BLOCK))) },
    ],
    [CODE.SET_REVISION, { bytes: null, run: (data, command, check) => this.#setRevision(data, command, check) }],
  ]);

  #resetDevice(): boolean {
    this.#core.reset();
    this.#indicators = null;
    this.#configurationIndicators = null;
    return true;
  }

  #setRevision(data: ChannelData, { count }: ChannelCommand, checkLength: boolean): boolean {
    if (count < 4) throw new ChannelProgramCheck('another length');
    const block = viewOf(data.read(4));
    const revision = block.getUint16(0);
    const length = 4 + block.getUint16(2);
    if (count < length || (checkLength && count > length)) throw new ChannelProgramCheck('another length');
    if (this.#revision !== NO_REVISION || revision === 0 || revision > NEWEST_REVISION) return false;
    data.advance(length - 4);
    this.#revision = revision;
    return true;
  }

  #setQueue(block: DataView): boolean {
    const index = block.getUint16(12);
    const queue = this.#core.queues[index];
    if (queue === undefined) throw new ChannelProgramCheck('no such queue');
    const descriptors = block.getBigUint64(0);
    queue.setup.enabled = false;
    if (descriptors === 0n) return true;
    if (!this.#core.setQueueSize(index, block.getUint16(14))) throw new ChannelProgramCheck('no size of this queue');
    Object.assign(queue.setup, {
      descriptors,
      available: block.getBigUint64(16),
      used: block.getBigUint64(24),
      enabled: true,
    });
    return true;
  }

  #readQueue(data: ChannelData): boolean {
    const index = viewOf(data.read(2)).getUint16(0);
    const size = new Uint8Array(2);
    viewOf(size).setUint16(0, this.#core.queues[index]?.setup.size ?? 0);
    data.write(size);
    return true;
  }

  /** Features are little-endian, and their index stands behind them. */
  #readFeatures(data: ChannelData): boolean {
    data.advance(4);
    const index = viewOf(data.read(1)).getUint8(0);
    const features = index > 1 ? 0n : (this.#core.offered >> BigInt(32 * index)) & 0xffffffffn;
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, Number(features), true);
    data.rewind();
    data.write(bytes);
    return true;
  }

  #writeFeatures(block: DataView): boolean {
    const index = block.getUint8(4);
    if (index > 1) return true;
    const shift = BigInt(32 * index);
    const others = this.#core.driverFeatures & ~(0xffffffffn << shift);
    this.#core.setDriverFeatures(others | (BigInt(block.getUint32(0, true)) << shift));
    return true;
  }

  #readConfiguration(data: ChannelData, { count }: ChannelCommand, checkLength: boolean): boolean {
    const { configuration } = this.#core.device;
    if (checkLength && count > configuration.length) throw new ChannelProgramCheck('another length');
    data.write(configuration.subarray(0, Math.min(count, configuration.length)));
    return true;
  }

  /** None of our devices has a field that a driver may write. */
  #writeConfiguration({ count }: ChannelCommand, checkLength: boolean): boolean {
    if (checkLength && count > this.#core.device.configuration.length) throw new ChannelProgramCheck('another length');
    return true;
  }

  #readStatus(data: ChannelData): boolean {
    data.write(Uint8Array.of(this.#core.status));
    return true;
  }

  #writeStatus(status: number): boolean {
    if (status === 0) {
      return this.#resetDevice();
    }
    this.#core.setStatus(status);
    const refused = status & ~this.#core.status & VIRTIO_STATUS.FEATURES_OK;
    return refused === 0;
  }

  #setIndicators(address: bigint): boolean {
    if (this.#indicators?.kind === 'adapter') return false;
    this.#indicators = address === 0n ? null : { kind: 'classic', address };
    return true;
  }

  #setAdapterIndicators(block: DataView): boolean {
    if (this.#indicators?.kind === 'classic') return false;
    const summary = block.getBigUint64(0);
    const address = block.getBigUint64(8);
    const indicators = { summary, address, bit: block.getBigUint64(16), isc: block.getUint8(24) & 7 };
    this.#indicators = summary === 0n || address === 0n ? null : { kind: 'adapter', ...indicators };
    return true;
  }

  #tellOfQueue(queue: number): void {
    const indicators = this.#indicators;
    if (indicators === null) return;
    if (indicators.kind === 'classic') {
      if (this.#setBits(indicators.address, 1n << BigInt(queue))) this.#interrupts.alert();
      return;
    }
    const bit = indicators.bit + BigInt(queue);
    this.#setByte(indicators.address + bit / 8n, 0x80 >> Number(bit % 8n));
    const before = this.#setByte(indicators.summary, SUMMARY);
    if (before !== null && (before & SUMMARY) === 0) this.#interrupts.adapter(indicators.isc);
  }

  #tellOfConfiguration(): void {
    const address = this.#configurationIndicators;
    if (address !== null && this.#setBits(address, CONFIGURATION_CHANGED)) this.#interrupts.alert();
  }

  /** Sets bits in a doubleword. @returns false where it cannot be reached: the driver sees to that */
  #setBits(address: bigint, bits: bigint): boolean {
    try {
      const bytes = this.#memory.read(address, 8);
      viewOf(bytes).setBigUint64(0, viewOf(bytes).getBigUint64(0) | bits);
      this.#memory.write(address, bytes);
      return true;
    } catch (error) {
      if (error instanceof DmaFault) return false;
      throw error;
    }
  }

  /** @returns what the byte was; null where it cannot be reached */
  #setByte(address: bigint, bits: number): number | null {
    try {
      const [before = 0] = this.#memory.read(address, 1);
      this.#memory.write(address, Uint8Array.of(before | bits));
      return before;
    } catch (error) {
      if (error instanceof DmaFault) return null;
      throw error;
    }
  }
}
