import { H_CODE, MSR, SPR } from '../abi.ts';
import type { HcallHandler } from './hcall-types.ts';

/** A target of H_CONFER: whoever else is ready. */
const ANY_VCPU = 0xffffffffffffffffn;

/** H_CEDE: sleeps with external interrupts enabled, until the decrementer, an interrupt or H_PROD (power-pef.md 9.5). */
export const hCede: HcallHandler = ({ ctx, vcpu, exit: { context } }) => {
  // The Ultravisor enables a secure guest's interrupts itself, in a state that we do not see.
  if (!context.secure) context.msr |= MSR.EE;
  const left = BigInt.asIntN(64, ctx.port.spr(SPR.DEC));
  if (vcpu.prodded || left < 0n) vcpu.prodded = false;
  else vcpu.state = 'ceded';
  return H_CODE.H_SUCCESS;
};

/** H_PROD: wakes a vCPU that ceded, or lets its next H_CEDE return at once. */
export const hProd: HcallHandler = ({ vm, args: [target] }) => {
  const vcpu = vm.vcpus.find(({ id }) => BigInt(id) === target);
  if (vcpu === undefined) return H_CODE.H_PARAMETER;
  vcpu.prodded = true;
  return H_CODE.H_SUCCESS;
};

/** H_CONFER: gives up the rest of the time slice. */
export const hConfer: HcallHandler = ({ vm, exit, args: [target] }) => {
  if (target !== ANY_VCPU && !vm.vcpus.some(({ id }) => BigInt(id) === target)) return H_CODE.H_PARAMETER;
  exit.yields = true;
  return H_CODE.H_SUCCESS;
};

/** H_RANDOM: 64 bits from the hypervisor's source. A secure guest's call never gets here (power-pef.md 1.10). */
export const hRandom: HcallHandler = ({ ctx }) => {
  const bytes = ctx.kvm.random(8);
  return { status: H_CODE.H_SUCCESS, out: [new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)] };
};
