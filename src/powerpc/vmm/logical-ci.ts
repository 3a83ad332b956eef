import { H_CODE } from '../abi.ts';
import type { GuestMemory } from '../kvm/guest-memory.ts';
import type { HypercallResult, UserHypercall } from '../kvm/user-space.ts';

const SIZES: readonly bigint[] = [1n, 2n, 4n, 8n];

/**
 * H_LOGICAL_CI_LOAD: R4 size, R5 address; the value, zero-extended, goes to R4 (power-pef.md 9.5). There is no device: what is not memory is
 * refused.
 */
export function logicalCiLoad(memory: GuestMemory, { vm, args: [size, address] }: UserHypercall): HypercallResult {
  if (!SIZES.includes(size)) return { status: H_CODE.H_PARAMETER };
  const bytes = memory.read(vm, address, Number(size));
  const value = bytes.reduce((high, byte) => (high << 8n) | BigInt(byte), 0n);
  return { status: H_CODE.H_SUCCESS, out: [value] };
}

/** H_LOGICAL_CI_STORE: R4 size, R5 address, R6 value. */
export function logicalCiStore(
  memory: GuestMemory,
  { vm, args: [size, address, value] }: UserHypercall,
): HypercallResult {
  if (!SIZES.includes(size)) return { status: H_CODE.H_PARAMETER };
  const bytes = new Uint8Array(Number(size));
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number((value >> BigInt(8 * (bytes.length - 1 - i))) & 0xffn);
  memory.write(vm, address, bytes);
  return { status: H_CODE.H_SUCCESS };
}
