import { InterruptBank, type KnownInterrupt } from './gicv3-bank.ts';
import { Frame, identification } from './gicv3-frame.ts';
import type { MmioDevice, MmioSize } from './mmio.ts';

/** An interrupt that waits for a PE. */
export interface PendingInterrupt {
  readonly intid: number;
  readonly priority: number;
  readonly group: 0 | 1;
}

/** Distributor registers (Arm IHI 0069H, 12.8). */
const GICD = { CTLR: 0x000, TYPER: 0x004, IIDR: 0x008, IROUTER: 0x6000 } as const;
/** Redistributor registers (12.10). */
const GICR = { CTLR: 0x00, IIDR: 0x04, TYPER: 0x08, WAKER: 0x14 } as const;

/** GICD_CTLR: one security state, affinity routing always on (12.9.4). */
const CTLR = { enables: 3, fixed: 0x50 } as const;
/** GICD_TYPER: 16-bit INTIDs, affinity level 3 may be other than 0, no 1 of N (12.9.38). */
const TYPER = (15 << 19) | (1 << 24) | (1 << 25);
/** GICx_IIDR: Arm. */
const IIDR = 0x43b;
/** GICR_TYPER (12.11.38): CommonLPIAff, Last. */
const GICR_TYPER = { commonAffinity: 1n << 24n, last: 1n << 4n } as const;
/** GICR_WAKER (12.11.42). */
const WAKER = { processorSleep: 2, childrenAsleep: 4 } as const;

const FRAME_BYTES = 0x1_0000;
const PRIVATE = 32;
const IROUTER_AFFINITY = 0xff_00ff_ffffn;

/** One PE's part: its private interrupts and its redistributor's state. */
interface Redistributor {
  readonly affinity: number;
  readonly bank: InterruptBank;
  waker: number;
}

/** How a GIC is built. */
export interface GicOptions {
  /** Affinity fields of the PEs, as MPIDR_EL1 has them (below 2^24). */
  readonly affinities: readonly number[];
  /** Shared peripheral interrupts, a multiple of 32. */
  readonly spis: number;
}

/**
 * A GICv3 distributor with redistributors, for one security state with affinity routing, without LPIs (Arm IHI 0069H). Which interrupt a PE's CPU
 * interface finds is looked up when it asks.
 */
export class GicV3 {
  /** Affinity fields of the PEs. */
  readonly affinities: readonly number[];
  readonly #shared: InterruptBank;
  readonly #routes: bigint[];
  readonly #redistributors: readonly Redistributor[];
  readonly #distributorFrame: Frame;
  readonly #privateFrames: readonly Frame[];
  #enables = 0;

  constructor({ affinities, spis }: GicOptions) {
    this.affinities = affinities;
    this.#shared = new InterruptBank(PRIVATE, spis);
    this.#routes = new Array<bigint>(spis).fill(0n);
    this.#distributorFrame = new Frame(this.#shared);
    this.#redistributors = affinities.map((affinity) => ({
      affinity,
      bank: new InterruptBank(0, PRIVATE),
      waker: WAKER.processorSleep | WAKER.childrenAsleep,
    }));
    this.#privateFrames = this.#redistributors.map(({ bank }) => new Frame(bank));
  }

  /** As after power-on; lines keep their levels. */
  reset(): void {
    this.#enables = 0;
    this.#shared.reset();
    this.#routes.fill(0n);
    for (const r of this.#redistributors) {
      r.bank.reset();
      r.waker = WAKER.processorSleep | WAKER.childrenAsleep;
    }
  }

  /** The line of a shared peripheral interrupt, counted from 0. */
  setSpi(spi: number, level: boolean): void {
    this.#shared.setLine(PRIVATE + spi, level);
  }

  /** The line of a PE's private peripheral interrupt, INTID 16 to 31. */
  setPpi(pe: number, intid: number, level: boolean): void {
    this.#redistributor(pe).bank.setLine(intid, level);
  }

  /**
   * The pending interrupt of highest priority for a PE, of the groups that its CPU interface enables (bit 0: group 0, bit 1: group 1); of two with the
   * same priority the one with the lower INTID (4.8).
   */
  pending(pe: number, groups: number): PendingInterrupt | null {
    const enabled = groups & this.#enables;
    if (enabled === 0) return null;
    const { bank, affinity } = this.#redistributor(pe);
    const own = bank.first(enabled, () => true);
    const route = BigInt(affinity);
    const shared = this.#shared.first(enabled, (intid) => this.#routes[intid - PRIVATE] === route);
    if (own === null || shared === null) return own ?? shared;
    return shared.priority < own.priority ? shared : own;
  }

  /**
   * What a hypervisor that lends this GIC to a guest lists for a virtual CPU interface (chapter 6): active interrupts first, so that they can be ended,
   * then pending ones by priority.
   */
  listable(pe: number): readonly KnownInterrupt[] {
    const { bank, affinity } = this.#redistributor(pe);
    const route = BigInt(affinity);
    return [
      ...bank.known(this.#enables, () => true),
      ...this.#shared.known(this.#enables, (intid) => this.#routes[intid - PRIVATE] === route),
    ].sort((a, b) => Number(b.active) - Number(a.active) || a.priority - b.priority || a.intid - b.intid);
  }

  /** A CPU interface acknowledged the interrupt. */
  activate(pe: number, intid: number): void {
    this.#bankOf(pe, intid)?.activate(intid);
  }

  /** A CPU interface deactivated the interrupt. */
  deactivate(pe: number, intid: number): void {
    this.#bankOf(pe, intid)?.deactivate(intid);
  }

  /** A software generated interrupt reaches a PE, if it is in the group that the sender named (12.1.10). */
  sendSgi(pe: number, intid: number, group: 0 | 1): void {
    const { bank } = this.#redistributor(pe);
    if (bank.groupOf(intid) === group) bank.pend(intid);
  }

  /** Registers of the distributor, 64 KiB. */
  readonly distributor: MmioDevice = {
    read: (offset, size) => readWords(offset, size, (at) => this.#readDistributor(at)),
    write: (offset, size, value) => {
      if (size === 1) this.#distributorFrame.writeByte(offset, Number(value));
      else writeWords(offset, size, value, (at, word) => this.#writeDistributor(at, word));
    },
  };

  /** Registers of all redistributors, 128 KiB each, in the order of the PEs. */
  readonly redistributors: MmioDevice = {
    read: (offset, size) => readWords(offset, size, (at) => this.#readRedistributor(at)),
    write: (offset, size, value) => {
      const pe = Math.floor(offset / (2 * FRAME_BYTES));
      const at = offset % (2 * FRAME_BYTES);
      if (size === 1) {
        if (at >= FRAME_BYTES) this.#privateFrames[pe]?.writeByte(at - FRAME_BYTES, Number(value));
      } else writeWords(offset, size, value, (where, word) => this.#writeRedistributor(where, word));
    },
  };

  #readDistributor(at: number): number {
    switch (at) {
      case GICD.CTLR:
        return CTLR.fixed | this.#enables;
      case GICD.TYPER:
        return TYPER | ((this.#shared.count + PRIVATE) / 32 - 1);
      case GICD.IIDR:
        return IIDR;
      default: {
        const route = this.#routeAt(at);
        if (route === null) return identification(at, 0x92) ?? this.#distributorFrame.read(at);
        return Number(((this.#routes[route] as bigint) >> BigInt(8 * (at & 4))) & 0xffffffffn);
      }
    }
  }

  #writeDistributor(at: number, value: number): void {
    if (at === GICD.CTLR) {
      this.#enables = value & CTLR.enables;
      return;
    }
    const route = this.#routeAt(at);
    if (route === null) {
      this.#distributorFrame.write(at, value);
      return;
    }
    const shift = BigInt(8 * (at & 4));
    const kept = (this.#routes[route] as bigint) & ~(0xffffffffn << shift);
    this.#routes[route] = (kept | (BigInt(value >>> 0) << shift)) & IROUTER_AFFINITY;
  }

  /** The shared interrupt whose GICD_IROUTER a word belongs to; null for another register. */
  #routeAt(at: number): number | null {
    const spi = Math.floor((at - GICD.IROUTER) / 8) - PRIVATE;
    return spi >= 0 && spi < this.#shared.count ? spi : null;
  }

  #readRedistributor(offset: number): number {
    const pe = Math.floor(offset / (2 * FRAME_BYTES));
    const at = offset % (2 * FRAME_BYTES);
    const r = this.#redistributors[pe];
    if (r === undefined) return 0;
    if (at >= FRAME_BYTES) return (this.#privateFrames[pe] as Frame).read(at - FRAME_BYTES);
    switch (at) {
      case GICR.IIDR:
        return IIDR;
      case GICR.TYPER:
        return Number(this.#typer(pe, r) & 0xffffffffn);
      case GICR.TYPER + 4:
        return Number(this.#typer(pe, r) >> 32n);
      case GICR.WAKER:
        return r.waker;
      default:
        return identification(at, 0x93) ?? 0;
    }
  }

  #typer(pe: number, { affinity }: Redistributor): bigint {
    const last = pe === this.#redistributors.length - 1 ? GICR_TYPER.last : 0n;
    return (BigInt(affinity) << 32n) | GICR_TYPER.commonAffinity | (BigInt(pe) << 8n) | last;
  }

  #writeRedistributor(offset: number, value: number): void {
    const pe = Math.floor(offset / (2 * FRAME_BYTES));
    const at = offset % (2 * FRAME_BYTES);
    const r = this.#redistributors[pe];
    if (r === undefined) return;
    if (at >= FRAME_BYTES) this.#privateFrames[pe]?.write(at - FRAME_BYTES, value);
    else if (at === GICR.WAKER) {
      // What is behind it falls asleep and wakes at once.
      r.waker = (value & WAKER.processorSleep) === 0 ? 0 : WAKER.processorSleep | WAKER.childrenAsleep;
    }
  }

  #bankOf(pe: number, intid: number): InterruptBank | null {
    if (intid < PRIVATE) return this.#redistributor(pe).bank;
    return intid < PRIVATE + this.#shared.count ? this.#shared : null;
  }

  #redistributor(pe: number): Redistributor {
    const r = this.#redistributors[pe];
    if (r === undefined) throw new Error(`no redistributor ${pe}`);
    return r;
  }
}

/** An access as reads of aligned words. */
function readWords(offset: number, size: MmioSize, read: (at: number) => number): bigint {
  const at = offset & ~3;
  if (size === 8) return BigInt(read(at) >>> 0) | (BigInt(read(at + 4) >>> 0) << 32n);
  return BigInt.asUintN(8 * size, BigInt(read(at) >>> 0) >> BigInt(8 * (offset & 3)));
}

/** An access as writes of aligned words; halfwords are no access that the GIC knows. */
function writeWords(offset: number, size: MmioSize, value: bigint, write: (at: number, word: number) => void): void {
  if (size === 2 || offset % 4 !== 0) return;
  write(offset, Number(value & 0xffffffffn));
  if (size === 8) write(offset + 4, Number(value >> 32n));
}
