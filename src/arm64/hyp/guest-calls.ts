import { ARM_PAGE_SIZE, EC, ERRNO, ESR, FSC } from '../abi.ts';
import type { HypVcpu } from './hyp-vm.ts';
import type { MemProtect } from './mem-protect.ts';
import { CONTEXT_REGISTERS } from './vcpu-state.ts';
import { RESET_PSTATE, RESET_SCTLR } from './vm-table.ts';

/** Whether a call of a guest's is done, or goes to the host. */
export type CallOutcome = 'handled' | 'host';

const signed = (value: number): bigint => BigInt.asUintN(64, BigInt(value));
const INVALID_PARAMETER = signed(-3);
const NOT_SUPPORTED = signed(-1);

/** What the hyp answers itself: functions 0, 2, 3 and 4 of the vendor's range (5.2). */
const FEATURES = 0x1dn;
const UID = [0xb66fb428n, 0xe911c52en, 0x564bcaa9n, 0x743a004dn] as const;
const PSCI_VERSION_1_1 = 0x10001n;
const SMCCC_VERSION_1_1 = 0x10001n;

type Handler = (vcpu: HypVcpu, protect: MemProtect) => CallOutcome;

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
const share: Handler = (vcpu, protect) => {
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

const unshare: Handler = (vcpu, protect) => {
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

const CALLS: ReadonlyMap<bigint, Handler> = new Map<bigint, Handler>([
  [0x8600_0000n, (vcpu) => answer(vcpu, FEATURES)],
  [0x8600_ff01n, (vcpu) => answer(vcpu, ...UID)],
  [0xc600_0002n, (vcpu) => answer(vcpu, [1, 2, 3].every((n) => vcpu.context.x(n) === 0n) ? 4096n : INVALID_PARAMETER)],
  [0xc600_0003n, share],
  [0xc600_0004n, unshare],
  [0x8000_0000n, (vcpu) => answer(vcpu, SMCCC_VERSION_1_1)],
  // The CPU needs none of the workarounds.
  [0x8000_8000n, (vcpu) => answer(vcpu, 0n)],
  [0x8000_7fffn, (vcpu) => answer(vcpu, 0n)],
  [0x8000_3fffn, (vcpu) => answer(vcpu, 0n)],
  [0x8400_0000n, (vcpu) => answer(vcpu, PSCI_VERSION_1_1)],
  [0x8400_0001n, toHost],
  [0xc400_0001n, toHost],
  [
    0x8400_0002n,
    (vcpu) => {
      vcpu.power = 'off';
      return 'host';
    },
  ],
  [0xc400_0003n, cpuOn],
  [0xc400_0004n, affinityInfo],
  [0x8400_0006n, (vcpu) => answer(vcpu, 2n)],
  [0x8400_0008n, toHost],
  [0x8400_0009n, toHost],
  [0xc400_0012n, toHost],
  [0x8400_000an, (vcpu) => answer(vcpu, CALLS.has(vcpu.context.x(1)) ? 0n : NOT_SUPPORTED)],
]);

/** A call of a protected guest's by HVC (5.2, 5.6). What has no row is not supported: the host is not asked, for it could make up an answer. */
export function guestCall(vcpu: HypVcpu, protect: MemProtect): CallOutcome {
  const handler = CALLS.get(vcpu.context.x(0) & ~(1n << 16n));
  return handler === undefined ? answer(vcpu, NOT_SUPPORTED) : handler(vcpu, protect);
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
