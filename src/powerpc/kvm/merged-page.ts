import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { type Gfn, gpaOf, UV_PAGE_SIZE } from '../abi.ts';
import type { HostPages } from './host-pages.ts';
import { type Frame, framePage, type Memslot } from './memslot.ts';
import { unmapPage } from './radix.ts';
import type { Vm } from './vm.ts';

/**
 * Gives a frame whose page is merged with others a copy of its own, so that it can be written.
 * @returns the page that the frame has now; undefined if it needs one and host memory is used up, nothing is changed then
 */
export function ownPage(view: HostView, pages: HostPages, vm: Vm, frame: Frame): RealAddress | undefined {
  const page = framePage(frame);
  if (page === undefined || !pages.isShared(page)) return page;
  const copy = pages.allocate();
  if (copy === undefined) return undefined;
  view.write(copy, view.read(page, UV_PAGE_SIZE));
  takeAway(view, pages, vm, frame);
  frame.slot.pages[frame.index] = copy;
  pages.free(page);
  return copy;
}

/** Takes a frame's page out of the VM's tree: the frame is about to get another one. */
export function takeAway(view: HostView, pages: HostPages, vm: Vm, { slot, index }: Frame): void {
  unmapPage(vm.tree, view, gpaOf((slot.baseGfn + index) as Gfn));
  pages.stale.add(vm.lpid);
}

/**
 * Ends page merging for a slot and breaks up what was merged (MADV_UNMERGEABLE).
 * @returns false if host memory does not suffice; the slot stays mergeable then
 */
export function unmergeSlot(view: HostView, pages: HostPages, vm: Vm, slot: Memslot): boolean {
  for (let index = 0; index < slot.npages; index++) {
    const frame = { slot, index };
    if (framePage(frame) !== undefined && ownPage(view, pages, vm, frame) === undefined) return false;
  }
  slot.mergeable = false;
  return true;
}
