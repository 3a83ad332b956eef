import type { Translation } from '../../engine/cpu-model.ts';
import { PAGE_SIZE } from '../../engine/layout.ts';
import { ADDRESS_SPACE, DAT, PGM, PSW } from '../abi.ts';
import { SPACE } from '../isa/helpers.ts';
import { halves } from '../isa/work.ts';
import type { Control, Controls, ControlWork } from './control-work.ts';
import { KEY } from './storage-keys.ts';

const LOW_32 = 0xffffffffn;
const HIGH_32 = 0xffffffff00000000n;
const FRAME = 0x10_0000;

/** Host address of the page at the real address in a register; -1 where there is no storage. */
function pageIn(w: ControlWork, register: number): number {
  const address = Number(w.addressIn(register) & ~0xfffn);
  return w.core.mmu.locate(w.core.mmu.prefixed(address), PAGE_SIZE, 'load');
}

/** SET STORAGE KEY EXTENDED: the quick form for one page, or with MB for all up to the end of the segment. */
const sske: Control = (w) => {
  const first = Number(w.addressIn(w.field('R2')) & ~0xfffn);
  const key = w.gr32(w.field('R1')) & KEY.ALL;
  const multiple = (w.field('M3') & 1) !== 0;
  const end = multiple ? (Math.floor(first / FRAME) + 1) * FRAME : first + PAGE_SIZE;
  for (let at = first; at < end; at += PAGE_SIZE) {
    const host = w.core.mmu.locate(multiple ? at : w.core.mmu.prefixed(at), PAGE_SIZE, 'load');
    if (host < 0) return { program: w.core.mmu.fault.code };
    w.core.keys.set(host, key);
  }
  w.core.peers.flushTranslations();
  if (multiple) w.setGr(w.field('R2'), BigInt(end));
  return 'done';
};

const iske: Control = (w) => {
  const host = pageIn(w, w.field('R2'));
  if (host < 0) return { program: w.core.mmu.fault.code };
  const r1 = w.field('R1');
  w.setGr(r1, (w.gr(r1) & ~0xffn) | BigInt(w.core.keys.get(host)));
  return 'done';
};

const rrbe: Control = (w) => {
  const host = pageIn(w, w.field('R2'));
  if (host < 0) return { program: w.core.mmu.fault.code };
  const key = w.core.keys.get(host);
  w.core.keys.set(host, key & ~KEY.REFERENCE);
  w.core.peers.flushTranslations();
  return ((key & KEY.REFERENCE ? 2 : 0) | (key & KEY.CHANGE ? 1 : 0)) as 0 | 1 | 2 | 3;
};

/** TEST BLOCK clears the page. */
const tb: Control = (w) => {
  const real = Number(w.addressIn(w.field('R2')) & ~0xfffn);
  const absolute = w.core.mmu.prefixed(real);
  if (w.core.mmu.locate(absolute, PAGE_SIZE, 'store') < 0) return { program: w.core.mmu.fault.code };
  w.core.hardware.write(absolute, new Uint8Array(PAGE_SIZE));
  w.setGr(0, 0n);
  return 0;
};

/** PERFORM FRAME MANAGEMENT FUNCTION: clears, or sets the keys of, a 4K or a 1M frame. */
const pfmf: Control = (w) => {
  const controls = w.gr32(w.field('R1'));
  const size = (controls >>> 12) & 7;
  if ((controls & 0xfff00000) !== 0 || size > 1) return { program: PGM.SPECIFICATION };
  const r2 = w.field('R2');
  const first = Number(w.addressIn(r2) & ~0xfffn);
  const end = size === 0 ? first + PAGE_SIZE : (Math.floor(first / FRAME) + 1) * FRAME;
  for (let at = first; at < end; at += PAGE_SIZE) {
    const absolute = size === 0 ? w.core.mmu.prefixed(at) : at;
    const host = w.core.mmu.locate(absolute, PAGE_SIZE, 'store');
    if (host < 0) return { program: w.core.mmu.fault.code };
    if ((controls & 0x10000) !== 0) w.core.hardware.write(absolute, new Uint8Array(PAGE_SIZE));
    if ((controls & 0x20000) !== 0) w.core.keys.set(host, controls & KEY.ALL);
  }
  w.core.peers.flushTranslations();
  if (size === 1) w.setGr(r2, BigInt(end));
  return 'done';
};

/** Exceptions that say of an address that nothing is mapped there. */
const isTranslation = (code: number): boolean =>
  code === PGM.SEGMENT_TRANSLATION ||
  code === PGM.PAGE_TRANSLATION ||
  (code >= PGM.ASCE_TYPE && code <= PGM.REGION_THIRD);

/** TEST PROTECTION. */
const tprot: Control = (w) => {
  const at = w.address(1);
  const key = Number((w.address(2) >> 4n) & 15n);
  const { mmu } = w.core;
  const before = mmu.state.key;
  mmu.state.key = key;
  const result: Translation = { host: 0, writable: false, cacheable: false };
  const page = mmu.resolve(...halves(at), SPACE.current);
  const host = page < 0 ? -1 : mmu.locate(page, 1, 'load');
  const recorded = host < 0 ? 0 : w.core.keys.get(host);
  const fetches = mmu.translate(...halves(at), 'load', SPACE.current, 1, result);
  const stores = fetches && mmu.translate(...halves(at), 'store', SPACE.current, 1, result);
  mmu.state.key = before;
  // A test is no access: reference and change bits are as they were.
  if (host >= 0) w.core.keys.set(host, recorded);
  if (stores) return 0;
  const { code } = mmu.fault;
  if (code === PGM.PROTECTION) return fetches ? 1 : 2;
  // What is no matter of the program's tables, such as a page that its host has not, is no answer.
  return isTranslation(code) ? 3 : 'fault';
};

/** INVALIDATE PAGE TABLE ENTRY. */
const ipte: Control = (w) => {
  const origin = w.gr(w.field('R1')) & DAT.SEGMENT_ORIGIN;
  const index = (w.gr(w.field('R2')) >> 12n) & 0xffn;
  const entry = origin + 8n * index;
  const value = w.load(entry, 8, SPACE.real);
  if (value === null || !w.store(entry, 8, value | DAT.PAGE_INVALID, SPACE.real)) return 'fault';
  w.core.peers.flushTranslations();
  return 'done';
};

/** INVALIDATE DAT TABLE ENTRY: entries of region and segment tables, or a clearing by ASCE. */
const idte: Control = (w) => {
  const r2 = w.gr(w.field('R2'));
  if ((r2 & 0x800n) === 0n) {
    const designation = w.gr(w.field('R1'));
    const level = Number((designation & DAT.TYPE) >> 2n);
    const shift = [20n, 31n, 42n, 53n][level] as bigint;
    const index = (r2 >> shift) & 0x7ffn;
    const count = Number(r2 & 0x7ffn) + 1;
    for (let n = 0; n < count; n++) {
      const entry = (designation & DAT.ASCE_ORIGIN) + 8n * (index + BigInt(n));
      const value = w.load(entry, 8, SPACE.real);
      if (value === null || !w.store(entry, 8, value | DAT.SEGMENT_INVALID, SPACE.real)) return 'fault';
    }
  }
  w.core.peers.flushTranslations();
  return 'done';
};

/** COMPARE AND SWAP AND PURGE. */
function compareAndPurge(w: ControlWork, bytes: 4 | 8): ReturnType<Control> {
  const r1 = w.field('R1');
  const r2 = w.gr(w.field('R2'));
  if ((r1 & 1) !== 0) return { program: PGM.SPECIFICATION };
  const at = w.inMode(r2 & ~BigInt(bytes - 1));
  const value = w.load(at, bytes);
  if (value === null) return 'fault';
  const compared = bytes === 8 ? w.gr(r1) : w.gr(r1) & LOW_32;
  if (compared !== value) {
    w.setGr(r1, bytes === 8 ? value : (w.gr(r1) & HIGH_32) | value);
    return 1;
  }
  const next = bytes === 8 ? w.gr(r1 + 1) : w.gr(r1 + 1) & LOW_32;
  if (!w.store(at, bytes, next)) return 'fault';
  if ((r2 & 3n) !== 0n) w.core.peers.flushTranslations();
  return 0;
}

/** LOAD REAL ADDRESS. */
function loadRealAddress(w: ControlWork, wide: boolean): ReturnType<Control> {
  const { mmu } = w.core;
  const asce = mmu.asce(SPACE.current) ?? mmu.state.primary;
  const [high, low] = halves(w.address(2));
  const r1 = w.field('R1');
  if (mmu.dat.translate(asce, high, low)) {
    const real = BigInt(mmu.dat.address);
    if (!wide && real >> 31n !== 0n) return { program: PGM.SPECIAL_OPERATION };
    w.setGr(r1, wide ? real : (w.gr(r1) & HIGH_32) | real);
    return 0;
  }
  const { code, entryAddress, isOutside } = mmu.dat;
  if (!isTranslation(code)) return { program: code };
  const isEntry = !isOutside && (wide || entryAddress < 2 ** 31);
  const cc = isEntry && code === PGM.SEGMENT_TRANSLATION ? 1 : isEntry && code === PGM.PAGE_TRANSLATION ? 2 : 3;
  // Address of the invalid entry, or of condition code 3 the exception code with bit 32 on.
  const high32 = w.gr(r1) & HIGH_32;
  if (cc === 3) w.setGr(r1, high32 | BigInt(code) | 0x80000000n);
  else w.setGr(r1, wide ? BigInt(entryAddress) : high32 | BigInt(entryAddress));
  return cc;
}

/** CR0 bit 37. */
const SECONDARY_SPACE = 1n << 26n;

/** Whether the program may access storage with a key: in problem state CR3 says which. */
const mayUseKey = ({ core }: ControlWork, key: number): boolean =>
  !core.isProblemState || ((core.cr(3) >> BigInt(31 - key)) & 1n) === 1n;

/** Whether MVCP, MVCS and MVCOS find a secondary space. */
const hasSecondary = ({ core }: ControlWork): boolean => core.pswHas(PSW.DAT) && (core.cr(0) & SECONDARY_SPACE) !== 0n;

/** The key in the third operand's register. */
const keyOperand = (w: ControlWork): number => (w.gr32(w.field('R3')) >>> 4) & 15;

/** MVCP and MVCS: up to 256 bytes from the secondary to the primary space, or back. */
function moveBetween(w: ControlWork, to: number, from: number): ReturnType<Control> {
  const { addressSpace } = w.core.mmu.state;
  const isOwn = addressSpace === ADDRESS_SPACE.primary || addressSpace === ADDRESS_SPACE.secondary;
  if (!hasSecondary(w) || !isOwn) return { program: PGM.SPECIAL_OPERATION };
  if (!mayUseKey(w, keyOperand(w))) return { program: PGM.PRIVILEGED_OPERATION };
  const length = w.lengthIn(w.field('R1'));
  const bytes = Number(length > 256n ? 256n : length);
  if (bytes > 0) {
    const data = withKey(w, from === SPACE.secondary, () => w.readSpace(w.address(2), bytes, from));
    if (data === null) return 'fault';
    const written = withKey(w, to === SPACE.secondary, () => w.writeSpace(w.address(1), data, to));
    if (!written) return 'fault';
  }
  return length > 256n ? 3 : 0;
}

/** The secondary operand is reached with the key in the third operand's register. */
function withKey<T>(w: ControlWork, applies: boolean, access: () => T): T {
  if (!applies) return access();
  const { state } = w.core.mmu;
  const before = state.key;
  state.key = keyOperand(w);
  const result = access();
  state.key = before;
  return result;
}

const mvck: Control = (w) => {
  if (!mayUseKey(w, keyOperand(w))) return { program: PGM.PRIVILEGED_OPERATION };
  const length = w.lengthIn(w.field('R1'));
  const bytes = Number(length > 256n ? 256n : length);
  if (bytes > 0) {
    const data = withKey(w, true, () => w.read(w.address(2), bytes));
    if (data === null || !w.write(w.address(1), data)) return 'fault';
  }
  return length > 256n ? 3 : 0;
};

/** MVCSK and MVCDK: length in register 0, key in register 1, for source or destination. */
function moveWithKey(w: ControlWork, source: boolean): ReturnType<Control> {
  const bytes = (w.gr32(0) & 0xff) + 1;
  const key = (w.gr32(1) >>> 4) & 15;
  if (!mayUseKey(w, key)) return { program: PGM.PRIVILEGED_OPERATION };
  const { state } = w.core.mmu;
  const before = state.key;
  if (source) state.key = key;
  const data = w.read(w.address(2), bytes);
  state.key = source ? before : key;
  const written = data !== null && w.write(w.address(1), data);
  state.key = before;
  return written ? 'done' : 'fault';
}

/** Spaces that an operand-access control names. */
const OAC_SPACES = [SPACE.primary, SPACE.current, SPACE.secondary, SPACE.home] as const;

/** What is wrong with the operand-access controls of MVCOS: a program interruption code, or null. */
function refusesControls(w: ControlWork, controls: readonly number[]): number | null {
  const spaces = controls.filter((oac) => (oac & 1) !== 0).map((oac) => OAC_SPACES[(oac >>> 6) & 3]);
  const { isProblemState } = w.core;
  if (!w.core.pswHas(PSW.DAT) || (isProblemState && spaces.includes(SPACE.home))) return PGM.SPECIAL_OPERATION;
  if (spaces.includes(SPACE.secondary) && !hasSecondary(w)) return PGM.SPECIAL_OPERATION;
  const keys = controls.filter((oac) => (oac & 2) !== 0).map((oac) => (oac >>> 12) & 15);
  return keys.every((key) => mayUseKey(w, key)) ? null : PGM.PRIVILEGED_OPERATION;
}

/** MOVE WITH OPTIONAL SPECIFICATIONS. */
const mvcos: Control = (w) => {
  const refused = refusesControls(w, [w.gr32(0) >>> 16, w.gr32(0) & 0xffff]);
  if (refused !== null) return { program: refused };
  const length = w.lengthIn(w.field('R3'));
  const bytes = Number(length > 4096n ? 4096n : length);
  const controls = w.gr32(0);
  const { mmu } = w.core;
  const before = mmu.state.key;
  const use = <T>(oac: number, access: (space: number) => T): T => {
    const space = (oac & 1) !== 0 ? (OAC_SPACES[(oac >>> 6) & 3] as number) : SPACE.current;
    if ((oac & 2) !== 0) mmu.state.key = (oac >>> 12) & 15;
    const result = access(space);
    mmu.state.key = before;
    return result;
  };
  if (bytes > 0) {
    const data = use(controls & 0xffff, (space) => w.readSpace(w.address(2), bytes, space));
    if (data === null) return 'fault';
    const written = use(controls >>> 16, (space) => w.writeSpace(w.address(1), data, space));
    if (!written) return 'fault';
  }
  return length > 4096n ? 3 : 0;
};

/** MOVE PAGE. */
const mvpg: Control = (w) => {
  if ((w.gr32(0) & 0xf000) !== 0) return { program: PGM.SPECIFICATION };
  const to = w.addressIn(w.field('R1')) & ~0xfffn;
  const from = w.addressIn(w.field('R2')) & ~0xfffn;
  const optional = (w.gr32(0) & 0x100) !== 0;
  const data = w.read(from, PAGE_SIZE);
  if (data === null) return optional && w.core.mmu.fault.code === PGM.PAGE_TRANSLATION ? 2 : 'fault';
  if (w.write(to, data)) return 0;
  return optional && w.core.mmu.fault.code === PGM.PAGE_TRANSLATION ? 1 : 'fault';
};

/** What works on storage keys, on translations, and on storage by other ways than the PSW's (Principles of Operation, chapters 3 and 10). */
export const CONTROL_STORAGE: Controls = {
  iske,
  sske,
  rrbe,
  tb,
  pfmf,
  tprot,
  ptlb: (w) => {
    w.core.flushTranslations();
    return 'done';
  },
  ipte,
  idte,
  csp: (w) => compareAndPurge(w, 4),
  cspg: (w) => compareAndPurge(w, 8),
  lura: (w) => {
    const at = w.addressIn(w.field('R2'));
    if ((at & 3n) !== 0n) return { program: PGM.SPECIFICATION };
    const value = w.load(at, 4, SPACE.real);
    if (value === null) return 'fault';
    w.setGr(w.field('R1'), (w.gr(w.field('R1')) & HIGH_32) | value);
    return 'done';
  },
  lurag: (w) => {
    const at = w.addressIn(w.field('R2'));
    if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
    const value = w.load(at, 8, SPACE.real);
    if (value === null) return 'fault';
    w.setGr(w.field('R1'), value);
    return 'done';
  },
  stura: (w) => {
    const at = w.addressIn(w.field('R2'));
    if ((at & 3n) !== 0n) return { program: PGM.SPECIFICATION };
    return w.store(at, 4, w.gr(w.field('R1')) & LOW_32, SPACE.real) ? 'done' : 'fault';
  },
  sturg: (w) => {
    const at = w.addressIn(w.field('R2'));
    if ((at & 7n) !== 0n) return { program: PGM.SPECIFICATION };
    return w.store(at, 8, w.gr(w.field('R1')), SPACE.real) ? 'done' : 'fault';
  },
  lra: (w) => loadRealAddress(w, w.addressBits === 64),
  lray: (w) => loadRealAddress(w, w.addressBits === 64),
  lrag: (w) => loadRealAddress(w, true),
  mvcp: (w) => moveBetween(w, SPACE.primary, SPACE.secondary),
  mvcs: (w) => moveBetween(w, SPACE.secondary, SPACE.primary),
  mvck,
  mvcsk: (w) => moveWithKey(w, true),
  mvcdk: (w) => moveWithKey(w, false),
  mvcos,
  mvpg,
};
