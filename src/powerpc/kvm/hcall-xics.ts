import { H_CODE, SPR } from '../abi.ts';
import type { HcallHandler } from './hcall-types.ts';
import { accept, endOfInterrupt, setCppr, setMfrr, xirr } from './xics.ts';

const BYTE = 0xffn;
const WORD = 0xffffffffn;

/** H_EOI: R4 XIRR as H_XIRR gave it. */
export const hEoi: HcallHandler = ({ vm, vcpu, args: [value] }) => {
  endOfInterrupt(vm.xics, vcpu.id, Number(value & WORD));
  return H_CODE.H_SUCCESS;
};

/** H_CPPR: R4 priority of the calling processor. */
export const hCppr: HcallHandler = ({ vm, vcpu, args: [cppr] }) => {
  setCppr(vm.xics, vcpu.id, Number(cppr & BYTE));
  return H_CODE.H_SUCCESS;
};

/** H_IPI: R4 interrupt server, R5 priority. */
export const hIpi: HcallHandler = ({ vm, args: [server, mfrr] }) => {
  const target = vm.vcpus.find(({ id }) => BigInt(id) === server);
  if (target === undefined) return H_CODE.H_PARAMETER;
  setMfrr(vm.xics, target.id, Number(mfrr & BYTE));
  return H_CODE.H_SUCCESS;
};

/** H_IPOLL: R4 interrupt server; gives its XIRR and MFRR, and changes nothing. */
export const hIpoll: HcallHandler = ({ vm, args: [server] }) => {
  const target = vm.vcpus.find(({ id }) => BigInt(id) === server);
  if (target === undefined) return H_CODE.H_PARAMETER;
  const { mfrr } = vm.xics.presentations[target.id];
  return { status: H_CODE.H_SUCCESS, out: [BigInt(xirr(vm.xics, target.id)), BigInt(mfrr)] };
};

/** H_XIRR: accepts the interrupt that is presented. */
export const hXirr: HcallHandler = ({ vm, vcpu }) => {
  return { status: H_CODE.H_SUCCESS, out: [BigInt(accept(vm.xics, vcpu.id))] };
};

/** H_XIRR_X: as H_XIRR, and the time base. QEMU, which this follows, does not look at R4. */
export const hXirrX: HcallHandler = ({ ctx, vm, vcpu }) => {
  return { status: H_CODE.H_SUCCESS, out: [BigInt(accept(vm.xics, vcpu.id)), ctx.port.spr(SPR.TB)] };
};
