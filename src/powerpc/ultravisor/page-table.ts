import type { RealAddress } from '../../machine/types.ts';
import { SECURE_ADDRESS_BIT, UV_PAGE_SIZE } from '../abi.ts';
import type { Page, PageSeal, PageState } from './page.ts';

/**
 * The pages of a memory slot, packed: 5 bytes for each, and 28 more for each once one of them has been paged out. Plain data.
 */
export interface PageTable {
  /** Index into `STATES`, with `GIVEN` and the mapping's attributes. A byte of 0 is a fresh page. */
  readonly flags: Uint8Array;
  /** Number of the page's frame, secure or normal by its state, plus 1; 0 for none. */
  readonly frames: Uint32Array;
  /** By index: the hypervisor's page of those states that have a frame and a page of the hypervisor. */
  readonly hvPages: Map<number, RealAddress>;
  /** `SEAL_BYTES` for each page; null until one is paged out. */
  seals: Uint8Array | null;
}

/** How a page is mapped in the SVM, as the hypervisor asked with flags of UV_PAGE_IN (3.10). */
export const ATTRIBUTE = { CACHE_INHIBITED: 0x20, WRITE_PROTECTED: 0x40 } as const;
export const ATTRIBUTES: number = ATTRIBUTE.CACHE_INHIBITED | ATTRIBUTE.WRITE_PROTECTED;

const STATES: readonly PageState[] = [
  'SECURE',
  'PAGEDOUT',
  'SHARED',
  'SHARED_INV',
  'SHARED_IMPLICIT',
  'SHARED_IMPLICIT_INV',
  'HV_SHARING',
  'HV_SHARED',
  'HV_SHARED_INV',
  'HV_UNSHARING',
  'HV_UNSHARING_INV',
  'HV_UNSHARED',
  'PSEUDO_SHARED',
  'PSEUDO_SHARED_INV',
];
const STATE_MASK = 0xf;
const GIVEN = 0x10;
const SECURE = 0;

/** Counter (8 bytes), tag (16), generation of the key (4), big-endian. */
const SEAL_BYTES = 28;
const TAG_OFFSET = 8;
const GENERATION_OFFSET = 24;

/** Bytes that a slot of `count` pages takes while none of them is paged out; and once one is. */
export function tableBytes({ flags, frames, seals }: PageTable): number {
  return flags.byteLength + frames.byteLength + (seals?.byteLength ?? 0);
}

/** `count` fresh pages. */
export function createPageTable(count: number): PageTable {
  return { flags: new Uint8Array(count), frames: new Uint32Array(count), hvPages: new Map(), seals: null };
}

/** Whether a page is SECURE and has a frame: one that could be paged out. */
export function isResident({ flags, frames }: PageTable, index: number): boolean {
  return (flags[index] & STATE_MASK) === SECURE && frames[index] !== 0;
}

/** Whether a page was never touched. */
export function isFresh({ flags, frames }: PageTable, index: number): boolean {
  return flags[index] === 0 && frames[index] === 0;
}

/** The state of a page. */
export function stateAt({ flags }: PageTable, index: number): PageState {
  return STATES[flags[index] & STATE_MASK];
}

/** Attributes of a page's mapping: `ATTRIBUTE` bits. */
export function attributesAt({ flags }: PageTable, index: number): number {
  return flags[index] & ATTRIBUTES;
}

/** What is known of a page. */
export function readPage(table: PageTable, index: number): Page {
  const state = stateAt(table, index);
  const given = (table.flags[index] & GIVEN) !== 0;
  switch (state) {
    case 'SECURE':
      return { state, frame: secureFrame(table, index), given };
    case 'PAGEDOUT':
      return { state, seal: readSeal(table, index), given };
    case 'SHARED':
    case 'SHARED_IMPLICIT':
      return { state, hvPage: normalFrame(table, index) };
    case 'SHARED_INV':
    case 'SHARED_IMPLICIT_INV':
    case 'HV_UNSHARED':
      return { state };
    case 'HV_SHARED':
      return { state, frame: secureFrame(table, index), hvPage: hvPageAt(table, index) };
    case 'PSEUDO_SHARED':
      return { state, frame: required(secureFrame(table, index)), hvPage: hvPageAt(table, index) };
    case 'PSEUDO_SHARED_INV':
      return { state, frame: required(secureFrame(table, index)) };
    default:
      return { state, frame: secureFrame(table, index) };
  }
}

/** Puts down a page and the attributes of its mapping. */
export function writePage(table: PageTable, index: number, page: Page, attributes: number): void {
  const given = 'given' in page && page.given ? GIVEN : 0;
  table.flags[index] = STATES.indexOf(page.state) | given | attributes;
  const frame = 'frame' in page ? page.frame : 'hvPage' in page ? page.hvPage : null;
  table.frames[index] = frame === null ? 0 : (frame % SECURE_ADDRESS_BIT) / UV_PAGE_SIZE + 1;
  if ('frame' in page && 'hvPage' in page) table.hvPages.set(index, page.hvPage);
  else table.hvPages.delete(index);
  if (page.state === 'PAGEDOUT') writeSeal(table, index, page.seal);
}

function secureFrame({ frames }: PageTable, index: number): RealAddress | null {
  const number = frames[index];
  return number === 0 ? null : ((SECURE_ADDRESS_BIT + (number - 1) * UV_PAGE_SIZE) as RealAddress);
}

function normalFrame({ frames }: PageTable, index: number): RealAddress {
  return ((frames[index] - 1) * UV_PAGE_SIZE) as RealAddress;
}

function hvPageAt({ hvPages }: PageTable, index: number): RealAddress {
  return required(hvPages.get(index) ?? null);
}

function required(address: RealAddress | null): RealAddress {
  if (address === null) throw new Error('a page record without its address');
  return address;
}

function readSeal({ seals }: PageTable, index: number): PageSeal {
  if (seals === null) throw new Error('a page without its seal');
  const at = index * SEAL_BYTES;
  const view = new DataView(seals.buffer, seals.byteOffset + at, SEAL_BYTES);
  return {
    counter: view.getBigUint64(0),
    tag: seals.slice(at + TAG_OFFSET, at + GENERATION_OFFSET),
    generation: view.getUint32(GENERATION_OFFSET),
  };
}

function writeSeal(table: PageTable, index: number, { counter, tag, generation }: PageSeal): void {
  table.seals ??= new Uint8Array(table.flags.length * SEAL_BYTES);
  const { seals } = table;
  const at = index * SEAL_BYTES;
  const view = new DataView(seals.buffer, seals.byteOffset + at, SEAL_BYTES);
  view.setBigUint64(0, counter);
  seals.set(tag, at + TAG_OFFSET);
  view.setUint32(GENERATION_OFFSET, generation);
}
