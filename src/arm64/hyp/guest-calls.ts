import {
  ARM_PAGE_SIZE,
  CONTEXT_REGISTERS,
  EC,
  ERRNO,
  ESR,
  FSC,
  GUEST_CALL,
  HOST_VCPU,
  PSCI,
  RESET_PSTATE,
  RESET_SCTLR,
  SMCCC_1_1,
  VENDOR_UID,
} from '../abi.ts';
import type { HypVcpu } from './hyp-vm.ts';
import type { Pkvm } from './pkvm.ts';

/** Whether a call of a guest's is done, or who is asked. */
export type CallOutcome = 'handled' | 'host' | 'firmware';

const signed = (value: number): bigint => BigInt.asUintN(64, BigInt(value));
const INVALID_PARAMETER = signed(-3);
const NOT_SUPPORTED = signed(-1);

/** What the hyp answers itself, by function of the vendor's range (5.2): 0 and 2 to 4 in 7.2, and with full isolation 5 to 9. */
const FEATURES = 0x1dn;
const FEATURES_ISOLATED = FEATURES | 0x3e0n;
const PSCI_VERSION_1_1 = 0x10001n;

type Handler = (vcpu: HypVcpu, pkvm: Pkvm) => CallOutcome;

function answer({ context }: HypVcpu, ...values: readonly bigint[]): 'handled' {
  for (let n = 0; n < 4; n++) context.setX(n, values[n] ?? 0n);
  return 'handled';
}

/** The page that x1 names, where x2 and x3 are 0 as they must be. */
function pageOf({ context }: HypVcpu): number | null {
  const ipa = context.x(1);
  const clean = context.x(2) === 0n && context.x(3) === 0n && ipa % BigInt(ARM_PAGE_SIZE) === 0n;
  return clean && ipa < 1n << 52n ? Number(ipa) : null;
}

/** MEM_SHARE: of a page that is not there yet the host sees a write fault, and the guest calls again (5.3). */
const share: Handler = (vcpu, { protect }) => {
  const ipa = pageOf(vcpu);
  if (ipa === null) return answer(vcpu, INVALID_PARAMETER);
  const error = protect.guestShareHost(vcpu.vm, ipa);
  if (error !== ERRNO.ENOENT) return answer(vcpu, error === 0 ? 0n : INVALID_PARAMETER);
  const { context, state } = vcpu;
  context.pc -= 4n;
  const lastLevel = BigInt(FSC.translation + 3);
  state.set('esr', (BigInt(EC.dataAbortLower) << ESR.ecShift) | ESR.IL | ESR.WnR | lastLevel);
  state.set('hpfar', (1n << 63n) | (BigInt(ipa) >> 8n));
  state.set('far', 0n);
  return 'host';
};

const unshare: Handler = (vcpu, { protect }) => {
  const ipa = pageOf(vcpu);
  const error = ipa === null ? ERRNO.EINVAL : protect.guestUnshareHost(vcpu.vm, ipa);
  return answer(vcpu, error === 0 ? 0n : INVALID_PARAMETER);
};

const AFFINITY = 0xff_00ff_ffffn;

/** vCPUs by the affinity that their MPIDR shows (6.7): bits of the id in levels 0 and 1. */
const mpidrOf = (id: number): bigint => BigInt((id & 0xf) | (((id >> 4) & 0xff) << 8) | (((id >> 12) & 0xff) << 16));

export function vcpuWith({ vm }: HypVcpu, mpidr: bigint): HypVcpu | undefined {
  return vm.vcpus.find((vcpu) => vcpu !== undefined && mpidrOf(vcpu.id) === mpidr);
}

/** CPU_ON: the entry stays at EL2; the host only learns whom to run (5.6). */
const cpuOn: Handler = (vcpu) => {
  const { context } = vcpu;
  const target = (context.x(1) & ~AFFINITY) === 0n ? vcpuWith(vcpu, context.x(1)) : undefined;
  if (target === undefined) return answer(vcpu, signed(-2));
  if (target.power === 'on') return answer(vcpu, signed(-4));
  if (target.power === 'on-pending') return answer(vcpu, signed(-5));
  target.power = 'on-pending';
  target.boot = { entry: context.x(2), context: context.x(3) };
  return 'host';
};

const affinityInfo: Handler = (vcpu) => {
  const { context } = vcpu;
  if (context.x(2) > 3n) return answer(vcpu, signed(-2));
  const shift = 8n * context.x(2);
  const matching = vcpu.vm.vcpus.filter(
    (other) => other !== undefined && mpidrOf(other.id) >> shift === context.x(1) >> shift,
  );
  if (matching.length === 0) return answer(vcpu, signed(-2));
  if (matching.some((other) => other?.power === 'on')) return answer(vcpu, 0n);
  return answer(vcpu, matching.some((other) => other?.power === 'on-pending') ? 2n : 1n);
};

const toHost: Handler = () => 'host';

/** MEM_RELINQUISH: the host is told, for its own books. */
const relinquish: Handler = (vcpu, { protect }) => {
  const ipa = pageOf(vcpu);
  const error = ipa === null ? ERRNO.EINVAL : protect.guestRelinquishHost(vcpu.vm, ipa);
  return error === 0 ? 'host' : answer(vcpu, INVALID_PARAMETER);
};

/** MMIO_GUARD_MAP: where table pages are missing the host lays more ready, and the guest calls again (5.4). */
const guardMap: Handler = (vcpu, { protect, donation }) => {
  const ipa = pageOf(vcpu);
  if (ipa === null || !vcpu.vm.mmioGuard) return answer(vcpu, INVALID_PARAMETER);
  vcpu.memcache.refill(donation, vcpu.host + HOST_VCPU.memcache);
  const error = protect.guestMarkDevice(vcpu.vm, ipa, vcpu.memcache);
  if (error !== ERRNO.ENOMEM) return answer(vcpu, error === 0 ? 0n : INVALID_PARAMETER);
  vcpu.context.pc -= 4n;
  return 'host';
};

const guardUnmap: Handler = (vcpu, { protect }) => {
  const ipa = pageOf(vcpu);
  const error = ipa === null ? ERRNO.EINVAL : protect.guestUnmarkDevice(vcpu.vm, ipa);
  return answer(vcpu, error === 0 ? 0n : INVALID_PARAMETER);
};

const withoutArguments =
  (value: bigint): Handler =>
  (vcpu) =>
    answer(vcpu, [1, 2, 3].every((n) => vcpu.context.x(n) === 0n) ? value : INVALID_PARAMETER);

/** What the hyp answers with memory isolation alone (profile M): everything else is the host's to answer. */
const MEMORY_CALLS: ReadonlyMap<bigint, Handler> = new Map<bigint, Handler>([
  [GUEST_CALL.KVM_FEATURES, (vcpu) => answer(vcpu, FEATURES)],
  [GUEST_CALL.HYP_MEMINFO, withoutArguments(4096n)],
  [GUEST_CALL.MEM_SHARE, share],
  [GUEST_CALL.MEM_UNSHARE, unshare],
]);

const psci = (id: number): bigint => BigInt(id);
/** Random numbers come from firmware, past the host (5.7). */
const toFirmware = (id: bigint): [bigint, Handler] => [id, () => 'firmware'];

const ISOLATED_CALLS: ReadonlyMap<bigint, Handler> = new Map<bigint, Handler>([
  ...MEMORY_CALLS,
  [GUEST_CALL.KVM_FEATURES, (vcpu) => answer(vcpu, FEATURES_ISOLATED)],
  [GUEST_CALL.CALL_UID, (vcpu) => answer(vcpu, ...VENDOR_UID)],
  [GUEST_CALL.MMIO_GUARD_INFO, withoutArguments(4096n)],
  [
    GUEST_CALL.MMIO_GUARD_ENROLL,
    (vcpu) => {
      vcpu.vm.mmioGuard = true;
      return answer(vcpu, 0n);
    },
  ],
  [GUEST_CALL.MMIO_GUARD_MAP, guardMap],
  [GUEST_CALL.MMIO_GUARD_UNMAP, guardUnmap],
  [GUEST_CALL.MEM_RELINQUISH, relinquish],
  [GUEST_CALL.SMCCC_VERSION, (vcpu) => answer(vcpu, SMCCC_1_1)],
  // The CPU needs none of the workarounds.
  [GUEST_CALL.ARCH_WORKAROUND_1, (vcpu) => answer(vcpu, 0n)],
  [GUEST_CALL.ARCH_WORKAROUND_2, (vcpu) => answer(vcpu, 0n)],
  [GUEST_CALL.ARCH_WORKAROUND_3, (vcpu) => answer(vcpu, 0n)],
  ...[GUEST_CALL.TRNG_VERSION, GUEST_CALL.TRNG_FEATURES, GUEST_CALL.TRNG_GET_UUID].map(toFirmware),
  ...[GUEST_CALL.TRNG_RND32, GUEST_CALL.TRNG_RND64].map(toFirmware),
  [psci(PSCI.VERSION), (vcpu) => answer(vcpu, PSCI_VERSION_1_1)],
  [psci(PSCI.CPU_SUSPEND_32), toHost],
  [psci(PSCI.CPU_SUSPEND_64), toHost],
  [
    psci(PSCI.CPU_OFF),
    (vcpu) => {
      vcpu.power = 'off';
      return 'host';
    },
  ],
  [psci(PSCI.CPU_ON_64), cpuOn],
  [psci(PSCI.AFFINITY_INFO_64), affinityInfo],
  [psci(PSCI.MIGRATE_INFO_TYPE), (vcpu) => answer(vcpu, 2n)],
  [psci(PSCI.SYSTEM_OFF), toHost],
  [psci(PSCI.SYSTEM_RESET), toHost],
  [psci(PSCI.SYSTEM_RESET2_64), toHost],
  [
    psci(PSCI.FEATURES),
    (vcpu) => answer(vcpu, ISOLATED_CALLS.has(vcpu.context.x(1) & 0xffffffffn) ? 0n : NOT_SUPPORTED),
  ],
]);

/** A call of a protected guest's by HVC (5.2, 5.6). With full isolation what has no row is not supported: the host is not asked, for it could make up an answer. */
export function guestCall(vcpu: HypVcpu, pkvm: Pkvm): CallOutcome {
  const id = vcpu.context.x(0) & ~(1n << 16n);
  if (pkvm.profile !== 'I') return MEMORY_CALLS.get(id)?.(vcpu, pkvm) ?? 'host';
  return ISOLATED_CALLS.get(id)?.(vcpu, pkvm) ?? answer(vcpu, NOT_SUPPORTED);
}

/** A vCPU that CPU_ON named begins: reset, with what the caller said (5.6). */
export function powerUp(vcpu: HypVcpu): void {
  const { boot, context } = vcpu;
  if (vcpu.power !== 'on-pending' || boot === null) return;
  for (let n = 0; n < 31; n++) context.setX(n, 0n);
  for (const name of CONTEXT_REGISTERS) context.setRegister(name, 0n);
  context.sp = 0n;
  context.setX(0, boot.context);
  context.pc = boot.entry;
  context.pstate = RESET_PSTATE;
  context.setRegister('SCTLR_EL1', RESET_SCTLR);
  vcpu.boot = null;
  vcpu.power = 'on';
}
