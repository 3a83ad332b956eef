import { H_CODE, MSR, SPR } from '../abi.ts';
import type { HcallHandler } from './hcall-types.ts';
import { readYieldCount } from './hcall-vpa.ts';
import { hasExternal } from './xics.ts';

/** A target of H_CONFER: whoever else is ready. */
const ANY_VCPU = 0xffffffffffffffffn;
/** Targets of H_SIGNAL_SYS_RESET. */
const ALL_VCPUS = -1n;
const OTHER_VCPUS = -2n;

/** H_CEDE: sleeps with external interrupts enabled, until the decrementer, an interrupt or H_PROD (power-pef.md 9.5). */
export const hCede: HcallHandler = ({ ctx, vm, vcpu, exit: { context } }) => {
  // What an SVM goes on with is the Ultravisor's, which does the same; here it says that an interrupt may be injected.
  context.msr |= MSR.EE;
  const left = BigInt.asIntN(64, ctx.port.spr(SPR.DEC));
  if (vcpu.prodded) vcpu.prodded = false;
  else if (left >= 0n && !vcpu.systemReset && !hasExternal(vm.xics, vcpu.id)) vcpu.state = 'ceded';
  return H_CODE.H_SUCCESS;
};

/** H_PROD: wakes a vCPU that ceded, or lets its next H_CEDE return at once. */
export const hProd: HcallHandler = ({ vm, args: [target] }) => {
  const vcpu = vm.vcpus.find(({ id }) => BigInt(id) === target);
  if (vcpu === undefined) return H_CODE.H_PARAMETER;
  vcpu.prodded = true;
  vcpu.kicked = true;
  return H_CODE.H_SUCCESS;
};

/**
 * H_CONFER: gives up the rest of the time slice; to a single vCPU only while that one does not run and was not dispatched since the caller
 * looked (R5 is its yield count). A vCPU that confers to itself sleeps until H_PROD (PAPR; QEMU's h_confer).
 */
export const hConfer: HcallHandler = ({ ctx, vm, vcpu, exit, args: [target, yieldCount] }) => {
  if (target === ANY_VCPU) {
    exit.yields = true;
    return H_CODE.H_SUCCESS;
  }
  const to = vm.vcpus.find(({ id }) => BigInt(id) === target);
  if (to === undefined) return H_CODE.H_PARAMETER;
  if (to === vcpu) {
    if (vcpu.prodded) vcpu.prodded = false;
    else vcpu.state = 'conferred';
    return H_CODE.H_SUCCESS;
  }
  const count = BigInt.asUintN(32, yieldCount);
  if ((count & 1n) !== 0n && readYieldCount(ctx.kvm.memory, vm, to) === count) exit.yields = true;
  return H_CODE.H_SUCCESS;
};

/** H_SIGNAL_SYS_RESET: R4 is a vCPU, −1 for all or −2 for all others; a stopped one gets nothing (power-pef.md 9.5). */
export const hSignalSysReset: HcallHandler = ({ vm, vcpu, args: [target] }) => {
  const signed = BigInt.asIntN(64, target);
  const targets = vm.vcpus.filter(({ id }) => {
    if (signed === ALL_VCPUS) return true;
    return signed === OTHER_VCPUS ? id !== vcpu.id : BigInt(id) === signed;
  });
  if (targets.length === 0 && signed !== OTHER_VCPUS) return H_CODE.H_PARAMETER;
  for (const to of targets) {
    if (to.state === 'stopped') continue;
    to.systemReset = true;
    to.kicked = true;
  }
  return H_CODE.H_SUCCESS;
};

/** H_RANDOM: 64 bits from the hypervisor's source. A secure guest's call never gets here (power-pef.md 1.10). */
export const hRandom: HcallHandler = ({ ctx }) => {
  const bytes = ctx.kvm.random(8);
  return { status: H_CODE.H_SUCCESS, out: [new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)] };
};
