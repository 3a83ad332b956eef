import type { AccessKind, Translation } from '../../engine/cpu-model.ts';
import type { RealMemory } from '../../machine/memory.ts';
import { ADDRESS_SPACE, PGM } from '../abi.ts';
import { SPACE } from '../isa/helpers.ts';
import type { AbsoluteSpace } from './absolute-storage.ts';
import { type Asce, Dat } from './dat.ts';
import { KEY, type StorageKeys } from './storage-keys.ts';

/** What translation and protection depend on. Its owner keeps it in step with PSW and control registers. */
export interface TranslationState {
  /** PSW bit 5. */
  dat: boolean;
  /** `ADDRESS_SPACE` of the PSW. */
  addressSpace: number;
  primary: Asce;
  secondary: Asce;
  home: Asce;
  /** PSW key, 0 to 15. */
  key: number;
  lowAddressProtection: boolean;
  fetchOverride: boolean;
  storageOverride: boolean;
  prefix: number;
}

/** Why an access was refused. */
export interface AccessFault {
  /** Program interruption code. */
  code: number;
  access: AccessKind;
  /** Translation-exception identification. */
  teidHigh: number;
  teidLow: number;
}

/** Bits of the TEID (3.3; Principles of Operation, "Translation-Exception Identification"). */
const TEID = { FETCH: 0x800, STORE: 0x400, BIT_56: 0x80, BIT_61: 0x04 } as const;
const PRIVATE = 0x100;
const PAGE = 0xfff;
const NO_DAT = -1;

/** Whether low-address protection covers an address: 0 to 511 and 4096 to 4607. */
const isLow = (high: number, low: number): boolean => high === 0 && low >>> 0 < 0x2000 && (low & PAGE) < 512;

/** Address translation and protection of one CPU: spaces, DAT, prefixing, low-address, DAT and key-controlled protection, reference and change recording. */
export class Mmu {
  readonly state: TranslationState = {
    dat: false,
    addressSpace: 0,
    primary: { high: 0, low: 0 },
    secondary: { high: 0, low: 0 },
    home: { high: 0, low: 0 },
    key: 0,
    lowAddressProtection: false,
    fetchOverride: false,
    storageOverride: false,
    prefix: 0,
  };
  readonly fault: AccessFault = { code: 0, access: 'load', teidHigh: 0, teidLow: 0 };
  readonly dat: Dat;
  space: AbsoluteSpace;
  readonly #memory: RealMemory;
  readonly #keys: StorageKeys;
  /** Absolute address of the last translation. */
  #absolute = 0;

  constructor(memory: RealMemory, keys: StorageKeys, space: AbsoluteSpace) {
    this.#memory = memory;
    this.#keys = keys;
    this.space = space;
    this.dat = new Dat(space, memory.store.view);
  }

  /** The address space that a space of `SPACE` stands for; `NO_DAT` for real addresses. */
  #spaceOf(access: AccessKind, space: number): number {
    const { dat, addressSpace } = this.state;
    if (space === SPACE.primary) return ADDRESS_SPACE.primary;
    if (space === SPACE.secondary) return ADDRESS_SPACE.secondary;
    if (space === SPACE.home) return ADDRESS_SPACE.home;
    if (space === SPACE.real || !dat) return NO_DAT;
    // Instructions come from the primary space in secondary-space mode too; access registers choose nothing yet.
    const fetches = access === 'fetch' || space === SPACE.instruction;
    if (addressSpace === ADDRESS_SPACE.home) return ADDRESS_SPACE.home;
    return !fetches && addressSpace === ADDRESS_SPACE.secondary ? ADDRESS_SPACE.secondary : ADDRESS_SPACE.primary;
  }

  #asceOf(addressSpace: number): Asce {
    const { primary, secondary, home } = this.state;
    if (addressSpace === ADDRESS_SPACE.home) return home;
    return addressSpace === ADDRESS_SPACE.secondary ? secondary : primary;
  }

  /** As `CpuModel.translate`. @returns false with the reason in `fault` */
  translate(high: number, low: number, access: AccessKind, space: number, size: number, result: Translation): boolean {
    const s = this.state;
    const id = this.#spaceOf(access, space);
    const asce = id === NO_DAT ? null : this.#asceOf(id);
    const isPrivate = asce !== null && (asce.low & PRIVATE) !== 0;
    const store = access === 'store';
    this.#describe(high, low, access, id);
    const lowPage = s.lowAddressProtection && !isPrivate && isLow(high, low & ~PAGE);
    if (lowPage && store && isLow(high, low)) return this.#refuse(PGM.PROTECTION, TEID.BIT_56);
    if (!this.#toAbsolute(asce, high, low)) return false;
    const datProtected = asce !== null && this.dat.protected;
    if (datProtected && store) return this.#refuse(PGM.PROTECTION, TEID.BIT_61);
    if (access === 'fetch' && asce !== null && this.dat.executionProtected) {
      return this.#refuse(PGM.PROTECTION, TEID.BIT_56 | TEID.BIT_61);
    }
    const host = this.space.locate(this.#absolute, size, store);
    if (host < 0) return this.#refuseStorage(this.space.code);
    const key = this.#keys.get(host);
    const overridden = s.fetchOverride && !isPrivate && high === 0 && low >>> 0 < 2048;
    if (!this.#keyAllows(key, store) && !(overridden && !store)) return this.#refuse(PGM.PROTECTION, 0);
    const bits = store ? KEY.REFERENCE | KEY.CHANGE : KEY.REFERENCE;
    if ((key & bits) !== bits) this.#keys.record(host, bits);
    result.host = host;
    result.writable =
      !lowPage && !datProtected && this.space.writable && (key & KEY.CHANGE) !== 0 && this.#keyAllows(key, true);
    // A part of the page is protected in another way than the rest.
    result.cacheable = !(overridden && !this.#keyAllows(key, false)) && !(lowPage && store);
    return true;
  }

  /** As `CpuModel.probe`. */
  probe(high: number, low: number, result: Translation): boolean {
    const saved = { ...this.fault };
    const id = this.#spaceOf('fetch', SPACE.current);
    const asce = id === NO_DAT ? null : this.#asceOf(id);
    const host = this.#toAbsolute(asce, high, low) ? this.space.locate(this.#absolute, 2, false) : -1;
    Object.assign(this.fault, saved);
    if (host < 0 || (asce !== null && this.dat.executionProtected)) return false;
    const key = this.#keys.get(host);
    if ((key & KEY.REFERENCE) === 0 || !this.#keyAllows(key, false)) return false;
    result.host = host;
    result.writable = false;
    result.cacheable = true;
    return true;
  }

  /**
   * Where an address leads, with no check of protection and of who owns the page, and nothing recorded.
   * @returns the absolute address, or -1 with the program interruption code in `fault`; whether it has DAT protection is in `dat.protected`
   */
  resolve(high: number, low: number, space: number): number {
    const id = this.#spaceOf('load', space);
    return this.resolveWith(id === NO_DAT ? null : this.#asceOf(id), high, low);
  }

  /** The same with an ASCE; null for a real address. */
  resolveWith(asce: Asce | null, high: number, low: number): number {
    return this.#toAbsolute(asce, high, low) ? this.#absolute : -1;
  }

  /** The ASCE that a space of `SPACE` names at this moment; null for real addresses. */
  asce(space: number): Asce | null {
    const id = this.#spaceOf('load', space);
    return id === NO_DAT ? null : this.#asceOf(id);
  }

  /** An access to absolute storage that asks neither keys nor prefix. @returns host address, or -1 with the reason in `fault` */
  locate(absolute: number, size: number, access: AccessKind): number {
    const host = this.space.locate(absolute, size, access === 'store');
    this.#describe(Math.floor(absolute / 2 ** 32), absolute | 0, access, NO_DAT);
    if (host < 0) this.#refuseStorage(this.space.code);
    return host;
  }

  /** Applies prefixing to a real address. */
  prefixed(real: number): number {
    const { prefix } = this.state;
    if (real < 0x2000) return real + prefix;
    return real >= prefix && real < prefix + 0x2000 ? real - prefix : real;
  }

  #toAbsolute(asce: Asce | null, high: number, low: number): boolean {
    if (asce === null) {
      this.#absolute = this.prefixed((high >>> 0) * 2 ** 32 + (low >>> 0));
      return true;
    }
    const { dat } = this;
    if (!dat.translate(asce, high, low)) return this.#refuseStorage(dat.code);
    this.#absolute = dat.absolute ? dat.address : this.prefixed(dat.address);
    return true;
  }

  /** Key-controlled protection. */
  #keyAllows(storageKey: number, store: boolean): boolean {
    const { key, storageOverride } = this.state;
    if (key === 0) return true;
    const access = storageKey >>> 4;
    if (key === access || (storageOverride && access === 9)) return true;
    return !store && (storageKey & KEY.FETCH) === 0;
  }

  #describe(high: number, low: number, access: AccessKind, addressSpace: number): void {
    const { fault } = this;
    fault.access = access;
    fault.teidHigh = high;
    fault.teidLow =
      (low & ~PAGE) | (access === 'store' ? TEID.STORE : TEID.FETCH) | (addressSpace === NO_DAT ? 0 : addressSpace);
  }

  /** Secure storage exceptions say by bit 61 that the address is valid. */
  #refuseStorage(code: number): boolean {
    const isSecure = code >= PGM.SECURE_STORAGE_ACCESS && code <= PGM.SECURE_STORAGE_VIOLATION;
    return this.#refuse(code, isSecure ? TEID.BIT_61 : 0);
  }

  #refuse(code: number, bits: number): boolean {
    this.fault.code = code;
    this.fault.teidLow |= bits;
    return false;
  }

  /** RAM of the machine. */
  get memory(): RealMemory {
    return this.#memory;
  }
}
