import type { MmioDevice, MmioSize } from './mmio.ts';
import type { VirtioCore } from './virtio.ts';
import type { QueueSetup } from './virtqueue.ts';

/** Registers (virtio 1.2, 4.2.2), all of 4 bytes. */
const REGISTER = {
  MagicValue: 0x000,
  Version: 0x004,
  DeviceID: 0x008,
  VendorID: 0x00c,
  DeviceFeatures: 0x010,
  DeviceFeaturesSel: 0x014,
  DriverFeatures: 0x020,
  DriverFeaturesSel: 0x024,
  QueueSel: 0x030,
  QueueNumMax: 0x034,
  QueueNum: 0x038,
  QueueReady: 0x044,
  QueueNotify: 0x050,
  InterruptStatus: 0x060,
  InterruptACK: 0x064,
  Status: 0x070,
  ConfigGeneration: 0x0fc,
} as const;
/** Addresses of a queue's parts, in two halves. */
const HALVES: ReadonlyMap<number, readonly ['descriptors' | 'available' | 'used', bigint]> = new Map([
  [0x080, ['descriptors', 0n]],
  [0x084, ['descriptors', 32n]],
  [0x090, ['available', 0n]],
  [0x094, ['available', 32n]],
  [0x0a0, ['used', 0n]],
  [0x0a4, ['used', 32n]],
]);
const CONFIGURATION = 0x100;

/** "virt". */
const MAGIC = 0x74726976;
const VERSION = 2;
/** "QEMU", as guests know it. */
const VENDOR = 0x554d4551;
const WORD = 0xffffffffn;

/** Bytes of one transport's registers. */
export const VIRTIO_MMIO_BYTES = 0x200;

/** The MMIO transport of a virtio device, without legacy interface (virtio 1.2, 4.2). */
export class VirtioMmio implements MmioDevice {
  readonly #core: VirtioCore | null;
  readonly #line: (level: boolean) => void;
  #deviceFeaturesSel = 0;
  #driverFeaturesSel = 0;
  #queueSel = 0;

  /**
   * @param core the device; null where nothing is plugged in
   * @param line the interrupt output
   */
  constructor(core: VirtioCore | null, line: (level: boolean) => void) {
    this.#core = core;
    this.#line = line;
  }

  /** As after power-on. */
  reset(): void {
    this.#core?.reset();
    this.#deviceFeaturesSel = 0;
    this.#driverFeaturesSel = 0;
    this.#queueSel = 0;
    this.#drive();
  }

  read(offset: number, size: MmioSize): bigint {
    if (offset >= CONFIGURATION) return this.#configuration(offset - CONFIGURATION, size);
    return size === 4 ? BigInt(this.#register(offset)) & WORD : 0n;
  }

  write(offset: number, size: MmioSize, value: bigint): void {
    const core = this.#core;
    if (core === null || size !== 4 || offset >= CONFIGURATION) return;
    this.#setRegister(core, offset, value & WORD);
    this.#drive();
  }

  #configuration(offset: number, size: MmioSize): bigint {
    const bytes = this.#core?.device.configuration.subarray(offset, offset + size) ?? new Uint8Array(0);
    return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  #register(offset: number): bigint | number {
    const core = this.#core;
    switch (offset) {
      case REGISTER.MagicValue:
        return MAGIC;
      case REGISTER.Version:
        return VERSION;
      case REGISTER.DeviceID:
        return core?.device.type ?? 0;
      case REGISTER.VendorID:
        return VENDOR;
      case REGISTER.DeviceFeatures:
        return this.#deviceFeaturesSel > 1 ? 0 : (core?.offered ?? 0n) >> BigInt(32 * this.#deviceFeaturesSel);
      case REGISTER.QueueNumMax:
        return core?.device.queueSizes[this.#queueSel] ?? 0;
      case REGISTER.QueueReady:
        return Number(this.#queue?.enabled ?? false);
      case REGISTER.InterruptStatus:
        return core?.isr ?? 0;
      case REGISTER.Status:
        return core?.status ?? 0;
      default:
        return 0;
    }
  }

  #setRegister(core: VirtioCore, offset: number, value: bigint): void {
    const queue = this.#queue;
    const half = HALVES.get(offset);
    if (half !== undefined) {
      if (queue === undefined || queue.enabled) return;
      const [part, shift] = half;
      queue[part] = (queue[part] & ~(WORD << shift)) | (value << shift);
      return;
    }
    switch (offset) {
      case REGISTER.DeviceFeaturesSel:
        this.#deviceFeaturesSel = Number(value);
        break;
      case REGISTER.DriverFeaturesSel:
        this.#driverFeaturesSel = Number(value);
        break;
      case REGISTER.DriverFeatures: {
        if (this.#driverFeaturesSel > 1) break;
        const shift = BigInt(32 * this.#driverFeaturesSel);
        core.setDriverFeatures((core.driverFeatures & ~(WORD << shift)) | (value << shift));
        break;
      }
      case REGISTER.QueueSel:
        this.#queueSel = Number(value);
        break;
      case REGISTER.QueueNum:
        core.setQueueSize(this.#queueSel, Number(value));
        break;
      case REGISTER.QueueReady:
        if (queue !== undefined) queue.enabled = (value & 1n) !== 0n;
        break;
      case REGISTER.QueueNotify:
        core.notify(Number(value));
        break;
      case REGISTER.InterruptACK:
        core.isr &= ~Number(value);
        break;
      case REGISTER.Status:
        core.setStatus(Number(value));
        break;
    }
  }

  get #queue(): QueueSetup | undefined {
    return this.#core?.queues[this.#queueSel]?.setup;
  }

  #drive(): void {
    this.#line((this.#core?.isr ?? 0) !== 0);
  }
}
