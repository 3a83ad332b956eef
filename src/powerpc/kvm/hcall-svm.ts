import { type Gfn, gfnOf, guestPhysical, H_CODE, H_PAGE_IN_SHARED, UV_PAGE_ORDER, UV_PAGE_SIZE } from '../abi.ts';
import type { HcallHandler, HcallRequest } from './hcall-types.ts';
import { frameOf } from './memslot.ts';

/**
 * The hypercalls that only the Ultravisor makes. All but H_SVM_INIT_ABORT come with SRR1[S] set, which no guest can forge; without it they
 * are refused (power-pef.md 4.1).
 */
export const hSvmInitStart = fromUltravisor(({ vm }) => ({
  job: { kind: 'init-start', lpid: vm.lpid, step: 'start', slot: 0 },
}));

export const hSvmInitDone = fromUltravisor(({ vm }) => ({ job: { kind: 'init-done', lpid: vm.lpid } }));

export const hSvmInitAbort: HcallHandler = ({ vm }) => ({
  job: { kind: 'init-abort', lpid: vm.lpid, step: 'start', slot: 0, index: 0, page: null },
});

export const hSvmPageIn = fromUltravisor((request) => {
  const [, flags] = request.args;
  const gfn = frameArgument(request, H_PAGE_IN_SHARED);
  if (typeof gfn !== 'object') return gfn;
  const { lpid } = request.vm;
  if ((flags & H_PAGE_IN_SHARED) !== 0n) {
    return { job: { kind: 'share-page', lpid, gfn: gfn.gfn, page: null, fresh: false } };
  }
  return { job: { kind: 'page-in', lpid, gfn: gfn.gfn, uvmem: null } };
});

export const hSvmPageOut = fromUltravisor((request) => {
  const gfn = frameArgument(request, 0n);
  if (typeof gfn !== 'object') return gfn;
  return { job: { kind: 'page-out', lpid: request.vm.lpid, gfn: gfn.gfn, page: null } };
});

function fromUltravisor(handler: HcallHandler): HcallHandler {
  return (request) => (request.exit.info.secure ? handler(request) : H_CODE.H_UNSUPPORTED);
}

/** The frame that guest_pa, flags and order name, or the status that refuses them, in KVM's order of checks (power-pef.md 4.5, 4.6). */
function frameArgument({ vm, args: [address, flags, order] }: HcallRequest, known: bigint): number | { gfn: Gfn } {
  if (vm.secureGuest === 0) return H_CODE.H_UNSUPPORTED;
  if (order !== BigInt(UV_PAGE_ORDER)) return H_CODE.H_P3;
  if ((flags & ~known) !== 0n) return H_CODE.H_P2;
  const gpa = guestPhysical(address);
  if (gpa === undefined || gpa % UV_PAGE_SIZE !== 0) return H_CODE.H_PARAMETER;
  const gfn = gfnOf(gpa);
  return frameOf(vm.slots, gfn) === undefined ? H_CODE.H_PARAMETER : { gfn };
}
