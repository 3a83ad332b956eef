import { H_CODE } from '../abi.ts';
import type { GuestMemory } from '../kvm/guest-memory.ts';
import type { HypercallResult, UserHypercall } from '../kvm/user-space.ts';
import type { Phb } from './phb.ts';

/** What is mapped beside memory. */
type Devices = Pick<Phb, 'load' | 'store'>;

const SIZES: readonly bigint[] = [1n, 2n, 4n, 8n];

/**
 * H_LOGICAL_CI_LOAD: R4 size, R5 address; the value, zero-extended, goes to R4 (power-pef.md 9.5): of a device, or of
 * memory. Bytes are taken as big-endian, whatever they are of.
 */
export function logicalCiLoad(
  memory: GuestMemory,
  devices: Devices | null,
  { vm, args: [size, address] }: UserHypercall,
): HypercallResult {
  if (!SIZES.includes(size)) return { status: H_CODE.H_PARAMETER };
  const bytes = devices?.load(Number(address), Number(size)) ?? memory.read(vm, address, Number(size));
  const value = bytes.reduce((high, byte) => (high << 8n) | BigInt(byte), 0n);
  return { status: H_CODE.H_SUCCESS, out: [value] };
}

/** H_LOGICAL_CI_STORE: R4 size, R5 address, R6 value. */
export function logicalCiStore(
  memory: GuestMemory,
  devices: Devices | null,
  { vm, args: [size, address, value] }: UserHypercall,
): HypercallResult {
  if (!SIZES.includes(size)) return { status: H_CODE.H_PARAMETER };
  const bytes = new Uint8Array(Number(size));
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number((value >> BigInt(8 * (bytes.length - 1 - i))) & 0xffn);
  if (devices?.store(Number(address), bytes) !== true) memory.write(vm, address, bytes);
  return { status: H_CODE.H_SUCCESS };
}
