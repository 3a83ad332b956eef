import type { AccessKind, Translation } from '../../engine/cpu-model.ts';
import type { RealMemory } from '../../machine/memory.ts';
import { FSC } from '../abi.ts';
import { type Geometry, IMPLEMENTED_BITS, shiftOf, stage1Input } from './table-geometry.ts';

/** Everything that a translation depends on, beside the tables in memory. Its owner keeps it in step with PSTATE and system registers. */
export interface TranslationState {
  /** The regime: EL2's own, or EL1 and EL0. */
  hyp: boolean;
  /** The access is EL0's. */
  user: boolean;
  /** PSTATE.PAN. */
  pan: boolean;
  /** SCTLR_ELx.WXN. */
  writeNoExecute: boolean;
  /** SCTLR_ELx.M of the regime: without it addresses are their own output. */
  stage1: boolean;
  /** Tables for the lower half of addresses, and for the upper one; null where walks are off. */
  lower: Geometry | null;
  upper: Geometry | null;
  /** HCR_EL2.VM or DC, for EL1 and EL0. */
  stage2: boolean;
  /** null where VTCR_EL2 makes no sense. */
  second: Geometry | null;
  /** HCR_EL2.PTW: a table walk of stage 1 may not reach Device memory. */
  protectWalks: boolean;
}

/** Why a translation failed, in the words of the fault registers. */
export interface MmuFault {
  access: AccessKind;
  /** Virtual address, in two halves. */
  high: number;
  low: number;
  /** DFSC or IFSC. */
  status: number;
  /** A stage 2 fault, reported to EL2. */
  stage2: boolean;
  /** It was on a table walk of stage 1. */
  onWalk: boolean;
  /** Of a stage 2 fault: the intermediate physical address. */
  ipa: number;
}

/** Result of one stage: the output address and what it allows. */
interface Stage {
  address: number;
  read: boolean;
  write: boolean;
  execute: boolean;
  /** Stage 2: the memory is Device. */
  device: boolean;
  /** Level of the leaf. */
  level: number;
}

/** A leaf descriptor: the address it leads to, its two halves, and what the tables above it took away. */
interface Leaf {
  output: number;
  low: number;
  high: number;
  level: number;
  /** Bits 63 to 59 of all table descriptors on the way, ORed. */
  hierarchical: number;
}

const newStage = (): Stage => ({ address: 0, read: false, write: false, execute: false, device: false, level: 0 });
const newLeaf = (): Leaf => ({ output: 0, low: 0, high: 0, level: 0, hierarchical: 0 });

/** Access flag, in bit 10 of a leaf. */
const AF = 0x400;
/** Bits of the upper half of a leaf: UXN or XN (54) and PXN (53). */
const XN = 1 << 22;
const PXN = 1 << 21;
/** Bits of `Leaf.hierarchical`. */
const TABLE = { PXN: 1, XN: 2, NO_EL0: 4, READ_ONLY: 8 } as const;

/**
 * The MMU of one PE: stage 1 of EL2 and of EL1&0, and stage 2, with tables in RAM in the real descriptor formats, granules of 4, 16 and 64 KiB
 * (Arm ARM, D8; arm64-pkvm.md 2, 9.2). Access flags are not managed by hardware: a clear one faults.
 */
export class Mmu {
  readonly state: TranslationState = {
    hyp: true,
    user: false,
    pan: false,
    writeNoExecute: false,
    stage1: false,
    lower: null,
    upper: null,
    stage2: false,
    second: null,
    protectWalks: false,
  };
  readonly fault: MmuFault = { access: 'load', high: 0, low: 0, status: 0, stage2: false, onWalk: false, ipa: 0 };
  readonly #memory: RealMemory;
  readonly #view: DataView;
  readonly #first = newStage();
  readonly #second = newStage();
  readonly #firstLeaf = newLeaf();
  readonly #secondLeaf = newLeaf();
  /** The stage 2 translation under way is for a table of stage 1. */
  #onWalk = false;
  #access: AccessKind = 'load';
  #high = 0;
  #low = 0;

  constructor(memory: RealMemory) {
    this.#memory = memory;
    this.#view = memory.store.view;
  }

  /**
   * Translates a virtual address and checks the access, as `CpuModel.translate` asks.
   * @returns false with the reason in `fault`
   */
  translate(high: number, low: number, access: AccessKind, size: number, result: Translation): boolean {
    if (!this.#resolve(high, low, access)) return false;
    const { address } = this.#first;
    const region = this.#memory.find(address, size);
    if (region === undefined) return this.#fail(FSC.externalAbort, false, false);
    result.host = region.host + (address - region.base);
    result.writable = this.#first.write;
    result.cacheable = true;
    return true;
  }

  /** Where the last translation led, if it failed only because there is no RAM. */
  get outsideRam(): number | undefined {
    const { status, stage2 } = this.fault;
    return status === FSC.externalAbort && !stage2 ? this.#first.address : undefined;
  }

  /**
   * The physical address of a virtual one, whatever lies there: for AT instructions and device accesses.
   * @returns undefined with the reason in `fault`
   */
  probe(high: number, low: number, access: AccessKind): number | undefined {
    return this.#resolve(high, low, access) ? this.#first.address : undefined;
  }

  /** As `probe`, but the result of stage 1 alone. */
  probeStage1(high: number, low: number, access: AccessKind): number | undefined {
    return this.#resolveStage1(high, low, access) ? this.#first.address : undefined;
  }

  /** Both stages of an access. The outcome is in `#first`. */
  #resolve(high: number, low: number, access: AccessKind): boolean {
    const s = this.state;
    if (!this.#resolveStage1(high, low, access)) return false;
    if (s.hyp || !s.stage2) return true;
    const first = this.#first;
    const second = this.#second;
    const ipa = first.address;
    if (!this.#stage2(ipa, false)) return false;
    if (!allows(second, access)) return this.#failSecond(FSC.permission | second.level, ipa);
    first.address = second.address;
    first.write &&= second.write;
    return true;
  }

  #resolveStage1(high: number, low: number, access: AccessKind): boolean {
    this.#high = high >>> 0;
    this.#low = low >>> 0;
    this.#access = access;
    if (!this.#stage1()) return false;
    const first = this.#first;
    return allows(first, access) || this.#fail(FSC.permission | first.level, false, false);
  }

  #stage1(): boolean {
    const s = this.state;
    const out = this.#first;
    if (!s.stage1) {
      out.address = this.#high * 2 ** 32 + this.#low;
      out.read = out.write = out.execute = true;
      // Bits that no physical address has.
      return out.address < 2 ** IMPLEMENTED_BITS || this.#fail(FSC.addressSize, false, false);
    }
    // Bit 55 chooses the half; EL2 has one range only.
    const geometry = !s.hyp && (this.#high & 0x00800000) !== 0 ? s.upper : s.lower;
    const input = geometry === null ? -1 : stage1Input(geometry, this.#high, this.#low);
    if (geometry === null || input < 0) return this.#fail(FSC.translation, false, false);
    if (!this.#walk(geometry, input, this.#firstLeaf)) return false;
    this.#allowStage1();
    return true;
  }

  /** Stage 2 of an intermediate address into `#second`; permissions are left to be checked. */
  #stage2(ipa: number, onWalk: boolean): boolean {
    const { second } = this.state;
    this.#onWalk = onWalk;
    if (second === null || ipa >= 2 ** second.bits) return this.#failSecond(FSC.translation, ipa);
    const leaf = this.#secondLeaf;
    if (!this.#walk(second, ipa, leaf)) return false;
    const out = this.#second;
    out.address = leaf.output;
    out.level = leaf.level;
    out.read = (leaf.low & 0x40) !== 0;
    out.write = (leaf.low & 0x80) !== 0;
    // Without FEAT_XNX bit 54 alone forbids execution.
    out.execute = (leaf.high & XN) === 0;
    // MemAttr 00xx is Device, also with FWB for what pKVM uses (2.5).
    out.device = (leaf.low & 0x30) === 0;
    return true;
  }

  /** Walks a table from its root to a leaf. */
  #walk(geometry: Geometry, input: number, leaf: Leaf): boolean {
    const { granule, start, blockLevels, limit } = geometry;
    const perTable = 2 ** (granule - 3);
    let table = geometry.root;
    leaf.hierarchical = 0;
    for (let level = start; ; level++) {
      const size = 2 ** shiftOf(granule, level);
      const index = Math.floor(input / size);
      const host = this.#entryAt(geometry, table + 8 * (level === start ? index : index % perTable), level, input);
      if (host === 0) return false;
      const low = this.#view.getUint32(host, true);
      const high = this.#view.getUint32(host + 4, true);
      const kind = low & 3;
      const address = (high & 0xffff) * 2 ** 32 + low;
      if (level < 3 && kind === 3) {
        leaf.hierarchical |= high >>> 27;
        table = address - (address % 2 ** granule);
        if (table >= limit) return this.#failWalk(geometry, FSC.addressSize | level, input);
        continue;
      }
      if (level === 3 ? kind !== 3 : kind !== 1 || !blockLevels.includes(level)) {
        return this.#failWalk(geometry, FSC.translation | level, input);
      }
      leaf.output = address - (address % size) + (input % size);
      leaf.low = low;
      leaf.high = high;
      leaf.level = level;
      if (leaf.output >= limit) return this.#failWalk(geometry, FSC.addressSize | level, input);
      return (low & AF) !== 0 || this.#failWalk(geometry, FSC.accessFlag | level, input);
    }
  }

  /** Host address of a table entry; entries of stage 1 lie at intermediate addresses. @returns 0 for a fault */
  #entryAt(geometry: Geometry, address: number, level: number, input: number): number {
    const s = this.state;
    let physical = address;
    if (geometry.stage === 1 && !s.hyp && s.stage2) {
      if (!this.#stage2(address, true)) return 0;
      const second = this.#second;
      if (!second.read || (second.device && s.protectWalks)) {
        this.#failSecond(FSC.permission | second.level, address);
        return 0;
      }
      physical = second.address;
    }
    const region = this.#memory.find(physical, 8);
    if (region !== undefined) return region.host + (physical - region.base);
    this.#failWalk(geometry, FSC.externalAbortOnWalk | level, input);
    return 0;
  }

  /** What a stage 1 leaf allows, with what its tables took away (Arm ARM, D8.4). */
  #allowStage1(): void {
    const s = this.state;
    const out = this.#first;
    const { output, low, high, level, hierarchical } = this.#firstLeaf;
    out.address = output;
    out.level = level;
    const writable = (low & 0x80) === 0 && (hierarchical & TABLE.READ_ONLY) === 0;
    const executeNever = (high & XN) !== 0 || (hierarchical & TABLE.XN) !== 0;
    if (s.hyp) {
      out.read = true;
      out.write = writable;
      out.execute = !executeNever && !(s.writeNoExecute && writable);
      return;
    }
    const forUser = (low & 0x40) !== 0 && (hierarchical & TABLE.NO_EL0) === 0;
    if (s.user) {
      out.read = forUser;
      out.write = forUser && writable;
      out.execute = !executeNever && !(s.writeNoExecute && out.write);
      return;
    }
    const panned = s.pan && forUser;
    const privilegedNever = (high & PXN) !== 0 || (hierarchical & TABLE.PXN) !== 0;
    out.read = !panned;
    out.write = writable && !panned;
    // What EL0 can write is never executable at EL1.
    out.execute = !privilegedNever && !(forUser && writable) && !(s.writeNoExecute && writable);
  }

  #failWalk({ stage }: Geometry, status: number, input: number): false {
    return stage === 2 ? this.#failSecond(status, input) : this.#fail(status, false, false);
  }

  #failSecond(status: number, ipa: number): false {
    this.fault.ipa = ipa;
    return this.#fail(status, true, this.#onWalk);
  }

  #fail(status: number, stage2: boolean, onWalk: boolean): false {
    const f = this.fault;
    f.access = this.#access;
    f.high = this.#high;
    f.low = this.#low;
    f.status = status;
    f.stage2 = stage2;
    f.onWalk = onWalk;
    return false;
  }
}

function allows(stage: Stage, access: AccessKind): boolean {
  if (access === 'load') return stage.read;
  return access === 'store' ? stage.write : stage.execute;
}
