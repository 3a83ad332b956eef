import type { RealAddress } from '../../machine/types.ts';
import {
  GFN_LIFE_CYCLE,
  type GfnEvent,
  gfnState,
  isUvmem,
  KVMPPC_GFN_MEM_PFN,
  KVMPPC_GFN_SHARED,
  KVMPPC_GFN_UVMEM_PFN,
  uvmemPfn,
} from './gfn.ts';
import { type Frame, framePage, NO_PAGE } from './memslot.ts';
import type { KvmState } from './state.ts';

/** The frame is Secure and paged in now. Its normal page goes back to the allocator, with what it held. */
export function secureFrame(kvm: KvmState, frame: Frame, event: 'unshare' | 'init-done', uvmem: number): void {
  const page = framePage(frame);
  setPfn(frame, event, KVMPPC_GFN_UVMEM_PFN | BigInt(uvmem));
  frame.slot.pages[frame.index] = NO_PAGE;
  if (page !== undefined) kvm.pages.free(page);
}

/** The frame is Secure and its ciphertext is in `page` now. */
export function pagedOutFrame(kvm: KvmState, frame: Frame, page: RealAddress): void {
  leaveUvmem(kvm, frame);
  frame.slot.pfns[frame.index] = KVMPPC_GFN_MEM_PFN;
  frame.slot.pages[frame.index] = page;
}

/** The frame is Shared and its plaintext is in `page` now. */
export function sharedFrame(kvm: KvmState, frame: Frame, page: RealAddress): void {
  leaveUvmem(kvm, frame);
  setPfn(frame, 'share', KVMPPC_GFN_SHARED);
  frame.slot.pages[frame.index] = page;
}

/**
 * The frame is Normal now. One that was Secure has `page`, in plain, or zeros: what is in a Normal frame is never encrypted (seed 000, 1), so
 * ciphertext is dropped.
 */
export function normalFrame(kvm: KvmState, frame: Frame, page: RealAddress | undefined): void {
  if (gfnState(frame.slot.pfns[frame.index]) === 'secure') {
    const ciphertext = framePage(frame);
    leaveUvmem(kvm, frame);
    frame.slot.pages[frame.index] = page ?? NO_PAGE;
    if (ciphertext !== undefined && ciphertext !== page) kvm.pages.free(ciphertext);
  }
  setPfn(frame, 'abort-or-terminate', 0n);
}

function leaveUvmem(kvm: KvmState, { slot, index }: Frame): void {
  if (isUvmem(slot.pfns[index])) kvm.uvmem.release(uvmemPfn(slot.pfns[index]));
}

function setPfn({ slot, index }: Frame, event: GfnEvent, pfn: bigint): void {
  const from = gfnState(slot.pfns[index]);
  const to = gfnState(pfn);
  if (GFN_LIFE_CYCLE[from][event] !== to) throw new Error(`${event} takes no frame from ${from} to ${to}`);
  slot.pfns[index] = pfn;
}
