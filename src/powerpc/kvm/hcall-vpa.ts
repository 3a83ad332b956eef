import { H_REGISTER_VPA_FUNCTION as FUNCTION, gfnOf, guestPhysical, H_CODE } from '../abi.ts';
import { gfnState } from './gfn.ts';
import { GuestFault, type GuestMemory } from './guest-memory.ts';
import type { HcallHandler, HcallRequest } from './hcall-types.ts';
import { frameOf } from './memslot.ts';
import type { RegisteredArea, Vcpu, Vm } from './vm.ts';

/** Layout of a VPA: its size (16 bits) and that of the two others (32 bits), a flags byte, the yield count (power-pef.md 9.5). */
const SIZE_OFFSET = 4;
const FLAGS_OFFSET = 9;
const SHARED_PROCESSOR = 2;
const YIELD_COUNT_OFFSET = 0x100;
const VPA_MIN_SIZE = 640;
const DTL_ENTRY = 48;
const SLB_SHADOW_MIN_SIZE = 8;
const CACHE_LINE = 128n;
const PAGE_4K = 4096n;

type Area = 'vpa' | 'dtl' | 'slbShadow';

/**
 * H_REGISTER_VPA: areas that vCPU and hypervisor share. The page is pinned as long as it is registered. A secure guest has to have shared it
 * before, else H_PARAMETER (power-pef.md 9.4, 9.5).
 */
export const hRegisterVpa: HcallHandler = (request) => {
  const { vm, args } = request;
  const [flags, server, address] = args;
  const vcpu = vm.vcpus.find(({ id }) => BigInt(id) === server);
  if (vcpu === undefined) return H_CODE.H_PARAMETER;
  switch ((flags >> FUNCTION.SHIFT) & FUNCTION.MASK) {
    case FUNCTION.REGISTER_VPA:
      return registerVpa(request, vcpu, address);
    case FUNCTION.REGISTER_DTL:
      return registerOther(request, vcpu, 'dtl', address, DTL_ENTRY);
    case FUNCTION.REGISTER_SLB:
      return registerOther(request, vcpu, 'slbShadow', address, SLB_SHADOW_MIN_SIZE);
    case FUNCTION.DEREGISTER_VPA:
      if (vcpu.dtl !== null || vcpu.slbShadow !== null) return H_CODE.H_RESOURCE;
      return replace(vm, vcpu, 'vpa', null);
    case FUNCTION.DEREGISTER_DTL:
      return replace(vm, vcpu, 'dtl', null);
    case FUNCTION.DEREGISTER_SLB:
      return replace(vm, vcpu, 'slbShadow', null);
    default:
      return H_CODE.H_PARAMETER;
  }
};

/** Counts a dispatch or a preemption in the vCPU's VPA: the count is even while the vCPU runs. */
export function countYield(memory: GuestMemory, vm: Vm, vcpu: Vcpu): void {
  if (vcpu.vpa === null || vm.end !== null) return;
  const at = vcpu.vpa.gpa + YIELD_COUNT_OFFSET;
  try {
    memory.writeU32(vm, at, (memory.readU32(vm, at) + 1) >>> 0);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
  }
}

/** The yield count of a vCPU's VPA; undefined if it has none that can be read. */
export function readYieldCount(memory: GuestMemory, vm: Vm, vcpu: Vcpu): bigint | undefined {
  if (vcpu.vpa === null) return undefined;
  try {
    return BigInt(memory.readU32(vm, vcpu.vpa.gpa + YIELD_COUNT_OFFSET));
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    return undefined;
  }
}

function registerVpa({ ctx, vm }: HcallRequest, vcpu: Vcpu, address: bigint): number {
  if (!usableAddress(vm, address)) return H_CODE.H_PARAMETER;
  const { memory } = ctx.kvm;
  const size = memory.readU32(vm, address + BigInt(SIZE_OFFSET)) >>> 16;
  if (size < VPA_MIN_SIZE || address / PAGE_4K !== (address + BigInt(size) - 1n) / PAGE_4K) return H_CODE.H_PARAMETER;
  memory.probe(vm, address, size);
  const [flags] = memory.read(vm, address + BigInt(FLAGS_OFFSET), 1);
  memory.write(vm, address + BigInt(FLAGS_OFFSET), Uint8Array.of(flags | SHARED_PROCESSOR));
  memory.writeU32(vm, address + BigInt(YIELD_COUNT_OFFSET), 1);
  return replace(vm, vcpu, 'vpa', { gpa: Number(address), length: size });
}

function registerOther(
  { ctx, vm }: HcallRequest,
  vcpu: Vcpu,
  area: 'dtl' | 'slbShadow',
  address: bigint,
  minimum: number,
): number {
  if (!usableAddress(vm, address)) return H_CODE.H_PARAMETER;
  const length = ctx.kvm.memory.readU32(vm, address + BigInt(SIZE_OFFSET));
  if (length < minimum) return H_CODE.H_PARAMETER;
  if (area === 'slbShadow' && address / PAGE_4K !== (address + BigInt(length) - 1n) / PAGE_4K)
    return H_CODE.H_PARAMETER;
  if (vcpu.vpa === null) return H_CODE.H_RESOURCE;
  return replace(vm, vcpu, area, { gpa: Number(address), length });
}

/** Of a secure guest only what it shared will do: what would be written to any other page would cost the guest that page. */
function usableAddress(vm: Vm, address: bigint): boolean {
  const gpa = guestPhysical(address);
  if (gpa === undefined || address === 0n || address % CACHE_LINE !== 0n) return false;
  const frame = frameOf(vm.slots, gfnOf(gpa));
  return vm.secureGuest === 0 || frame === undefined || gfnState(frame.slot.pfns[frame.index]) === 'shared';
}

function replace(vm: Vm, vcpu: Vcpu, area: Area, next: RegisteredArea | null): number {
  const old = vcpu[area];
  if (old !== null) pin(vm, old, -1);
  if (next !== null) pin(vm, next, 1);
  vcpu[area] = next;
  return H_CODE.H_SUCCESS;
}

/** The first frame of the area stands for all: hypervisor code reads no further than a VPA, which does not cross pages. */
function pin(vm: Vm, area: RegisteredArea, by: 1 | -1): void {
  const gpa = guestPhysical(area.gpa);
  if (gpa === undefined) return;
  const gfn = gfnOf(gpa);
  const pins = (vm.pins.get(gfn) ?? 0) + by;
  if (pins > 0) vm.pins.set(gfn, pins);
  else vm.pins.delete(gfn);
}
