import type { AccessKind, Translation } from '../../engine/cpu-model.ts';
import type { RealMemory, Region } from '../../machine/memory.ts';
import { joined, LEAF_BITS, Leaf, type TableReader, WALK, walk } from './radix.ts';

/** Real addresses end here; RA bits above do not exist (machine/types.ts). */
const REAL_LIMIT = 2 ** 52;
const PRTE_BYTES = 16;
const PATE_BYTES = 16;
const HR = 0x80000000;
const GR = 0x80000000;
const PRTS_MAX = 24;
const INSTRUCTION_BYTES = 4;

/** Causes of storage interrupts: bits of DSISR, HDSISR, SRR1 and HSRR1 as numbers (2.5). */
const CAUSE = {
  NO_TRANSLATION: 0x40000000,
  /** SRR1 and HSRR1 only: the page is no-execute or guarded (ISA 3.0B, Book III 6.5.5). */
  NO_EXECUTE: 0x10000000,
  PROTECTION: 0x08000000,
  STORE: 0x02000000,
  /** The data address watchpoint matched (ISA 3.0B, Book III 6.5.3). */
  WATCHED: 0x00400000,
  UNSUPPORTED_MMU: 0x00080000,
  PRTABLE_FAULT: 0x00020000,
  /** HSRR1 of 0xE20 only: the reference that failed was a store into a table (Linux `HSRR1_HISI_WRITE`). */
  TABLE_STORE_FETCH: 0x00010000,
} as const;

/** The write permission is one to read too (ISA 3.0B, Book III 5.7.10.4: "read/write"). */
const READABLE = LEAF_BITS.READ | LEAF_BITS.WRITE;

/** Everything that a translation depends on, beside the tables in memory. Its owner keeps it in step with MSR and SPRs. */
export interface TranslationState {
  secure: boolean;
  hypervisor: boolean;
  problem: boolean;
  instructionRelocate: boolean;
  dataRelocate: boolean;
  lpid: number;
  pid: number;
  /** Partition table: real address, and its size in bytes. */
  partitionTable: number;
  partitionTableBytes: number;
  /** LPCR[HR] and LPCR[UPRT]. */
  hostRadix: boolean;
  processTables: boolean;
  /** HRMOR, or URMOR in Ultravisor state, as two halves. */
  offsetHigh: number;
  offsetLow: number;
  /** Key 0 of AMR and IAMR: what privileged code may not do with pages of problem state. */
  userReadDenied: boolean;
  userWriteDenied: boolean;
  userExecuteDenied: boolean;
}

/** The way in which an access failed; each has an interrupt of its own (2.5). */
export type FaultKind = 'segment' | 'storage' | 'hypervisor-storage' | 'machine-check';

/** Why the last translation failed. */
export interface Fault {
  kind: FaultKind;
  access: AccessKind;
  /** Status bits for DSISR, HDSISR, SRR1 or HSRR1; 0 for segment interrupts and machine checks. */
  cause: number;
  high: number;
  low: number;
  /** Guest physical address that had no translation, for ASDR. */
  guestAddress: number;
  /** Machine check: real address, whether a table walk made the reference, and whether secure memory refused it. */
  realAddress: number;
  inWalk: boolean;
  refused: boolean;
  size: number;
}

/**
 * The MMU of one CPU: real mode, and radix translation with tables in RAM (sheet 2). Hash translation is not there: an access that needs it
 * reports an unsupported MMU configuration.
 */
export class Mmu {
  readonly state: TranslationState = {
    secure: false,
    hypervisor: true,
    problem: false,
    instructionRelocate: false,
    dataRelocate: false,
    lpid: 0,
    pid: 0,
    partitionTable: 0,
    partitionTableBytes: 4096,
    hostRadix: false,
    processTables: false,
    offsetHigh: 0,
    offsetLow: 0,
    userReadDenied: false,
    userWriteDenied: false,
    userExecuteDenied: false,
  };
  readonly fault: Fault = {
    kind: 'storage',
    access: 'load',
    cause: 0,
    high: 0,
    low: 0,
    guestAddress: 0,
    realAddress: 0,
    inWalk: false,
    refused: false,
    size: 0,
  };
  readonly #memory: RealMemory;
  readonly #view: DataView;
  readonly #realTables: TableReader;
  readonly #guestTables: TableReader;
  readonly #processLeaf = new Leaf();
  readonly #partitionLeaf = new Leaf();
  readonly #tableLeaf = new Leaf();
  /** Partition table entry of the partition at hand. */
  readonly #pate = { rootHigh: 0, rootLow: 0, processHigh: 0, processLow: 0 };
  #access: AccessKind = 'load';
  #high = 0;
  #low = 0;
  #size = 0;
  /** Nothing must change; something would have. */
  #probing = false;
  #unmarked = false;

  constructor(memory: RealMemory) {
    this.#memory = memory;
    this.#view = memory.store.view;
    this.#realTables = { view: this.#view, locate: (address) => this.#locateTable(address) };
    this.#guestTables = { view: this.#view, locate: (address) => this.#locateGuestTable(address, false) };
  }

  /**
   * Translates an effective address and checks the access, as `CpuModel.translate` asks.
   * @returns false with the reason in `fault`
   */
  translate(high: number, low: number, access: AccessKind, size: number, result: Translation): boolean {
    const s = this.state;
    this.#high = high | 0;
    this.#low = low | 0;
    this.#access = access;
    this.#size = size;
    const relocate = access === 'fetch' ? s.instructionRelocate : s.dataRelocate;
    if (relocate) return this.#translateVirtual(result);
    if (s.hypervisor) {
      const offset = this.#high >= 0;
      const realHigh = (this.#high & 0x0fffffff) | (offset ? s.offsetHigh : 0);
      const realLow = this.#low | (offset ? s.offsetLow : 0);
      result.writable = true;
      return this.#finish(joined(realHigh, realLow), result);
    }
    const guestHigh = this.#high & 0x3fffffff;
    const guest = joined(guestHigh, this.#low);
    if (!s.hostRadix) return this.#hypervisorFault(CAUSE.UNSUPPORTED_MMU, guest);
    if (!this.#readPate(s.lpid, guest)) return false;
    if (!this.#partitionScoped(guestHigh, this.#low) || !this.#finishPartition(result, true)) return false;
    this.#markLeaf(this.#partitionLeaf, access === 'store');
    return true;
  }

  /** The access that was just translated hit a watchpoint: it faults after all. @returns false, with the reason in `fault` */
  watched(): false {
    return this.#storageFault(CAUSE.WATCHED);
  }

  /** As `CpuModel.probe`. */
  probe(high: number, low: number, result: Translation): boolean {
    this.#probing = true;
    this.#unmarked = false;
    const found = this.translate(high, low, 'fetch', INSTRUCTION_BYTES, result);
    this.#probing = false;
    return found && !this.#unmarked;
  }

  #translateVirtual(result: Translation): boolean {
    const s = this.state;
    const quadrant = this.#high >>> 30;
    if (!s.hypervisor && (quadrant === 1 || quadrant === 2)) return this.#fail('segment', 0);
    if (!s.hostRadix || !s.processTables) return this.#hypervisorFault(CAUSE.UNSUPPORTED_MMU, 0);
    const lpid = s.hypervisor && (quadrant === 0 || quadrant === 3) ? 0 : s.lpid;
    const nested = lpid !== 0 || !s.hypervisor;
    if (!this.#readPate(lpid, 0)) return false;
    const pate = this.#pate;
    if ((pate.processHigh & GR) === 0 || (pate.processLow & 0x1f) > PRTS_MAX) {
      return this.#hypervisorFault(CAUSE.UNSUPPORTED_MMU, 0);
    }

    const tables = nested ? this.#guestTables : this.#realTables;
    const pid = quadrant === 0 || quadrant === 1 ? s.pid : 0;
    if (pid * PRTE_BYTES >= 2 ** (12 + (pate.processLow & 0x1f))) return this.#storageFault(CAUSE.NO_TRANSLATION);
    const processTable = joined(pate.processHigh & 0x0fffffff, pate.processLow & 0xfffff000);
    const entry = tables.locate(processTable + pid * PRTE_BYTES);
    if (entry === 0) return false;

    const leaf = this.#processLeaf;
    const rootHigh = this.#view.getInt32(entry);
    const rootLow = this.#view.getInt32(entry + 4);
    const walked = walk(tables, rootHigh, rootLow, this.#high & 0x3fffffff, this.#low, leaf);
    switch (walked) {
      case WALK.found:
        break;
      case WALK.outside:
        return this.#fail('segment', 0);
      case WALK.reported:
        return false;
      case WALK.noTranslation:
        return this.#storageFault(CAUSE.NO_TRANSLATION);
      case WALK.badTree:
        return this.#storageFault(CAUSE.UNSUPPORTED_MMU);
    }
    const denied = this.#processDenies(leaf.bits, this.#access);
    if (denied !== 0) return this.#storageFault(denied);

    const wanted = this.#access === 'store' ? LEAF_BITS.R | LEAF_BITS.C : LEAF_BITS.R;
    const marked = (leaf.bits & wanted) === wanted;
    let writable = (leaf.bits & LEAF_BITS.C) !== 0 || this.#access === 'store';
    writable = writable && this.#processDenies(leaf.bits, 'store') === 0;
    if (!nested) {
      result.writable = writable;
      if (!this.#finish(joined(leaf.high, leaf.low), result)) return false;
      if (!marked) this.#mark(leaf.entryHost, wanted);
      return true;
    }
    if (!this.#partitionScoped(leaf.high, leaf.low) || !this.#finishPartition(result, writable)) return false;
    if (!marked) {
      const host = this.#locateGuestTable(leaf.entry, true);
      if (host === 0) return false;
      this.#mark(host, wanted);
    }
    this.#markLeaf(this.#partitionLeaf, this.#access === 'store');
    return true;
  }

  /** What the process-scoped leaf forbids, as a cause; 0 if nothing (2.4; AMR and IAMR: ISA 3.0B, Book III 5.7.13.1). */
  #processDenies(bits: number, access: AccessKind): number {
    const s = this.state;
    const privileged = (bits & LEAF_BITS.PRIVILEGED) !== 0;
    if (privileged && s.problem) return CAUSE.PROTECTION;
    const keyed = !s.problem && !privileged;
    switch (access) {
      case 'load':
        return (bits & READABLE) === 0 || (keyed && s.userReadDenied) ? CAUSE.PROTECTION : 0;
      case 'store':
        return (bits & LEAF_BITS.WRITE) === 0 || (keyed && s.userWriteDenied) ? CAUSE.PROTECTION : 0;
      case 'fetch':
        if ((bits & LEAF_BITS.ATT) === LEAF_BITS.NON_IDEMPOTENT) return CAUSE.NO_EXECUTE;
        return (bits & LEAF_BITS.EXECUTE) === 0 || (keyed && s.userExecuteDenied) ? CAUSE.NO_EXECUTE : 0;
    }
  }

  /** Reads the partition's table entry; the partition table may lie in secure memory whoever runs (2.1). */
  #readPate(lpid: number, guest: number): boolean {
    const s = this.state;
    if ((lpid === 0 && !s.hypervisor) || lpid * PATE_BYTES >= s.partitionTableBytes) {
      return this.#hypervisorFault(CAUSE.UNSUPPORTED_MMU, guest);
    }
    const address = s.partitionTable + lpid * PATE_BYTES;
    const region = this.#memory.find(address, PATE_BYTES);
    if (region === undefined) return this.#machineCheck(address, true, false);
    const at = region.host + (address - region.base);
    const pate = this.#pate;
    pate.rootHigh = this.#view.getInt32(at);
    pate.rootLow = this.#view.getInt32(at + 4);
    pate.processHigh = this.#view.getInt32(at + 8);
    pate.processLow = this.#view.getInt32(at + 12);
    return (pate.rootHigh & HR) !== 0 || this.#hypervisorFault(CAUSE.UNSUPPORTED_MMU, guest);
  }

  /** Finds and checks the partition-scoped leaf of the access itself. */
  #partitionScoped(guestHigh: number, guestLow: number): boolean {
    const cause = this.#walkPartition(guestHigh, guestLow, this.#access, this.#partitionLeaf);
    if (cause === 0) return true;
    return cause !== null && this.#hypervisorFault(cause, joined(guestHigh, guestLow));
  }

  /**
   * Host address of a table entry at a guest physical address. The reference is translated partition-scoped and sets R, for a store C too.
   * @returns 0 where that fails
   */
  #locateGuestTable(guest: number, store: boolean): number {
    const leaf = this.#tableLeaf;
    const access = store ? 'store' : 'load';
    const cause = this.#walkPartition((guest / 2 ** 32) | 0, guest | 0, access, leaf);
    if (cause === null) return 0;
    if (cause !== 0) {
      const stored = this.#access === 'fetch' ? CAUSE.TABLE_STORE_FETCH : CAUSE.STORE;
      this.#hypervisorFault(cause | CAUSE.PRTABLE_FAULT | (store ? stored : 0), guest);
      return 0;
    }
    const host = this.#locateTable(joined(leaf.high, leaf.low));
    if (host !== 0) this.#markLeaf(leaf, store);
    return host;
  }

  /**
   * Walks the partition-scoped tree of the partition table entry at hand. Only read, write and execute count, not the privileged bit (2.4).
   * @returns the cause of a fault, 0 if there is none, null where a table could not be reached (recorded)
   */
  #walkPartition(guestHigh: number, guestLow: number, access: AccessKind, leaf: Leaf): number | null {
    const { rootHigh, rootLow } = this.#pate;
    const walked = walk(this.#realTables, rootHigh, rootLow, guestHigh, guestLow, leaf);
    switch (walked) {
      case WALK.found:
        break;
      case WALK.reported:
        return null;
      case WALK.badTree:
        return CAUSE.UNSUPPORTED_MMU;
      case WALK.noTranslation:
      case WALK.outside:
        return CAUSE.NO_TRANSLATION;
    }
    switch (access) {
      case 'load':
        return (leaf.bits & READABLE) === 0 ? CAUSE.PROTECTION : 0;
      case 'store':
        return (leaf.bits & LEAF_BITS.WRITE) === 0 ? CAUSE.PROTECTION : 0;
      case 'fetch':
        if ((leaf.bits & LEAF_BITS.ATT) === LEAF_BITS.NON_IDEMPOTENT) return CAUSE.NO_EXECUTE;
        return (leaf.bits & LEAF_BITS.EXECUTE) === 0 ? CAUSE.NO_EXECUTE : 0;
    }
  }

  #finishPartition(result: Translation, writable: boolean): boolean {
    const leaf = this.#partitionLeaf;
    const changed = (leaf.bits & LEAF_BITS.C) !== 0 || this.#access === 'store';
    result.writable = writable && changed && (leaf.bits & LEAF_BITS.WRITE) !== 0;
    return this.#finish(joined(leaf.high, leaf.low), result);
  }

  #markLeaf(leaf: Leaf, store: boolean): void {
    const wanted = store ? LEAF_BITS.R | LEAF_BITS.C : LEAF_BITS.R;
    if ((leaf.bits & wanted) !== wanted) this.#mark(leaf.entryHost, wanted);
  }

  /** Sets R and C in an entry, as the recommendation in 2.5 has it. */
  #mark(entryHost: number, wanted: number): void {
    if (this.#probing) {
      this.#unmarked = true;
      return;
    }
    const at = entryHost + 4;
    this.#view.setUint32(at, this.#view.getUint32(at) | wanted);
    this.#memory.store.written(at, 4);
  }

  /** The access check on the final real address (2.1), and where that address is in the store. */
  #finish(address: number, result: Translation): boolean {
    const region = this.#region(address, this.#size, false);
    if (region === undefined) return false;
    result.host = region.host + (address - region.base);
    result.cacheable = true;
    return true;
  }

  /** Host address of a table entry at a real address: the walk for S=0 reaches no secure memory (2.1). @returns 0 where it is refused */
  #locateTable(address: number): number {
    const region = this.#region(address, 8, true);
    return region === undefined ? 0 : region.host + (address - region.base);
  }

  #region(address: number, size: number, inWalk: boolean): Region | undefined {
    const region = address < REAL_LIMIT ? this.#memory.find(address, size) : undefined;
    if (region !== undefined && (!region.secure || this.state.secure)) return region;
    this.#machineCheck(address, inWalk, region !== undefined);
    return undefined;
  }

  #machineCheck(address: number, inWalk: boolean, refused: boolean): false {
    if (this.#probing) return false;
    const f = this.fault;
    f.realAddress = address;
    f.inWalk = inWalk;
    f.refused = refused;
    return this.#fail('machine-check', 0);
  }

  #hypervisorFault(cause: number, guest: number): false {
    if (this.#probing) return false;
    this.fault.guestAddress = guest;
    return this.#fail('hypervisor-storage', (cause & CAUSE.PRTABLE_FAULT) === 0 ? this.#withStore(cause) : cause);
  }

  #storageFault(cause: number): false {
    return this.#fail('storage', this.#withStore(cause));
  }

  #withStore(cause: number): number {
    return this.#access === 'store' ? cause | CAUSE.STORE : cause;
  }

  #fail(kind: FaultKind, cause: number): false {
    if (this.#probing) return false;
    const f = this.fault;
    f.kind = kind;
    f.cause = cause;
    f.access = this.#access;
    f.high = this.#high >>> 0;
    f.low = this.#low >>> 0;
    f.size = this.#size;
    return false;
  }
}
