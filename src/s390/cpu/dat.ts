import { PGM } from '../abi.ts';
import type { AbsoluteSpace } from './absolute-storage.ts';

/** Fields of ASCEs and table entries in their low halves (8.3; `DAT` of `abi.ts` has them as doublewords). */
const ASCE = { PRIVATE: 0x100, REAL_SPACE: 0x20 } as const;
const ENTRY = {
  FORMAT_CONTROL: 0x400,
  PROTECTED: 0x200,
  EXECUTION_PROTECTED: 0x100,
  INVALID: 0x20,
  COMMON_SEGMENT: 0x10,
} as const;
const PAGE_INVALID = 0x400;
/** Bit 52 of a page-table entry must be 0. */
const PAGE_RESERVED = 0x800;

/** Exceptions by the level of the table: segment, region third, second, first. */
const INVALID_AT = [PGM.SEGMENT_TRANSLATION, PGM.REGION_THIRD, PGM.REGION_SECOND, PGM.REGION_FIRST] as const;

const HIGH = 2 ** 32;

/** An address-space-control element in two halves. */
export interface Asce {
  readonly high: number;
  readonly low: number;
}

/** What translation depends on beside ASCE and tables. */
export interface DatControls {
  /** CR0[EDAT]: protection bits of region and segment entries count, and frames of 1 MiB exist; with the second facility those of 2 GiB too. */
  enhanced: boolean;
  /** CR0 says that execution-protection bits count. */
  executionProtection: boolean;
}

/** Dynamic address translation with tables in absolute storage (Principles of Operation, "Dynamic Address Translation"). */
export class Dat {
  /** Result: an address, which is absolute where `absolute` says so and real else. */
  address = 0;
  absolute = false;
  /** DAT protection. */
  protected = false;
  executionProtected = false;
  /** Program interruption code where there is no result. */
  code = 0;
  /** Where the last table entry was that was looked at: absolute address, and level (0 segment to 3 region first, -1 page). */
  entryAddress = 0;
  entryLevel = 0;
  /** The failure was that no entry of the table is for the address: it is beyond its length, or before its offset. */
  isOutside = false;
  readonly controls: DatControls = { enhanced: false, executionProtection: false };
  space: AbsoluteSpace;
  readonly #view: DataView;
  #high = 0;
  #low = 0;

  constructor(space: AbsoluteSpace, view: DataView) {
    this.space = space;
    this.#view = view;
  }

  /** @returns false with the reason in `code` */
  translate(asce: Asce, high: number, low: number): boolean {
    this.protected = false;
    this.executionProtected = false;
    this.isOutside = false;
    if ((asce.low & ASCE.REAL_SPACE) !== 0) {
      this.absolute = false;
      this.address = (high >>> 0) * HIGH + (low >>> 0);
      return true;
    }
    return this.#walk(asce, high >>> 0, low >>> 0);
  }

  #walk(asce: Asce, high: number, low: number): boolean {
    const top = (asce.low >>> 2) & 3;
    if (isBeyond(top, high, low)) return this.#fail(PGM.ASCE_TYPE);
    let origin = (asce.high >>> 0) * HIGH + ((asce.low & ~0xfff) >>> 0);
    let first = 0;
    let last = asce.low & 3;
    for (let level = top; ; level--) {
      const index = indexAt(level, high, low);
      this.isOutside = index >>> 9 < first || index >>> 9 > last;
      if (this.isOutside) return this.#fail(INVALID_AT[level] as number);
      if (!this.#entry(origin + 8 * index, level)) return false;
      const entry = this.#low;
      if ((entry & ENTRY.INVALID) !== 0) return this.#fail(INVALID_AT[level] as number);
      if (((entry >>> 2) & 3) !== level) return this.#fail(PGM.TRANSLATION_SPECIFICATION);
      if (this.controls.enhanced && (entry & ENTRY.PROTECTED) !== 0) this.protected = true;
      if (level <= 1 && this.controls.enhanced && (entry & ENTRY.FORMAT_CONTROL) !== 0) {
        return this.#frame(asce, level, low);
      }
      if (level === 0) {
        if (!this.controls.enhanced && (entry & ENTRY.PROTECTED) !== 0) this.protected = true;
        return this.#isCommonInPrivate(asce) ? this.#fail(PGM.TRANSLATION_SPECIFICATION) : this.#page(low);
      }
      origin = this.#high * HIGH + ((entry & ~0xfff) >>> 0);
      first = (entry >>> 6) & 3;
      last = entry & 3;
    }
  }

  /** The entry maps storage itself: 1 MiB, or 2 GiB. */
  #frame(asce: Asce, level: number, low: number): boolean {
    if (level === 0 && this.#isCommonInPrivate(asce)) return this.#fail(PGM.TRANSLATION_SPECIFICATION);
    if (this.controls.executionProtection && (this.#low & ENTRY.EXECUTION_PROTECTED) !== 0)
      this.executionProtected = true;
    const within = level === 0 ? 0xfffff : 0x7fffffff;
    this.address = this.#high * HIGH + (((this.#low & ~within) | (low & within)) >>> 0);
    this.absolute = true;
    return true;
  }

  #page(low: number): boolean {
    const origin = this.#high * HIGH + ((this.#low & ~0x7ff) >>> 0);
    if (!this.#entry(origin + 8 * ((low >>> 12) & 0xff), -1)) return false;
    const entry = this.#low;
    if ((entry & PAGE_INVALID) !== 0) return this.#fail(PGM.PAGE_TRANSLATION);
    if ((entry & PAGE_RESERVED) !== 0) return this.#fail(PGM.TRANSLATION_SPECIFICATION);
    if ((entry & ENTRY.PROTECTED) !== 0) this.protected = true;
    if (this.controls.executionProtection && (entry & ENTRY.EXECUTION_PROTECTED) !== 0) this.executionProtected = true;
    this.address = this.#high * HIGH + (((entry & ~0xfff) | (low & 0xfff)) >>> 0);
    this.absolute = false;
    return true;
  }

  #isCommonInPrivate(asce: Asce): boolean {
    return (asce.low & ASCE.PRIVATE) !== 0 && (this.#low & ENTRY.COMMON_SEGMENT) !== 0;
  }

  /** Reads an entry. Table addresses are taken as absolute ones, as may be: it is unpredictable whether prefixing is applied. */
  #entry(address: number, level: number): boolean {
    this.entryAddress = address;
    this.entryLevel = level;
    const host = this.space.locate(address, 8, false);
    if (host < 0) return this.#fail(this.space.code);
    this.#high = this.#view.getUint32(host);
    this.#low = this.#view.getUint32(host + 4);
    return true;
  }

  #fail(code: number): boolean {
    this.code = code;
    return false;
  }
}

/** Whether an address has bits that the tables of a designation type do not translate. */
function isBeyond(type: number, high: number, low: number): boolean {
  if (type === 0) return high !== 0 || low >>> 31 !== 0;
  return type < 3 && high >>> (type === 1 ? 10 : 21) !== 0;
}

function indexAt(level: number, high: number, low: number): number {
  if (level === 3) return high >>> 21;
  if (level === 2) return (high >>> 10) & 0x7ff;
  if (level === 1) return ((high & 0x3ff) << 1) | (low >>> 31);
  return (low >>> 20) & 0x7ff;
}
