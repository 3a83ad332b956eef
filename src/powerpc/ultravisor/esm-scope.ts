import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, gpaOf, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import type { EsmRange } from './esm-tree.ts';
import { FRESH, pageAt, setPage } from './pages.ts';
import type { Svm } from './svm.ts';

/**
 * Makes everything in a page zero but what lies in one of the ranges (10.2 #73).
 * @returns false if the page is paged out and has to come back first
 */
export function keepOnly(uv: UvContext, port: RegisterPort, svm: Svm, gfn: Gfn, ranges: readonly EsmRange[]): boolean {
  const page = pageAt(svm, gfn);
  if (page?.state !== 'SECURE' && page?.state !== 'PAGEDOUT') return true;
  const kept = partsOf(gfn, ranges);
  if (page.state === 'PAGEDOUT') {
    if (kept.length > 0) return false;
    setPage(uv, port, svm, gfn, FRESH);
    return true;
  }
  const { frame } = page;
  if (frame === null) return true;
  if (kept.length === 0) {
    setPage(uv, port, svm, gfn, FRESH);
    uv.secure.release(frame);
    return true;
  }
  const fill = (from: number, to: number): void => {
    if (to > from) uv.view.fill((frame + from) as RealAddress, to - from, 0);
  };
  let at = 0;
  for (const { start, end } of kept) {
    fill(at, start);
    at = Math.max(at, end);
  }
  fill(at, UV_PAGE_SIZE);
  return true;
}

/** The parts of a page that lie in ranges, as offsets in it, in ascending order. */
function partsOf(gfn: Gfn, ranges: readonly EsmRange[]): { readonly start: number; readonly end: number }[] {
  const first = gpaOf(gfn);
  const parts = ranges.map(({ base, size }) => ({
    start: Math.max(base - first, 0),
    end: Math.min(base + size - first, UV_PAGE_SIZE),
  }));
  return parts.filter(({ start, end }) => start < end).sort((x, y) => x.start - y.start);
}
