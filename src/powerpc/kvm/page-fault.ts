import { DSISR, gfnOf, guestPhysical, SPR, VECTOR } from '../abi.ts';
import { gfnState } from './gfn.ts';
import { GuestFault } from './guest-memory.ts';
import { injectInterrupt, injectNothingThere } from './interrupt.ts';
import type { ExitInfo, Job } from './job.ts';
import { frameOf } from './memslot.ts';
import { emulateMmio } from './mmio.ts';
import { mapPage } from './radix.ts';
import type { Ctx } from './state.ts';
import { endVm, type GuestContext, type Vm } from './vm.ts';

/** ASDR holds the faulting guest real address but for its low 12 bits, which KVM takes from the effective address (power-pef.md 2.5). */
const ASDR_ADDRESS = 0x0ffffffffffff000n;
const IN_PAGE = 0xfffn;
/** HSRR1 of 0xE20: the reference of the table walk that failed was a store (Linux `HSRR1_HISI_WRITE`). */
const TABLE_STORE = 0x00010000n;

/**
 * A partition-scoped fault, 0xE00 or 0xE20. A normal guest gets the page, made on first touch, or a copy of one that is merged where it stores; a secure guest's fault comes only for a
 * Shared frame without a page, or for an address in no slot (power-pef.md 6.4).
 * @returns a job whose failure ends the VM, or null when the guest can go on
 */
export function handlePageFault(ctx: Ctx, vm: Vm, context: GuestContext, info: ExitInfo): Job | null {
  const { kvm, port } = ctx;
  const fetch = info.vector === VECTOR.HV_INSTRUCTION_STORAGE;
  const cause = fetch ? info.status : info.hdsisr;
  const effective = fetch ? context.pc : info.hdar;
  const ofWalk = (cause & DSISR.PRTABLE_FAULT) !== 0n;

  if ((cause & (DSISR.UNSUPPORTED_MMU | DSISR.BAD_ACCESS)) !== 0n) {
    injectStorage(ctx, vm, context, fetch, effective, cause);
    return null;
  }
  const gpa = guestPhysical((info.asdr & ASDR_ADDRESS) | (ofWalk ? 0n : effective & IN_PAGE));
  const frame = gpa === undefined ? undefined : frameOf(vm.slots, gfnOf(gpa));
  if (gpa === undefined || frame === undefined) {
    if (ofWalk) injectStorage(ctx, vm, context, fetch, effective, cause);
    else if (gpa === undefined || fetch || context.secure || !emulateMmio(ctx, vm, context, gpa, effective))
      injectNothingThere(port, vm, context, fetch ? 'fetch' : 'data', effective);
    return null;
  }
  if (context.secure) {
    const shared = gfnState(frame.slot.pfns[frame.index]) === 'shared';
    return shared ? { kind: 'shared-fault', lpid: vm.lpid, gfn: gfnOf(gpa), page: null } : null;
  }
  // The VM is on its way to be secure, and this vCPU executed in normal state until now: it gets nothing, and does not go on.
  if (vm.secureGuest !== 0) return null;
  try {
    const store = (cause & DSISR.STORE) !== 0n || (fetch && (cause & TABLE_STORE) !== 0n);
    const own = kvm.memory.page(vm, gpa, store ? 'write' : 'read');
    const access = kvm.pages.isShared(own) ? 'read' : 'write';
    const page = kvm.hooks.pageIn?.(ctx, vm, gfnOf(gpa), own) ?? own;
    if (mapPage(vm.tree, kvm.view, kvm.pages, gpa, page, access)) return null;
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
  }
  endVm(vm, { kind: 'terminated', detail: `no host memory left for guest address 0x${gpa.toString(16)}` });
  return null;
}

/** Hands a fault that the guest brought on itself back to it. */
function injectStorage(
  { port }: Ctx,
  vm: Vm,
  context: GuestContext,
  fetch: boolean,
  effective: bigint,
  cause: bigint,
): void {
  if (fetch) {
    injectInterrupt(port, vm, context, VECTOR.INSTRUCTION_STORAGE, cause & SRR1_STORAGE);
    return;
  }
  port.setSpr(SPR.DAR, effective);
  port.setSpr(SPR.DSISR, cause);
  injectInterrupt(port, vm, context, VECTOR.DATA_STORAGE, 0n);
}

/** The bits of HSRR1 that say why an instruction could not be fetched. */
const SRR1_STORAGE =
  DSISR.NO_TRANSLATION |
  DSISR.ATTRIBUTE_CONFLICT |
  DSISR.PROTECTION |
  DSISR.UNSUPPORTED_MMU |
  DSISR.SET_RC |
  DSISR.PRTABLE_FAULT;
