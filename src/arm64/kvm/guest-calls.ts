import {
  ARM_PAGE_SIZE,
  affinityOf,
  CONTEXT_REGISTERS,
  GUEST_CALL,
  guestCallName,
  PSCI,
  PSCI_RESULT,
  RESET_PSTATE,
  RESET_SCTLR,
  SMCCC_1_1,
  VENDOR_UID,
} from '../abi.ts';
import { kick } from './host-gic.ts';
import { callPsci, type PsciPower } from './psci.ts';
import { type Ctx, count } from './state.ts';
import { endVm, type Vcpu } from './vm.ts';

const NOT_SUPPORTED = PSCI_RESULT.NOT_SUPPORTED;
const asRegister = (value: bigint): bigint => BigInt.asUintN(64, value);

/** What KVM answers to a call by HVC; `firmware` where firmware is asked instead. */
export type CallAnswer = readonly bigint[] | 'firmware' | 'none';

const RESET_TYPES: ReadonlySet<number> = new Set([PSCI.SYSTEM_RESET, PSCI.SYSTEM_RESET2_64]);

/** Starts a vCPU at a guest's word; of an isolated one the hyp knows where. */
function start(ctx: Ctx, vcpu: Vcpu, entry: bigint, context: bigint): void {
  if (!vcpu.vm.isolated) {
    const { struct } = vcpu;
    for (let n = 0; n < 31; n++) struct.setX(n, 0n);
    for (const name of CONTEXT_REGISTERS) struct.setRegister(name, 0n);
    struct.setX(0, context);
    struct.pc = entry;
    struct.pstate = RESET_PSTATE;
    struct.setRegister('SCTLR_EL1', RESET_SCTLR);
  }
  vcpu.state = 'running';
  if (vcpu.cpu !== ctx.cpu.index) kick(ctx, vcpu.cpu);
}

function powerOf(ctx: Ctx, caller: Vcpu): PsciPower {
  const { vm } = caller;
  const at = (index: number): Vcpu => vm.vcpus[index] as Vcpu;
  return {
    find: (affinity) => {
      const index = vm.vcpus.findIndex((vcpu) => BigInt(affinityOf(vcpu.index)) === affinity);
      return index < 0 ? undefined : index;
    },
    isOn: (index) => at(index).state !== 'off',
    on: (index, entry, context) => start(ctx, at(index), entry, context),
    off: (index) => {
      at(index).state = 'off';
    },
    suspend: (index) => {
      at(index).state = 'blocked';
    },
    systemOff: () => endVm(vm, { kind: 'poweroff', detail: 'PSCI SYSTEM_OFF' }),
    systemReset: () => endVm(vm, { kind: 'stopped', detail: 'PSCI SYSTEM_RESET' }),
  };
}

/** Calls of an isolated guest that come to the host (arm64-pkvm.md 5.6, 6.6): the hyp has checked them, and keeps what they say. */
function isolatedCall(ctx: Ctx, vcpu: Vcpu, id: number): CallAnswer {
  const power = powerOf(ctx, vcpu);
  if (id === PSCI.CPU_ON_64) {
    const index = power.find(vcpu.struct.x(1));
    if (index === undefined) return [asRegister(PSCI_RESULT.INTERNAL_FAILURE)];
    power.on(index, 0n, 0n);
    return [0n];
  }
  // The hyp has undone the call: it wants more pages, and the guest calls again.
  if (BigInt(id) === GUEST_CALL.MMIO_GUARD_MAP) return 'none';
  if (BigInt(id) === GUEST_CALL.MEM_RELINQUISH) {
    const gfn = (Number(vcpu.struct.x(1)) - vcpu.vm.base) / ARM_PAGE_SIZE;
    vcpu.vm.mapped.delete(gfn);
    return [0n];
  }
  return psci(ctx, vcpu, id);
}

function psci(ctx: Ctx, vcpu: Vcpu, id: number): CallAnswer {
  const { struct } = vcpu;
  if (RESET_TYPES.has(id)) {
    powerOf(ctx, vcpu).systemReset();
    return 'none';
  }
  const result = callPsci(powerOf(ctx, vcpu), id, {
    cpu: vcpu.index,
    x1: struct.x(1),
    x2: struct.x(2),
    x3: struct.x(3),
  });
  return vcpu.state === 'off' ? 'none' : [result];
}

const PLAIN: ReadonlyMap<bigint, readonly bigint[]> = new Map<bigint, readonly bigint[]>([
  [GUEST_CALL.SMCCC_VERSION, [SMCCC_1_1]],
  // Function 0 alone: this list.
  [GUEST_CALL.KVM_FEATURES, [1n]],
  [GUEST_CALL.CALL_UID, VENDOR_UID],
  [GUEST_CALL.ARCH_WORKAROUND_1, [0n]],
  [GUEST_CALL.ARCH_WORKAROUND_2, [0n]],
  [GUEST_CALL.ARCH_WORKAROUND_3, [0n]],
]);

const FROM_FIRMWARE: ReadonlySet<bigint> = new Set([
  GUEST_CALL.TRNG_VERSION,
  GUEST_CALL.TRNG_FEATURES,
  GUEST_CALL.TRNG_GET_UUID,
  GUEST_CALL.TRNG_RND32,
  GUEST_CALL.TRNG_RND64,
]);

const isPsci = (id: number): boolean => (id & 0xbfff_ffe0) >>> 0 === 0x8400_0000;

/** A guest's call that came to the host. */
export function guestCall(ctx: Ctx, vcpu: Vcpu): CallAnswer {
  const id = Number(vcpu.struct.x(0) & 0xffff_ffffn);
  count(ctx.kvm.statistics.calls, guestCallName(id));
  if (vcpu.vm.isolated) return isolatedCall(ctx, vcpu, id);
  if (isPsci(id)) return psci(ctx, vcpu, id);
  if (FROM_FIRMWARE.has(BigInt(id))) return 'firmware';
  return PLAIN.get(BigInt(id)) ?? [asRegister(NOT_SUPPORTED)];
}
