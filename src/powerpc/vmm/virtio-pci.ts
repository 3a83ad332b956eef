import type { VirtioCore } from '../../devices/virtio.ts';
import type { QueueSetup } from '../../devices/virtqueue.ts';
import { type PciCapability, PciConfig, type PciFunction } from './pci.ts';

/** Identity of a modern virtio function (virtio 1.2, 4.1.2); revision and subsystem are QEMU's. */
const VENDOR = 0x1af4;
const MODERN_DEVICE = 0x1040;
const SUBSYSTEM = 0x1100;
const REVISION = 1;
const CLASS_SCSI_STORAGE = 0x010000;

const PCI_CAP_ID_VENDOR = 9;
/** Structures (4.1.4), and where in BAR 4 QEMU has them. */
const STRUCTURE = { COMMON: 1, NOTIFY: 2, ISR: 3, DEVICE: 4, PCI_CFG: 5 } as const;
const BAR = { index: 4, size: 0x4000 };
const PART_BYTES = 0x1000;
const COMMON_AT = 0x0000;
const ISR_AT = 0x1000;
const DEVICE_AT = 0x2000;
const NOTIFY_AT = 0x3000;
const NOTIFY_MULTIPLIER = 4;

/** Offsets of the capabilities in configuration space, as QEMU has them. */
const CFG_ACCESS_AT = 0x84;
const CFG_DATA_AT = CFG_ACCESS_AT + 16;

/** No vector is configured: there is no MSI-X. */
const NO_VECTOR = 0xffff;

/** A field of the common configuration (4.1.4.3). Reads give a number or 64 bits; a write gets the whole field. */
interface Field {
  readonly size: 1 | 2 | 4 | 8;
  read(): number | bigint;
  write?(value: bigint): void;
}

/**
 * The PCI transport of a virtio device, without legacy interface (virtio 1.2, 4.1; QEMU's `disable-legacy=on`). Interrupts go over the pin: there
 * is no MSI-X.
 */
export class VirtioPci implements PciFunction {
  readonly config: PciConfig;
  readonly #core: VirtioCore;
  readonly #common: ReadonlyMap<number, Field>;
  #deviceFeatureSelect = 0;
  #driverFeatureSelect = 0;
  #queueSelect = 0;

  constructor(core: VirtioCore) {
    this.#core = core;
    this.config = new PciConfig(
      {
        vendor: VENDOR,
        device: MODERN_DEVICE + core.device.type,
        subsystemVendor: VENDOR,
        subsystem: SUBSYSTEM,
        revision: REVISION,
        classCode: CLASS_SCSI_STORAGE,
      },
      BAR,
      [
        capability(CFG_ACCESS_AT, STRUCTURE.PCI_CFG, 0, 0, 4),
        capability(0x70, STRUCTURE.NOTIFY, NOTIFY_AT, PART_BYTES, 4),
        capability(0x60, STRUCTURE.DEVICE, DEVICE_AT, PART_BYTES, 0),
        capability(0x50, STRUCTURE.ISR, ISR_AT, PART_BYTES, 0),
        capability(0x40, STRUCTURE.COMMON, COMMON_AT, PART_BYTES, 0),
      ],
    );
    // Which bar, offset and length; and the data.
    this.config.allow(CFG_ACCESS_AT + 4, 1);
    this.config.allow(CFG_ACCESS_AT + 8, 12);
    this.#common = new Map(this.#fields());
  }

  get interrupt(): boolean {
    return this.#core.isr !== 0 && this.config.intxEnabled;
  }

  reset(): void {
    this.config.reset();
    this.#core.reset();
    this.#deviceFeatureSelect = 0;
    this.#driverFeatureSelect = 0;
    this.#queueSelect = 0;
  }

  configRead(offset: number, size: number): number {
    const window = offset >= CFG_DATA_AT && offset < CFG_DATA_AT + 4 ? this.#window() : undefined;
    if (window === undefined) {
      this.config.interruptPending = this.#core.isr !== 0;
      return this.config.read(offset, size);
    }
    const bytes = this.barRead(window.offset, window.length);
    return bytes.reduceRight((value, byte) => value * 0x100 + byte, 0);
  }

  configWrite(offset: number, size: number, value: number): void {
    this.config.write(offset, size, value);
    const window = offset >= CFG_DATA_AT && offset < CFG_DATA_AT + 4 ? this.#window() : undefined;
    if (window === undefined) return;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, this.config.read(CFG_DATA_AT, 4), true);
    this.barWrite(window.offset, bytes.subarray(0, window.length));
  }

  barRead(offset: number, size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    const view = new DataView(bytes.buffer);
    if (offset < ISR_AT) {
      const field = this.#common.get(offset);
      if (field === undefined) return bytes;
      const whole = new DataView(new ArrayBuffer(8));
      whole.setBigUint64(0, BigInt(field.read()), true);
      for (let i = 0; i < Math.min(size, field.size); i++) view.setUint8(i, whole.getUint8(i));
    } else if (offset < DEVICE_AT) {
      if (offset === ISR_AT) {
        bytes[0] = this.#core.isr;
        this.#core.isr = 0;
      }
    } else if (offset < NOTIFY_AT) {
      bytes.set(this.#core.device.configuration.subarray(offset - DEVICE_AT, offset - DEVICE_AT + size));
    }
    return bytes;
  }

  barWrite(offset: number, bytes: Uint8Array): void {
    if (offset < ISR_AT) {
      const field = this.#common.get(offset);
      // Half of a field of 64 bits is a field of its own.
      if (field?.write === undefined || bytes.length !== field.size) return;
      field.write(bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n));
    } else if (offset >= NOTIFY_AT && this.config.busMaster) {
      this.#core.notify(Math.floor((offset - NOTIFY_AT) / NOTIFY_MULTIPLIER));
    }
  }

  /** What the PCI configuration access capability points at (4.1.4.9); undefined if it cannot be. */
  #window(): { offset: number; length: number } | undefined {
    const offset = this.config.read(CFG_ACCESS_AT + 8, 4);
    const length = this.config.read(CFG_ACCESS_AT + 12, 4);
    if (this.config.read(CFG_ACCESS_AT + 4, 1) !== BAR.index || ![1, 2, 4].includes(length)) return undefined;
    return offset % length === 0 && offset + length <= BAR.size ? { offset, length } : undefined;
  }

  /** The common configuration, by offset. */
  #fields(): [number, Field][] {
    const core = this.#core;
    const queue = (): QueueSetup | undefined => core.queues[this.#queueSelect]?.setup;
    const half = (name: 'descriptors' | 'available' | 'used', shift: bigint): Field => ({
      size: 4,
      read: () => ((queue()?.[name] ?? 0n) >> shift) & 0xffffffffn,
      write: (value) => {
        const setup = queue();
        if (setup === undefined || setup.enabled) return;
        setup[name] = (setup[name] & ~(0xffffffffn << shift)) | (value << shift);
      },
    });
    const halves = (at: number, name: 'descriptors' | 'available' | 'used'): [number, Field][] => [
      [at, half(name, 0n)],
      [at + 4, half(name, 32n)],
    ];
    const part = (features: bigint, select: number): bigint =>
      select > 1 ? 0n : (features >> BigInt(32 * select)) & 0xffffffffn;
    return [
      [0, { size: 4, read: () => this.#deviceFeatureSelect, write: (v) => (this.#deviceFeatureSelect = Number(v)) }],
      [4, { size: 4, read: () => part(core.offered, this.#deviceFeatureSelect) }],
      [8, { size: 4, read: () => this.#driverFeatureSelect, write: (v) => (this.#driverFeatureSelect = Number(v)) }],
      [
        12,
        {
          size: 4,
          read: () => part(core.driverFeatures, this.#driverFeatureSelect),
          write: (value) => {
            if (this.#driverFeatureSelect > 1) return;
            const shift = BigInt(32 * this.#driverFeatureSelect);
            core.setDriverFeatures((core.driverFeatures & ~(0xffffffffn << shift)) | (value << shift));
          },
        },
      ],
      [16, { size: 2, read: () => NO_VECTOR }],
      [18, { size: 2, read: () => core.queues.length }],
      [20, { size: 1, read: () => core.status, write: (value) => core.setStatus(Number(value)) }],
      [21, { size: 1, read: () => 0 }],
      [22, { size: 2, read: () => this.#queueSelect, write: (value) => (this.#queueSelect = Number(value)) }],
      [
        24,
        {
          size: 2,
          read: () => queue()?.size ?? 0,
          write: (value) => void core.setQueueSize(this.#queueSelect, Number(value)),
        },
      ],
      [26, { size: 2, read: () => NO_VECTOR }],
      [
        28,
        {
          size: 2,
          read: () => Number(queue()?.enabled ?? false),
          write: (value) => {
            const setup = queue();
            if (setup !== undefined && value === 1n) setup.enabled = true;
          },
        },
      ],
      [30, { size: 2, read: () => this.#queueSelect }],
      ...halves(32, 'descriptors'),
      ...halves(40, 'available'),
      ...halves(48, 'used'),
    ];
  }
}

/** A vendor capability of virtio (4.1.4): `extra` bytes behind the common part, of which the notification structure's is its multiplier. */
function capability(at: number, type: number, offset: number, length: number, extra: number): PciCapability {
  const bytes = new Uint8Array(16 + extra);
  const view = new DataView(bytes.buffer);
  bytes[0] = PCI_CAP_ID_VENDOR;
  bytes[2] = bytes.length;
  bytes[3] = type;
  bytes[4] = type === STRUCTURE.PCI_CFG ? 0 : BAR.index;
  view.setUint32(8, offset, true);
  view.setUint32(12, length, true);
  if (type === STRUCTURE.NOTIFY) view.setUint32(16, NOTIFY_MULTIPLIER, true);
  return { offset: at, bytes };
}
