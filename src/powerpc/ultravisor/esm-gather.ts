import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, type GuestPhysical, gfnOf, UV_PAGE_SIZE } from '../abi.ts';
import type { UvContext } from './context.ts';
import type { EsmRange } from './esm-tree.ts';
import { isRegistered, pageAt } from './pages.ts';
import type { Esm, Gathering, Svm } from './svm.ts';

/** What a gathering still needs: a frame from the hypervisor; or nothing; or it cannot be had. */
export type GatherStep = { readonly ask: Gfn } | { readonly refused: string } | 'all there';

/** Begins to read a range of a VM that is in UV_ESM; undefined if not all of it is in slots. */
export function startGathering(svm: Svm, { base, size }: EsmRange): Gathering | undefined {
  const first = gfnOf(base);
  const last = size === 0 ? first : gfnOf((base + size - 1) as GuestPhysical);
  if (size > 0 && !isRegistered(svm, first, last - first + 1)) return undefined;
  return { base, bytes: new Uint8Array(size), filled: 0 };
}

/**
 * Reads on: every byte once, into memory of the Ultravisor, so that the whole may be larger than secure memory, and the
 * hypervisor may take pages out meanwhile. From then on a frame's contents are fixed (`Esm.fixed`).
 */
export function gather(uv: UvContext, svm: Svm, esm: Esm, gathering: Gathering): GatherStep {
  const { base, bytes } = gathering;
  while (gathering.filled < bytes.length) {
    const address = (base + gathering.filled) as GuestPhysical;
    const gfn = gfnOf(address);
    const page = pageAt(svm, gfn);
    if (page === undefined) return { refused: `guest frame ${gfn} is in no slot` };
    if (page.state === 'PAGEDOUT' || !esm.asked.has(gfn)) return { ask: gfn };
    if (page.state !== 'SECURE') return { refused: `guest frame ${gfn} is ${page.state}` };
    const offset = address % UV_PAGE_SIZE;
    const length = Math.min(UV_PAGE_SIZE - offset, bytes.length - gathering.filled);
    if (page.frame !== null) bytes.set(uv.view.read((page.frame + offset) as RealAddress, length), gathering.filled);
    esm.fixed.set(gfn, page.given);
    gathering.filled += length;
  }
  return 'all there';
}

/**
 * Whether the hypervisor may still give a frame contents in the clear: not once they were measured, nor once everything
 * was, else it could change them after the fact.
 */
export function acceptsContents(svm: Svm, gfn: Gfn): boolean {
  return svm.state === 'ACTIVE' && svm.esm !== null && svm.esm.stage !== 'done' && !svm.esm.fixed.has(gfn);
}

/**
 * A frame that was measured and has lost its contents since: its slot was taken away and put back. Undefined if there
 * is none. What is paged out is safe, for only the same contents come back.
 */
export function lostFrame(svm: Svm, { fixed }: Esm): Gfn | undefined {
  for (const [gfn, given] of fixed) {
    const page = pageAt(svm, gfn);
    if (page === undefined || !('given' in page) || page.given !== given) return gfn;
  }
  return undefined;
}
