import type { RealAddress } from '../../machine/types.ts';
import { SPR, UV_PAGE_SIZE } from '../abi.ts';
import { type Frame, framePage } from './memslot.ts';
import { takeAway } from './merged-page.ts';
import type { Candidate, PageMerging } from './merging-state.ts';
import type { Ctx, KvmState } from './state.ts';
import type { Vm } from './vm.ts';

/**
 * Kernel samepage merging as far as a hypervisor of secure VMs has to know it: when it is due, looks at the next pages of VMs that opted in,
 * and merges equal ones, copy-on-write. Only unpinned pages of Normal VMs take part. H_SVM_INIT_START turns it off for its VM for good.
 */
export function mergePages(ctx: Ctx, merging: PageMerging): void {
  const now = ctx.port.spr(SPR.TB);
  if (now < merging.due) return;
  merging.due = now + merging.options.sleepTicks;
  for (let n = 0; n < merging.options.pagesToScan; n++) {
    const candidate = nextFrame(ctx.kvm, merging);
    if (candidate === undefined) return;
    look(ctx, merging, candidate);
  }
}

/** The next frame that may be merged; undefined at the end of a pass. */
function nextFrame(kvm: KvmState, at: PageMerging): Candidate | undefined {
  const vms = [...kvm.vms.values()];
  for (; at.vm < vms.length; at.vm += 1, at.slot = 0, at.index = 0) {
    const vm = vms[at.vm];
    for (; at.slot < vm.slots.length; at.slot += 1, at.index = 0) {
      const slot = vm.slots[at.slot];
      while (at.index < slot.npages) {
        const frame = { slot, index: at.index };
        at.index += 1;
        if (mayMerge(vm, frame)) return { vm, frame };
      }
    }
  }
  Object.assign(at, { vm: 0, slot: 0, index: 0 });
  at.waiting.clear();
  return undefined;
}

function mayMerge(vm: Vm, frame: Frame): boolean {
  const { slot, index } = frame;
  if (!slot.mergeable || vm.secureGuest !== 0 || vm.end !== null) return false;
  return framePage(frame) !== undefined && !vm.pins.has(slot.baseGfn + index);
}

function look({ kvm }: Ctx, merging: PageMerging, candidate: Candidate): void {
  const page = framePage(candidate.frame);
  if (page === undefined || kvm.pages.isShared(page)) return;
  const bytes = kvm.view.read(page, UV_PAGE_SIZE);
  const checksum = checksumOf(bytes);
  const key = `${candidate.vm.lpid} ${candidate.frame.slot.id} ${candidate.frame.index}`;
  const before = merging.checksums.get(key);
  merging.checksums.set(key, checksum);
  if (before !== checksum) return;

  const merged = merging.merged.get(checksum);
  if (merged !== undefined && kvm.pages.isShared(merged)) {
    if (sameBytes(bytes, kvm.view.read(merged, UV_PAGE_SIZE))) join(kvm, candidate, merged);
    return;
  }
  const waiting = merging.waiting.get(checksum) ?? [];
  const partner = waiting.find((other) => other.frame !== candidate.frame && holds(kvm, other, bytes));
  if (partner === undefined) {
    merging.waiting.set(checksum, [...waiting, candidate]);
    return;
  }
  const shared = framePage(partner.frame);
  if (shared === undefined) return;
  merging.merged.set(checksum, shared);
  // It may be mapped for writing.
  takeAway(kvm.view, kvm.pages, partner.vm, partner.frame);
  join(kvm, candidate, shared);
}

/** Whether a frame that waited can still be merged and holds these bytes. */
function holds({ view, pages }: KvmState, { vm, frame }: Candidate, bytes: Uint8Array): boolean {
  const page = framePage(frame);
  if (page === undefined || !vm.slots.includes(frame.slot) || !mayMerge(vm, frame) || pages.isShared(page))
    return false;
  return sameBytes(bytes, view.read(page, UV_PAGE_SIZE));
}

/** The frame uses `page` from now on, and its own page is free. */
function join({ view, pages }: KvmState, { vm, frame }: Candidate, page: RealAddress): void {
  const own = framePage(frame);
  takeAway(view, pages, vm, frame);
  pages.share(page);
  frame.slot.pages[frame.index] = page;
  if (own !== undefined) pages.free(own);
}

/** FNV-1a over words; equality is decided by the bytes. */
function checksumOf(bytes: Uint8Array): number {
  const words = wordsOf(bytes);
  let sum = 0x811c9dc5;
  for (const word of words) sum = Math.imul(sum ^ word, 0x01000193);
  return sum >>> 0;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  const x = wordsOf(a);
  const y = wordsOf(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

function wordsOf(page: Uint8Array): Uint32Array {
  return new Uint32Array(page.buffer, page.byteOffset, page.length / 4);
}
