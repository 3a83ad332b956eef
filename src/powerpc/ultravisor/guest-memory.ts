import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, type GuestPhysical, gfnOf, guestPhysical, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import type { Page } from './page.ts';
import { pageAt, setPage } from './pages.ts';
import { takeFrame } from './secure-frames.ts';
import type { Svm } from './svm.ts';

/** Guest memory that cannot be reached now: paged out, to be asked for; fresh, without a secure frame to be had; or not at all. */
export type GuestFault =
  | { readonly fault: 'paged-out'; readonly gfn: Gfn }
  | { readonly fault: 'no-frame' }
  | { readonly fault: 'unreachable' };

const UNREACHABLE: GuestFault = { fault: 'unreachable' };

/** A part of a range that lies in one page. */
interface Part {
  readonly gfn: Gfn;
  readonly page: Page;
  /** Of the part's first byte: in the page, and in the range. */
  readonly offset: number;
  readonly at: number;
  readonly length: number;
}

/**
 * Reads an SVM's memory as the SVM would: a secure page from its frame, a shared page from the hypervisor's. Pages of
 * the Ultravisor, pages about to be shared and addresses in no slot are not reachable.
 */
export function readGuest(uv: UvContext, svm: Svm, gpa: GuestPhysical, length: number): Uint8Array | GuestFault {
  const parts = partsOf(svm, gpa, length);
  if ('fault' in parts) return parts;
  const bytes = new Uint8Array(length);
  for (const part of parts) {
    const memory = memoryOf(part.page);
    if (memory !== null) bytes.set(uv.view.read((memory + part.offset) as RealAddress, part.length), part.at);
  }
  return bytes;
}

/** Writes an SVM's memory as the SVM would; nothing of it if not all can be reached. @returns null when it is done */
export function writeGuest(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  gpa: GuestPhysical,
  bytes: Uint8Array,
): GuestFault | null {
  const parts = partsOf(svm, gpa, bytes.length);
  if ('fault' in parts) return parts;
  for (const { gfn, page } of parts) {
    if (memoryOf(page) !== null) continue;
    const frame = takeFrame(uv, svm);
    // A page that got its frame already stays as zero as it was.
    if (frame === undefined) return { fault: 'no-frame' };
    setPage(uv, port, svm, gfn, { state: 'SECURE', frame, given: false });
  }
  for (const { gfn, offset, at, length } of parts) {
    const page = pageAt(svm, gfn);
    const memory = page === undefined ? null : memoryOf(page);
    if (memory === null) throw new Error(`guest frame ${gfn} has no memory`);
    uv.view.write((memory + offset) as RealAddress, bytes.subarray(at, at + length));
  }
  return null;
}

/** Where the page's bytes are; null for a zero page without a frame. */
function memoryOf(page: Page): RealAddress | null {
  return page.state === 'SECURE' ? page.frame : page.state === 'SHARED' ? page.hvPage : null;
}

function partsOf(svm: Svm, gpa: GuestPhysical, length: number): Part[] | GuestFault {
  const parts: Part[] = [];
  for (let at = 0; at < length; ) {
    const address = guestPhysical(gpa + at);
    if (address === undefined) return UNREACHABLE;
    const gfn = gfnOf(address);
    const page = pageAt(svm, gfn);
    if (page?.state === 'PAGEDOUT') return { fault: 'paged-out', gfn };
    if (page?.state !== 'SECURE' && page?.state !== 'SHARED') return UNREACHABLE;
    const offset = address % UV_PAGE_SIZE;
    const part = { gfn, page, offset, at, length: Math.min(UV_PAGE_SIZE - offset, length - at) };
    parts.push(part);
    at += part.length;
  }
  return parts;
}
