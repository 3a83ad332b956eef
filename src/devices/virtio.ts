import { type DeviceMemory, DmaFault } from './device-memory.ts';
import { type Chain, MAX_QUEUE_SIZE, QueueError, type QueueFeatures, SplitQueue } from './virtqueue.ts';

/** Feature bits of all devices (virtio 1.2, 6). */
export const VIRTIO_F = {
  RING_INDIRECT_DESC: 1n << 28n,
  RING_EVENT_IDX: 1n << 29n,
  VERSION_1: 1n << 32n,
  /** The device reaches memory as the platform lets it: through its I/O MMU, and where the guest shared it. */
  ACCESS_PLATFORM: 1n << 33n,
} as const;

/** Bits of the device status (2.1). */
export const VIRTIO_STATUS = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 0x40,
  FAILED: 0x80,
} as const;

/** Bits of the interrupt status (4.1.4.5). */
export const VIRTIO_ISR = { QUEUE: 1, CONFIGURATION: 2 } as const;

/** A kind of virtio device, without its transport. */
export interface VirtioDevice {
  /** Device type (5). */
  readonly type: number;
  /** Features of its own kind. */
  readonly features: bigint;
  /** The size of each of its queues at most. */
  readonly queueSizes: readonly number[];
  /** Its configuration space; what lies behind it reads as zeros. */
  readonly configuration: Uint8Array;
  /**
   * Carries out a request, now and as a whole.
   * @returns how many bytes of the chain's writable part hold something
   * @throws QueueError for a request that makes no sense, DmaFault where its answer cannot be given
   */
  request(memory: DeviceMemory, queue: number, chain: Chain): number;
}

/**
 * What is the same for a virtio device behind every transport (virtio 1.2, 2 and 3): status, features, queues, interrupt status. The
 * transport's registers read and write it. Requests are carried out while the driver notifies, in order.
 */
export class VirtioCore {
  readonly device: VirtioDevice;
  readonly offered: bigint;
  readonly queues: readonly SplitQueue[];
  driverFeatures = 0n;
  /** The interrupt status; not 0: the interrupt line is up. */
  isr = 0;
  readonly #memory: DeviceMemory;
  #status = 0;

  /** @param platform the device reaches memory as the platform lets it; the driver has to agree */
  constructor(device: VirtioDevice, memory: DeviceMemory, platform: boolean) {
    this.device = device;
    this.#memory = memory;
    this.offered =
      device.features |
      VIRTIO_F.RING_INDIRECT_DESC |
      VIRTIO_F.RING_EVENT_IDX |
      VIRTIO_F.VERSION_1 |
      (platform ? VIRTIO_F.ACCESS_PLATFORM : 0n);
    this.queues = device.queueSizes.map((size) => new SplitQueue(size));
  }

  get status(): number {
    return this.#status;
  }

  /** The driver writes the status: 0 resets; FEATURES_OK stays only if the features can be had (3.1.1). */
  setStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    let next = value & 0xff & ~VIRTIO_STATUS.NEEDS_RESET;
    const asks = (next & ~this.#status & VIRTIO_STATUS.FEATURES_OK) !== 0;
    if (asks && !this.#featuresFit()) next &= ~VIRTIO_STATUS.FEATURES_OK;
    this.#status = next | (this.#status & VIRTIO_STATUS.NEEDS_RESET);
  }

  /** As at the start. */
  reset(): void {
    this.#status = 0;
    this.driverFeatures = 0n;
    this.isr = 0;
    for (const [i, queue] of this.queues.entries()) queue.reset(this.device.queueSizes[i]);
  }

  /** The driver sets the features that it has; no more once they are agreed on. */
  setDriverFeatures(features: bigint): void {
    if ((this.#status & VIRTIO_STATUS.FEATURES_OK) === 0) this.driverFeatures = features;
  }

  /** The driver makes a queue smaller. @returns false, with nothing changed, for a size that the queue cannot have */
  setQueueSize(index: number, size: number): boolean {
    const queue = this.queues[index];
    const most = Math.min(this.device.queueSizes[index] ?? 0, MAX_QUEUE_SIZE);
    if (queue === undefined || queue.setup.enabled || size < 1 || size > most || (size & (size - 1)) !== 0)
      return false;
    queue.setup.size = size;
    return true;
  }

  /** The driver says that there are requests: carries them out. A queue that is broken stops the device until it is reset. */
  notify(index: number): void {
    const queue = this.queues[index];
    const ready = (this.#status & (VIRTIO_STATUS.DRIVER_OK | VIRTIO_STATUS.NEEDS_RESET)) === VIRTIO_STATUS.DRIVER_OK;
    if (queue === undefined || !queue.setup.enabled || !ready) return;
    const features = this.#queueFeatures();
    try {
      for (;;) {
        const chain = queue.pop(this.#memory, features);
        if (chain === undefined) break;
        queue.push(this.#memory, chain.head, this.device.request(this.#memory, index, chain));
      }
      if (queue.wantsInterrupt(this.#memory, features)) this.isr |= VIRTIO_ISR.QUEUE;
    } catch (error) {
      if (!(error instanceof QueueError) && !(error instanceof DmaFault)) throw error;
      this.#status |= VIRTIO_STATUS.NEEDS_RESET;
      this.isr |= VIRTIO_ISR.CONFIGURATION;
    }
  }

  #featuresFit(): boolean {
    const needed = VIRTIO_F.VERSION_1 | (this.offered & VIRTIO_F.ACCESS_PLATFORM);
    return (this.driverFeatures & ~this.offered) === 0n && (this.driverFeatures & needed) === needed;
  }

  #queueFeatures(): QueueFeatures {
    const has = (feature: bigint): boolean => (this.driverFeatures & feature) !== 0n;
    return { indirect: has(VIRTIO_F.RING_INDIRECT_DESC), eventIndex: has(VIRTIO_F.RING_EVENT_IDX) };
  }
}
