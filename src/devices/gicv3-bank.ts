/** Priorities that differ in bits 7 to 3 are told apart. */
export const PRIORITY_MASK = 0xf8;

/** INTIDs below are software generated: always edge-triggered. */
const SGIS = 16;

/** An interrupt that is active, pending, or both. */
export interface KnownInterrupt {
  readonly intid: number;
  readonly priority: number;
  readonly group: 0 | 1;
  readonly active: boolean;
  readonly pending: boolean;
}

/** The state of some consecutive interrupts, by INTID (Arm IHI 0069H, 4.1). */
export class InterruptBank {
  /** INTID of the first. */
  readonly base: number;
  readonly count: number;
  readonly enabled: Uint8Array;
  /** Set by an edge, an SGI or software; cleared when the interrupt is acknowledged. */
  readonly latched: Uint8Array;
  readonly line: Uint8Array;
  readonly active: Uint8Array;
  readonly edge: Uint8Array;
  readonly group: Uint8Array;
  readonly priority: Uint8Array;

  constructor(first: number, count: number) {
    this.base = first;
    this.count = count;
    const bits = (): Uint8Array => new Uint8Array(count);
    this.enabled = bits();
    this.latched = bits();
    this.line = bits();
    this.active = bits();
    this.edge = bits();
    this.group = bits();
    this.priority = bits();
    this.reset();
  }

  reset(): void {
    for (const bits of [this.enabled, this.latched, this.active, this.edge, this.group, this.priority]) bits.fill(0);
    if (this.base === 0) this.edge.fill(1, 0, SGIS);
  }

  /** Position of an interrupt in the arrays. */
  at(intid: number): number {
    return intid - this.base;
  }

  groupOf(intid: number): 0 | 1 {
    return this.group[this.at(intid)] === 0 ? 0 : 1;
  }

  setLine(intid: number, level: boolean): void {
    const i = this.at(intid);
    if (level && this.line[i] === 0 && this.edge[i] === 1) this.latched[i] = 1;
    this.line[i] = Number(level);
  }

  pend(intid: number): void {
    this.latched[this.at(intid)] = 1;
  }

  /** A level-sensitive interrupt is pending while its line is high, too. */
  isPending(i: number): boolean {
    return this.latched[i] === 1 || (this.edge[i] === 0 && this.line[i] === 1);
  }

  activate(intid: number): void {
    this.active[this.at(intid)] = 1;
    this.latched[this.at(intid)] = 0;
  }

  deactivate(intid: number): void {
    this.active[this.at(intid)] = 0;
  }

  /** Interrupts of which somebody has to know: active ones, and those that could be signalled. Arguments as of `first`. */
  *known(groups: number, routed: (intid: number) => boolean): Generator<KnownInterrupt> {
    for (let i = 0; i < this.count; i++) {
      const active = this.active[i] === 1;
      const open = this.enabled[i] === 1 && (groups & (1 << (this.group[i] as number))) !== 0;
      const pending = open && this.isPending(i);
      const intid = this.base + i;
      if ((!active && !pending) || !routed(intid)) continue;
      yield { intid, priority: this.priority[i] as number, group: this.groupOf(intid), active, pending };
    }
  }

  /**
   * The interrupt of highest priority that is enabled, pending, not active and of one of the groups; of equal ones the first.
   * @param groups bit 0: group 0, bit 1: group 1
   * @param routed whether it goes to the PE in question
   */
  first(
    groups: number,
    routed: (intid: number) => boolean,
  ): { readonly intid: number; readonly priority: number; readonly group: 0 | 1 } | null {
    let best = -1;
    for (let i = 0; i < this.count; i++) {
      if (this.enabled[i] === 0 || this.active[i] === 1 || !this.isPending(i)) continue;
      if ((groups & (1 << (this.group[i] as number))) === 0 || !routed(this.base + i)) continue;
      if (best < 0 || (this.priority[i] as number) < (this.priority[best] as number)) best = i;
    }
    if (best < 0) return null;
    const intid = this.base + best;
    return { intid, priority: this.priority[best] as number, group: this.groupOf(intid) };
  }
}
