import {
  EC,
  ERRNO,
  type Errno,
  ESR,
  FSC,
  HCR,
  HOST_CALL,
  HOST_VCPU,
  HYPERCALL,
  HYPERCALL_612,
  HYPERCALL_WINDOW,
  HYPERCALL_WINDOW_612,
  type HypercallName,
  ipaOfHpfar,
  type PkvmProfile,
} from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { HypVcpu } from './hyp-vm.ts';
import { guestStateOf, type PageRange, pageRange } from './ownership.ts';
import { leafAt } from './pgtable-walk.ts';
import type { Pkvm } from './pkvm.ts';
import { LAST_LEVEL } from './stage2-format.ts';

/** A hypercall of the host's at hand. */
export interface HostCall {
  readonly port: RegisterPort;
  /** null before `__pkvm_init`. */
  readonly pkvm: Pkvm | null;
}

/** A hypercall with everything that handlers behind `__pkvm_init` need: arguments are x1, x2 and so on. */
interface Call {
  readonly port: RegisterPort;
  readonly pkvm: Pkvm;
  readonly args: readonly [bigint, bigint, bigint, bigint];
}

/** What becomes x1; nothing for calls that return nothing. */
export type CallResult = bigint | number | undefined;
type Handler = (call: Call) => CallResult;

const PAGE = 4096;

/** One page that the host named by its frame. */
function onPage(pfn: bigint, then: (range: PageRange) => Errno): Errno {
  const range = pageRange(pfn, 1n);
  return range === null ? ERRNO.EINVAL : then(range);
}

/** An intermediate address; what is beyond any table is refused there (−ERANGE), so that a wide frame number cannot come round. */
const ipaOf = (gfn: bigint): number => Number(gfn) * PAGE;

const count32 = (value: bigint): number => (value > 0xffffffffn ? 0 : Number(value));

/** The vCPU that is loaded here, of a VM of the kind that the call is for. */
function loaded({ port, pkvm }: Call, isProtected: boolean): HypVcpu | null {
  const vcpu = pkvm.vms.loadedOn(port.cpu);
  return vcpu !== undefined && vcpu.vm.isProtected === isProtected ? vcpu : null;
}

/** A VM that is not protected, by handle. */
function plainVm({ pkvm, args }: Call) {
  const vm = pkvm.vms.find(args[0]);
  return vm === undefined || vm.isProtected ? null : vm;
}

/** #20: whether the last fault was on a page that was taken away. The address is the hyp's own record, so that the host cannot try others (10.3 #48). */
function poisonFault({ vm, state }: HypVcpu): Errno | 1 {
  const esr = state.get('esr');
  const ec = Number(esr >> ESR.ecShift);
  const abort = ec === EC.instructionAbortLower || ec === EC.dataAbortLower;
  if (!abort || (esr & 0x3cn) !== BigInt(FSC.translation)) return ERRNO.EINVAL;
  const found = leafAt(vm.table, ipaOfHpfar(state.get('hpfar')));
  if (found === ERRNO.ERANGE || found.level !== LAST_LEVEL) return ERRNO.EINVAL;
  return guestStateOf(found.pte) === 'poison' ? 1 : 0;
}

const refill = ({ pkvm }: Call, vcpu: HypVcpu): Errno =>
  vcpu.memcache.refill(pkvm.donation, vcpu.host + HOST_VCPU.memcache);

/** Calls on memory and VMs (4.3, 29 to 49): each checks what the door must, then makes a transition or a step of a VM's life. */
export const MEMORY_CALLS: Partial<Readonly<Record<HypercallName, Handler>>> = {
  __pkvm_host_share_hyp: ({ pkvm, args: [pfn] }) => onPage(pfn, (range) => pkvm.protect.hostShareHyp(range)),
  __pkvm_host_unshare_hyp: ({ pkvm, args: [pfn] }) => onPage(pfn, (range) => pkvm.protect.hostUnshareHyp(range)),
  __pkvm_host_donate_guest: (call) => {
    const vcpu = loaded(call, true);
    const [pfn, gfn] = call.args;
    if (vcpu === null) return ERRNO.EINVAL;
    const { protect } = call.pkvm;
    return (
      refill(call, vcpu) ||
      onPage(pfn, ({ start }) => protect.hostDonateGuest(start, vcpu.vm, ipaOf(gfn), vcpu.memcache))
    );
  },
  __pkvm_host_share_guest: (call) => {
    const vcpu = loaded(call, false);
    const [pfn, gfn, count, prot] = call.args;
    if (vcpu === null) return ERRNO.EINVAL;
    const error = refill(call, vcpu);
    if (error !== 0) return error;
    const range = pageRange(pfn, count);
    return range === null
      ? ERRNO.EINVAL
      : call.pkvm.protect.hostShareGuest(range, vcpu.vm, ipaOf(gfn), prot, vcpu.memcache);
  },
  __pkvm_host_unshare_guest: (call) => {
    const vm = plainVm(call);
    const [, gfn, count] = call.args;
    return vm === null ? ERRNO.EINVAL : call.pkvm.protect.hostUnshareGuest(vm, ipaOf(gfn), count32(count));
  },
  __pkvm_host_relax_perms_guest: (call) => {
    const vcpu = loaded(call, false);
    const [gfn, prot] = call.args;
    return vcpu === null ? ERRNO.EINVAL : call.pkvm.protect.hostRelaxPermsGuest(vcpu.vm, ipaOf(gfn), prot);
  },
  __pkvm_host_wrprotect_guest: (call) => {
    const vm = plainVm(call);
    const [, gfn, count] = call.args;
    return vm === null ? ERRNO.EINVAL : call.pkvm.protect.hostWrprotectGuest(vm, ipaOf(gfn), count32(count));
  },
  __pkvm_host_test_clear_young_guest: (call) => {
    const vm = plainVm(call);
    const [, gfn, count, age] = call.args;
    if (vm === null) return ERRNO.EINVAL;
    return call.pkvm.protect.hostTestClearYoungGuest(vm, ipaOf(gfn), count32(count), (age & 0xffn) !== 0n);
  },
  __pkvm_host_mkyoung_guest: (call) => {
    const vcpu = loaded(call, false);
    return vcpu === null ? ERRNO.EINVAL : call.pkvm.protect.hostMkyoungGuest(vcpu.vm, ipaOf(call.args[0]));
  },
  __pkvm_reserve_vm: ({ pkvm }) => pkvm.vms.reserve(),
  __pkvm_unreserve_vm: ({ pkvm, args: [handle] }) => {
    pkvm.vms.unreserve(handle);
    return undefined;
  },
  __pkvm_init_vm: ({ pkvm, args: [hostKvm, vm, root] }) => pkvm.vms.create(hostKvm, vm, root),
  __pkvm_init_vcpu: ({ pkvm, args: [handle, hostVcpu, vcpu] }) => pkvm.vms.createVcpu(handle, hostVcpu, vcpu),
  __pkvm_force_reclaim_guest_page: ({ pkvm, args: [physical] }) =>
    onPage(physical / BigInt(PAGE), ({ start }) => pkvm.protect.forceReclaimGuestPage(start)),
  __pkvm_reclaim_dying_guest_page: ({ pkvm, args: [handle, gfn] }) => {
    const vm = pkvm.vms.find(handle);
    if (vm === undefined || !vm.isDying || !vm.isProtected) return ERRNO.EINVAL;
    return pkvm.protect.reclaimDyingGuestPage(vm, ipaOf(gfn));
  },
  __pkvm_start_teardown_vm: ({ pkvm, args: [handle] }) => pkvm.vms.startTeardown(handle),
  __pkvm_finalize_teardown_vm: ({ pkvm, args: [handle] }) => pkvm.vms.finalizeTeardown(handle),
  // Failures are silent (1.4): the run that follows finds nothing loaded.
  __pkvm_vcpu_load: ({ pkvm, port, args: [handle, index, hcr] }) => {
    const vcpu = pkvm.vms.load(port.cpu, handle, index);
    vcpu?.state.set('hcr', hcr & (HCR.TWI | HCR.TWE));
    return undefined;
  },
  __pkvm_vcpu_in_poison_fault: ({ pkvm, port }) => {
    const vcpu = pkvm.vms.loadedOn(port.cpu);
    return vcpu === undefined ? ERRNO.EINVAL : poisonFault(vcpu);
  },
  __pkvm_vcpu_put: ({ pkvm, port }) => {
    pkvm.vms.put(port.cpu);
    return undefined;
  },
  __pkvm_tlb_flush_vmid: (call) => {
    if (plainVm(call) !== null) call.port.invalidateTranslations();
    return undefined;
  },
};

/** Calls that any nVHE host may make (4.3, up to 28). Translations are flushed whole: that is more than each of the calls asks for. */
export const PLAIN_CALLS: Partial<
  Readonly<Record<HypercallName, (port: RegisterPort, argument: bigint) => CallResult>>
> = {
  __kvm_flush_vm_context: (port) => flush(port),
  __kvm_tlb_flush_vmid_ipa: (port) => flush(port),
  __kvm_tlb_flush_vmid_ipa_nsh: (port) => flush(port),
  __kvm_tlb_flush_vmid: (port) => flush(port),
  __kvm_tlb_flush_vmid_range: (port) => flush(port),
  __kvm_flush_cpu_context: (port) => flush(port),
  __kvm_timer_set_cntvoff: (port, offset) => {
    port.setRegister('CNTVOFF_EL2', offset);
    return undefined;
  },
  __vgic_v3_init_lrs: (port) => {
    for (let n = 0; n < 4; n++) port.setRegister(`ICH_LR${n}_EL2`, 0n);
    return undefined;
  },
  // Bit 63, which says that GICv2 compatibility is possible, is clear: ICC_SRE is fixed here.
  __vgic_v3_get_gic_config: (port) => port.register('ICH_VTR_EL2'),
  // The PE has no FEAT_SSBS, so that there is nothing to enable.
  __kvm_enable_ssbs: () => undefined,
};

function flush(port: RegisterPort): undefined {
  port.invalidateTranslations();
  return undefined;
}

/** Numbers and windows of a profile (4.2, 4.3, 4.5). */
function doorOf(profile: PkvmProfile): {
  readonly numbers: Partial<Record<HypercallName, number>>;
  readonly window: { readonly open: readonly number[]; readonly protected: readonly number[] };
} {
  return profile === 'L'
    ? { numbers: HYPERCALL_612, window: HYPERCALL_WINDOW_612 }
    : { numbers: HYPERCALL, window: HYPERCALL_WINDOW };
}

/** Which function a host's x0 names, in a phase of the door. @returns null where the answer is "not supported" */
export class HostDoor {
  readonly #names: ReadonlyMap<number, HypercallName>;
  readonly #profile: PkvmProfile;

  constructor(profile: PkvmProfile) {
    this.#profile = profile;
    const { numbers } = doorOf(profile);
    this.#names = new Map(Object.entries(numbers).map(([name, n]) => [n, name as HypercallName]));
  }

  /** @param flipped whether the host has given up its rights */
  decode(x0: bigint, flipped: boolean): HypercallName | null {
    const n = (x0 & ~HOST_CALL.hint) - HOST_CALL.base;
    const [least, most] = doorOf(this.#profile).window[flipped ? 'protected' : 'open'] as readonly [number, number];
    if (n < BigInt(least) || n > BigInt(most)) return null;
    return this.#names.get(Number(n)) ?? null;
  }
}

/** The arguments of the call at hand. */
export function callArguments(port: RegisterPort): [bigint, bigint, bigint, bigint] {
  return [port.x(1), port.x(2), port.x(3), port.x(4)];
}
