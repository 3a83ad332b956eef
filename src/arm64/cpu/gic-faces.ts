import { LIST_REGISTERS, LR } from '../abi.ts';
import type { Core } from './core.ts';

/** Group of an interrupt. */
export type Group = 0 | 1;

/** Distributor and redistributors as a PE's CPU interface sees them. `pe` is the PE's position. */
export interface GicPort {
  /** The line of a private peripheral interrupt. */
  setPpi(pe: number, intid: number, level: boolean): void;
  /** The pending interrupt of highest priority, of the groups in `groups` (bit 0: group 0, bit 1: group 1). */
  pending(
    pe: number,
    groups: number,
  ): { readonly intid: number; readonly priority: number; readonly group: Group } | null;
  activate(pe: number, intid: number): void;
  deactivate(pe: number, intid: number): void;
  /** A software generated interrupt for one PE. */
  sendSgi(pe: number, intid: number, group: Group): void;
  /** PEs that there are, and their affinities. */
  readonly affinities: readonly number[];
}

/** A CPU interface's state and where its interrupts come from: the physical one, or the virtual one that EL2 gives to EL1. */
export interface GicFace {
  priorityMask: number;
  /** ICC_CTLR_EL1.CBPR: group 1 uses group 0's binary point. */
  readonly commonBinaryPoint: boolean;
  /** ICC_CTLR_EL1.EOImode: the end of an interrupt does not deactivate it. */
  readonly splitEnd: boolean;
  /** ICC_CTLR_EL1. */
  readonly control: number;
  setControl(value: number): void;
  binaryPoint(group: Group): number;
  setBinaryPoint(group: Group, value: number): void;
  enabled(group: Group): boolean;
  setEnabled(group: Group, value: boolean): void;
  /** A bit for each priority that is being handled, from the highest in bit 0. */
  activePriorities(group: Group): number;
  setActivePriorities(group: Group, value: number): void;
  /** What is pending with the highest priority, of the groups that are enabled. */
  pending(): { readonly intid: number; readonly priority: number; readonly group: Group } | null;
  activate(intid: number): void;
  deactivate(intid: number): void;
  /** The priority of an interrupt was dropped. @param deactivate it is deactivated too */
  ended(intid: number, deactivate: boolean): void;
}

/** ICC_CTLR_EL1: CBPR and EOImode can be written; 5 bits of priority, INTIDs of 24 bits, affinity level 3 (Arm IHI 0069H, 12.2.6). */
const CONTROL = { CBPR: 1, EOImode: 2, fixed: (4 << 8) | (1 << 11) | (1 << 15) } as const;
const WRITABLE = CONTROL.CBPR | CONTROL.EOImode;

/** The registers of the physical CPU interface. */
export class PhysicalFace implements GicFace {
  readonly #core: Core;
  readonly #gic: GicPort;

  constructor(core: Core, gic: GicPort) {
    this.#core = core;
    this.#gic = gic;
  }

  get priorityMask(): number {
    return this.#get('ICC_PMR_EL1');
  }

  set priorityMask(value: number) {
    this.#set('ICC_PMR_EL1', value);
  }

  get commonBinaryPoint(): boolean {
    return (this.#get('ICC_CTLR_EL1') & CONTROL.CBPR) !== 0;
  }

  get splitEnd(): boolean {
    return (this.#get('ICC_CTLR_EL1') & CONTROL.EOImode) !== 0;
  }

  get control(): number {
    return (this.#get('ICC_CTLR_EL1') & WRITABLE) | CONTROL.fixed;
  }

  setControl(value: number): void {
    this.#set('ICC_CTLR_EL1', (value & WRITABLE) | CONTROL.fixed);
  }

  binaryPoint(group: Group): number {
    return this.#get(`ICC_BPR${group}_EL1`);
  }

  setBinaryPoint(group: Group, value: number): void {
    this.#set(`ICC_BPR${group}_EL1`, value);
  }

  enabled(group: Group): boolean {
    return this.#get(`ICC_IGRPEN${group}_EL1`) !== 0;
  }

  setEnabled(group: Group, value: boolean): void {
    this.#set(`ICC_IGRPEN${group}_EL1`, Number(value));
  }

  activePriorities(group: Group): number {
    return this.#get(`ICC_AP${group}R0_EL1`);
  }

  setActivePriorities(group: Group, value: number): void {
    this.#set(`ICC_AP${group}R0_EL1`, value >>> 0);
  }

  pending(): ReturnType<GicFace['pending']> {
    const groups = Number(this.enabled(0)) | (Number(this.enabled(1)) << 1);
    return groups === 0 ? null : this.#gic.pending(this.#core.index, groups);
  }

  activate(intid: number): void {
    this.#gic.activate(this.#core.index, intid);
  }

  deactivate(intid: number): void {
    this.#gic.deactivate(this.#core.index, intid);
  }

  ended(intid: number, deactivate: boolean): void {
    if (deactivate) this.deactivate(intid);
  }

  #get(name: string): number {
    return Number(this.#core.register(name));
  }

  #set(name: string, value: number): void {
    this.#core.setRegister(name, BigInt(value));
  }
}

const STATE = LR.pending | LR.active;

/** ICH_HCR_EL2 (12.4.5). */
const ICH_HCR = {
  En: 1n,
  UIE: 1n << 1n,
  LRENPIE: 1n << 2n,
  NPIE: 1n << 3n,
  VGrp0EIE: 1n << 4n,
  VGrp0DIE: 1n << 5n,
  VGrp1EIE: 1n << 6n,
  VGrp1DIE: 1n << 7n,
  countShift: 27n,
  countMask: 0x1fn,
} as const;

/** Fields of ICH_VMCR_EL2 (12.4.14). */
const VMCR = {
  enable: [0n, 1n],
  CBPR: 4n,
  EOIM: 9n,
  binaryPoint: [21n, 18n],
  PMR: 24n,
} as const;

/** The virtual CPU interface: ICH_VMCR_EL2, ICH_AP*R0_EL2 and list registers (Arm IHI 0069H, chapter 6). */
export class VirtualFace implements GicFace {
  readonly #core: Core;
  readonly #gic: GicPort;

  constructor(core: Core, gic: GicPort) {
    this.#core = core;
    this.#gic = gic;
  }

  /** ICH_HCR_EL2.En. */
  get on(): boolean {
    return (this.#hcr & ICH_HCR.En) !== 0n;
  }

  get priorityMask(): number {
    return this.#field(VMCR.PMR, 8n);
  }

  set priorityMask(value: number) {
    this.#setField(VMCR.PMR, 8n, value);
  }

  get commonBinaryPoint(): boolean {
    return this.#field(VMCR.CBPR, 1n) !== 0;
  }

  get splitEnd(): boolean {
    return this.#field(VMCR.EOIM, 1n) !== 0;
  }

  get control(): number {
    return Number(this.commonBinaryPoint) | (Number(this.splitEnd) << 1) | CONTROL.fixed;
  }

  setControl(value: number): void {
    this.#setField(VMCR.CBPR, 1n, value & 1);
    this.#setField(VMCR.EOIM, 1n, (value >> 1) & 1);
  }

  binaryPoint(group: Group): number {
    return Math.max(this.#field(VMCR.binaryPoint[group], 3n), 2 + group);
  }

  setBinaryPoint(group: Group, value: number): void {
    this.#setField(VMCR.binaryPoint[group], 3n, value);
  }

  enabled(group: Group): boolean {
    return this.#field(VMCR.enable[group], 1n) !== 0;
  }

  setEnabled(group: Group, value: boolean): void {
    this.#setField(VMCR.enable[group], 1n, Number(value));
  }

  activePriorities(group: Group): number {
    return Number(this.#core.register(`ICH_AP${group}R0_EL2`));
  }

  setActivePriorities(group: Group, value: number): void {
    this.#core.setRegister(`ICH_AP${group}R0_EL2`, BigInt(value >>> 0));
  }

  pending(): ReturnType<GicFace['pending']> {
    let best: ReturnType<GicFace['pending']> = null;
    for (let n = 0; n < LIST_REGISTERS; n++) {
      const value = this.#list(n);
      if ((value & STATE) !== LR.pending) continue;
      const group: Group = (value & LR.group) === 0n ? 0 : 1;
      const priority = Number((value >> LR.priorityShift) & 0xffn);
      if (!this.enabled(group) || (best !== null && best.priority <= priority)) continue;
      best = { intid: Number(value & LR.virtual), priority, group };
    }
    return best;
  }

  activate(intid: number): void {
    const n = this.#find(intid, LR.pending);
    if (n !== null) this.#setList(n, (this.#list(n) & ~STATE) | LR.active);
  }

  deactivate(intid: number): void {
    const n = this.#find(intid, LR.active);
    if (n !== null) this.#retire(n);
    else this.#countEnd();
  }

  ended(intid: number, deactivate: boolean): void {
    if (deactivate) this.deactivate(intid);
  }

  /** A register that is made of others; null for one that holds what was written. */
  computed(name: string): bigint | null {
    if (name === 'ICH_MISR_EL2') return BigInt(this.maintenance());
    if (name === 'ICH_EISR_EL2') return BigInt(this.#which(isEnded));
    if (name === 'ICH_ELRSR_EL2') return BigInt(this.#which(isEmpty));
    return null;
  }

  /** ICH_MISR_EL2: why EL2 gets a maintenance interrupt (12.4.9). */
  maintenance(): number {
    const hcr = this.#hcr;
    if ((hcr & ICH_HCR.En) === 0n) return 0;
    const used = LIST_REGISTERS - bitCount(this.#which((value) => (value & STATE) === 0n));
    const anyPending = this.#which((value) => (value & STATE) === LR.pending) !== 0;
    const causes: readonly boolean[] = [
      this.#which(isEnded) !== 0,
      (hcr & ICH_HCR.UIE) !== 0n && used <= 1,
      (hcr & ICH_HCR.LRENPIE) !== 0n && ((hcr >> ICH_HCR.countShift) & ICH_HCR.countMask) !== 0n,
      (hcr & ICH_HCR.NPIE) !== 0n && !anyPending,
      (hcr & ICH_HCR.VGrp0EIE) !== 0n && this.enabled(0),
      (hcr & ICH_HCR.VGrp0DIE) !== 0n && !this.enabled(0),
      (hcr & ICH_HCR.VGrp1EIE) !== 0n && this.enabled(1),
      (hcr & ICH_HCR.VGrp1DIE) !== 0n && !this.enabled(1),
    ];
    return causes.reduce((misr, cause, bit) => misr | (Number(cause) << bit), 0);
  }

  /** A list register's interrupt is done with; the physical one that stands behind it too. */
  #retire(n: number): void {
    const value = this.#list(n);
    if ((value & LR.HW) !== 0n) {
      this.#gic.deactivate(this.#core.index, Number((value >> LR.physicalShift) & LR.physicalMask));
    }
    this.#setList(n, value & ~LR.active);
  }

  /** An end of an interrupt that no list register holds. */
  #countEnd(): void {
    const hcr = this.#hcr;
    const count = ((hcr >> ICH_HCR.countShift) + 1n) & ICH_HCR.countMask;
    const cleared = hcr & ~(ICH_HCR.countMask << ICH_HCR.countShift);
    this.#core.setRegister('ICH_HCR_EL2', cleared | (count << ICH_HCR.countShift));
  }

  #find(intid: number, state: bigint): number | null {
    for (let n = 0; n < LIST_REGISTERS; n++) {
      const value = this.#list(n);
      if (Number(value & LR.virtual) === intid && (value & state) !== 0n) return n;
    }
    return null;
  }

  #which(test: (value: bigint) => boolean): number {
    let bits = 0;
    for (let n = 0; n < LIST_REGISTERS; n++) if (test(this.#list(n))) bits |= 1 << n;
    return bits;
  }

  #list(n: number): bigint {
    return this.#core.register(`ICH_LR${n}_EL2`);
  }

  #setList(n: number, value: bigint): void {
    this.#core.setRegister(`ICH_LR${n}_EL2`, value);
  }

  get #hcr(): bigint {
    return this.#core.register('ICH_HCR_EL2');
  }

  #field(shift: bigint, bits: bigint): number {
    return Number((this.#core.register('ICH_VMCR_EL2') >> shift) & ((1n << bits) - 1n));
  }

  #setField(shift: bigint, bits: bigint, value: number): void {
    const mask = ((1n << bits) - 1n) << shift;
    const old = this.#core.register('ICH_VMCR_EL2');
    this.#core.setRegister('ICH_VMCR_EL2', (old & ~mask) | ((BigInt(value) << shift) & mask));
  }
}

/** The interrupt of a list register was ended, and EL2 asked to be told. */
const isEnded = (value: bigint): boolean => (value & (STATE | LR.HW)) === 0n && (value & LR.EOI) !== 0n;
/** A list register is free (ICH_ELRSR_EL2). */
const isEmpty = (value: bigint): boolean =>
  (value & STATE) === 0n && ((value & LR.HW) !== 0n || (value & LR.EOI) === 0n);

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}
