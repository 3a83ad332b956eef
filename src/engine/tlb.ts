import { DATA_TLB, INSTRUCTION_TLB, MAX_SPACES, PAGE_MASK, PAGE_SHIFT, REGION_HASH } from './layout.ts';
import type { Store } from './store.ts';

/** As many as there are address spaces: with all others in use, one is left for a new key. */
const SETS = MAX_SPACES;

/** Votes that make an addend linear, and how many are kept against a change of it. */
const LINEAR_VOTES = 3;
const MAX_VOTES = 16;

interface LinearVote {
  candidate: number;
  count: number;
}

interface InstructionSide {
  readonly tlb: number;
  readonly hash: number;
}

/**
 * The TLBs of one context: a few sets each for data and instructions, chosen by a key that names what their translations depend on, so that
 * going back and forth between two worlds keeps both warm.
 */
export class TranslationCache {
  readonly #store: Store;
  readonly #data: number[] = [];
  readonly #instruction: InstructionSide[] = [];
  /** Host addresses of TLBs that map nothing, to be copied over those to clear. */
  readonly #blankData: number;
  readonly #blankInstruction: number;
  /** Sets by key. */
  readonly #dataKeys = new SetKeys();
  readonly #instructionKeys = new SetKeys();
  /** Of each data TLB, by its host address. */
  readonly #votes = new Map<number, LinearVote>();
  /** Data TLBs whose linear addend should become their candidate. */
  #pending: number[] = [];

  constructor(store: Store) {
    this.#store = store;
    this.#blankData = store.reserve(DATA_TLB.bytes, 64);
    this.#blankInstruction = store.reserve(INSTRUCTION_TLB.bytes, 64);
    for (let i = 0; i < DATA_TLB.entries; i++) this.#clearDataEntry(this.#blankData, i);
    for (let i = 0; i < INSTRUCTION_TLB.entries; i++) this.#clearInstructionEntry(this.#blankInstruction, i);
    for (let i = 0; i < SETS; i++) {
      const data = store.reserve(DATA_TLB.bytes, 64);
      this.#data.push(data);
      this.#votes.set(data, { candidate: 0, count: 0 });
      this.#instruction.push({
        tlb: store.reserve(INSTRUCTION_TLB.bytes, 64),
        hash: store.reserve(REGION_HASH.bytes, 64),
      });
    }
    this.flush();
  }

  /** Bytes of the store that one context's TLBs take. */
  static readonly bytes = (SETS + 1) * (DATA_TLB.bytes + INSTRUCTION_TLB.bytes + REGION_HASH.bytes + 192);

  /**
   * Host address of the data TLB for `key`.
   * @param inUse whether another address space uses the TLB at a host address, so that it cannot be given a new key
   */
  data(key: string, inUse: (at: number) => boolean): number {
    const set = this.#dataKeys.choose(
      key,
      (known) => inUse(this.#data[known] as number),
      (recycled) => this.#clearData(this.#data[recycled] as number),
    );
    return this.#data[set] as number;
  }

  /** Host addresses of the instruction TLB and the region hash for `key`. */
  instruction(key: string): InstructionSide {
    const set = this.#instructionKeys.choose(
      key,
      () => false,
      (recycled) => this.#clearInstruction(recycled),
    );
    return this.#instruction[set] as InstructionSide;
  }

  /** Forgets every translation. */
  flush(): void {
    for (const at of this.#data) this.#clearData(at);
    for (let i = 0; i < SETS; i++) this.#clearInstruction(i);
  }

  /** Forgets the page that holds the address, in every set. */
  flushPage(low: number): void {
    const page = low >>> PAGE_SHIFT;
    for (const at of this.#data) this.#clearDataEntry(at, page & (DATA_TLB.entries - 1));
    for (const { tlb, hash } of this.#instruction) {
      this.#clearInstructionEntry(tlb, page & (INSTRUCTION_TLB.entries - 1));
      this.#clearHash(hash);
    }
  }

  /** Forgets every right to write without asking; for when code was made from a page that may be writable somewhere. */
  flushData(): void {
    for (const at of this.#data) this.#clearData(at);
  }

  /** Forgets the region with this entry, in every set. */
  forgetRegion(address: bigint): void {
    const low = Number(BigInt.asIntN(32, address));
    const offset = (low << (REGION_HASH.entryShift - 2)) & ((REGION_HASH.entries - 1) << REGION_HASH.entryShift);
    for (const { hash } of this.#instruction) {
      const entry = hash + offset;
      if (this.#store.u64[(entry + REGION_HASH.address) >>> 3] === address) {
        this.#store.bytes.fill(0xff, entry, entry + (1 << REGION_HASH.entryShift));
      }
    }
  }

  /** Whether some TLB's linear addend waits for `applyLinear`. */
  get linearPending(): boolean {
    return this.#pending.length > 0;
  }

  /** Changes linear addends to what most translations of late had. Only while no generated code runs: it keeps the addend in a local. */
  applyLinear(): void {
    const { i32, i64 } = this.#store;
    for (const at of this.#pending) {
      const { candidate } = this.#votes.get(at) as LinearVote;
      i32[(at + DATA_TLB.linear) >>> 2] = candidate;
      for (let index = 0; index < DATA_TLB.entries; index++) {
        const entry = at + (index << DATA_TLB.entryShift);
        const fits = i32[(entry + DATA_TLB.addend) >>> 2] === candidate;
        const base = fits ? (i64[(entry + DATA_TLB.base) >>> 3] as bigint) : -nowhere(index);
        const writable = i32[(entry + DATA_TLB.writable) >>> 2] !== 0;
        i64[(entry + DATA_TLB.linearRead) >>> 3] = base;
        i64[(entry + DATA_TLB.linearWrite) >>> 3] = writable ? base : -nowhere(index);
      }
    }
    this.#pending = [];
  }

  /** Counts which addend most translations have (Boyer and Moore: MJRTY). */
  #vote(at: number, addend: number): void {
    const vote = this.#votes.get(at >>> 0) as LinearVote;
    if (vote.count === 0) vote.candidate = addend;
    vote.count = Math.min(vote.count + (vote.candidate === addend ? 1 : -1), MAX_VOTES);
    if (vote.count < LINEAR_VOTES || this.#store.i32[(at + DATA_TLB.linear) >>> 2] === vote.candidate) return;
    if (!this.#pending.includes(at >>> 0)) this.#pending.push(at >>> 0);
  }

  /** Remembers a data translation. `host` is the host address of the byte at the address. */
  fillData(at: number, high: number, low: number, host: number, write: boolean): void {
    const { i32 } = this.#store;
    const index = (low >>> PAGE_SHIFT) & (DATA_TLB.entries - 1);
    const entry = at + (index << DATA_TLB.entryShift);
    const tagLow = -(low & ~PAGE_MASK) | 0;
    const tagHigh = tagLow === 0 ? -high | 0 : ~high;
    const addend = (host - low) | 0;
    const linear = i32[(at + DATA_TLB.linear) >>> 2] === addend;
    const base = (entry + DATA_TLB.base) >>> 2;
    if (i32[base] !== tagLow || i32[base + 1] !== tagHigh || i32[(entry + DATA_TLB.addend) >>> 2] !== addend) {
      this.#clearDataEntry(at, index);
      i32[(entry + DATA_TLB.addend) >>> 2] = addend;
      i32[base] = tagLow;
      i32[base + 1] = tagHigh;
      this.#vote(at, addend);
    }
    if (write) i32[(entry + DATA_TLB.writable) >>> 2] = 1;
    if (!linear) return;
    i32[(entry + DATA_TLB.linearRead) >>> 2] = tagLow;
    i32[(entry + DATA_TLB.linearRead + 4) >>> 2] = tagHigh;
    if (!write) return;
    i32[(entry + DATA_TLB.linearWrite) >>> 2] = tagLow;
    i32[(entry + DATA_TLB.linearWrite + 4) >>> 2] = tagHigh;
  }

  /** Remembers an instruction translation; `delta` leads from a host address to its decode slot. */
  fillInstruction(at: number, high: number, low: number, host: number, delta: number): void {
    const { i32 } = this.#store;
    const index = (low >>> PAGE_SHIFT) & (INSTRUCTION_TLB.entries - 1);
    const entry = (at + (index << INSTRUCTION_TLB.entryShift)) >>> 2;
    i32[entry] = low & ~PAGE_MASK;
    i32[entry + 1] = high;
    i32[entry + INSTRUCTION_TLB.addend / 4] = (host - low) | 0;
    i32[entry + INSTRUCTION_TLB.delta / 4] = delta;
  }

  #clearData(at: number): void {
    this.#store.bytes.copyWithin(at, this.#blankData, this.#blankData + DATA_TLB.linear);
  }

  #clearDataEntry(at: number, index: number): void {
    const { i32, i64 } = this.#store;
    const entry = at + (index << DATA_TLB.entryShift);
    for (const tag of [DATA_TLB.linearRead, DATA_TLB.linearWrite, DATA_TLB.base]) {
      i64[(entry + tag) >>> 3] = -nowhere(index);
    }
    i32[(entry + DATA_TLB.writable) >>> 2] = 0;
  }

  #clearInstruction(set: number): void {
    const { tlb, hash } = this.#instruction[set] as InstructionSide;
    this.#store.bytes.copyWithin(tlb, this.#blankInstruction, this.#blankInstruction + INSTRUCTION_TLB.bytes);
    this.#clearHash(hash);
  }

  #clearInstructionEntry(at: number, index: number): void {
    this.#store.i64[(at + (index << INSTRUCTION_TLB.entryShift)) >>> 3] = nowhere(index);
  }

  #clearHash(hash: number): void {
    this.#store.bytes.fill(0xff, hash, hash + REGION_HASH.bytes);
  }
}

/** The address of a page that never belongs in this entry, so that no access can match it. */
function nowhere(index: number): bigint {
  return BigInt((index ^ 1) << PAGE_SHIFT);
}

/** A set with a key, and when it was chosen last. */
interface Keyed {
  readonly set: number;
  used: number;
}

/** Which set has which key. Choosing one again must cost little: it happens at every change of world. */
class SetKeys {
  readonly #keyed = new Map<string, Keyed>();
  #uses = 0;

  /** The set of a key; where it has none, a free one or the one that was chosen longest ago, which is recycled. */
  choose(key: string, inUse: (set: number) => boolean, recycle: (set: number) => void): number {
    const used = ++this.#uses;
    const known = this.#keyed.get(key);
    if (known !== undefined) {
      known.used = used;
      return known.set;
    }
    const set = this.#keyed.size < SETS ? this.#keyed.size : this.#giveUp(inUse);
    this.#keyed.set(key, { set, used });
    recycle(set);
    return set;
  }

  #giveUp(inUse: (set: number) => boolean): number {
    const free = [...this.#keyed].filter(([, { set }]) => !inUse(set));
    if (free.length === 0) throw new Error('no TLB is free for another key');
    const [key, { set }] = free.reduce((a, b) => (b[1].used < a[1].used ? b : a));
    this.#keyed.delete(key);
    return set;
  }
}
