import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';

/** Bytes of a page. */
export const PAGE = 4096;

/** A range of storage that the host may give out. */
export interface StorageRange {
  readonly base: RealAddress;
  /** Bytes. */
  readonly size: number;
}

interface Hole {
  base: number;
  end: number;
}

/**
 * The host's own storage: pages and contiguous ranges of pages, lowest address first. What the Ultravisor did not give back after a failed destroy is never
 * freed, as in Linux.
 */
export class HostStorage {
  readonly #view: HostView;
  /** Free ranges, ascending, never touching each other. */
  readonly #holes: Hole[];

  constructor(view: HostView, ranges: readonly StorageRange[]) {
    this.#view = view;
    this.#holes = ranges.map(({ base, size }) => ({ base, end: base + size })).sort((x, y) => x.base - y.base);
  }

  /** Bytes that are free. */
  get free(): number {
    return this.#holes.reduce((sum, { base, end }) => sum + end - base, 0);
  }

  /**
   * @param size bytes, rounded up to pages
   * @param alignment a power of two, at least a page
   * @param lowest smallest address that will do
   * @returns the address of cleared storage, undefined if there is none
   */
  allocate(size: number, alignment = PAGE, lowest = 0): RealAddress | undefined {
    const bytes = Math.ceil(size / PAGE) * PAGE;
    for (const [at, hole] of this.#holes.entries()) {
      const base = Math.ceil(Math.max(hole.base, lowest) / alignment) * alignment;
      if (base + bytes > hole.end) continue;
      const rest = [
        { base: hole.base, end: base },
        { base: base + bytes, end: hole.end },
      ].filter((part) => part.base < part.end);
      this.#holes.splice(at, 1, ...rest);
      this.#view.fill(base as RealAddress, bytes, 0);
      return base as RealAddress;
    }
    return undefined;
  }

  /** Gives back what `allocate` gave. Its contents stay until it is given out again. */
  release(base: RealAddress, size: number): void {
    const end = base + Math.ceil(size / PAGE) * PAGE;
    const at = this.#holes.findIndex((hole) => hole.base >= end);
    const index = at < 0 ? this.#holes.length : at;
    const before = this.#holes[index - 1];
    const after = this.#holes[index];
    if (before !== undefined && before.end > base) throw new Error(`storage at 0x${base.toString(16)} is free already`);
    const merged = {
      base: before?.end === base ? before.base : base,
      end: after?.base === end ? after.end : end,
    };
    const from = before?.end === base ? index - 1 : index;
    const count = (before?.end === base ? 1 : 0) + (after?.base === end ? 1 : 0);
    this.#holes.splice(from, count, merged);
  }
}
