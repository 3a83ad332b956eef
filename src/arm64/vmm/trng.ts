import { GUEST_CALL } from '../abi.ts';

/** What TRNG functions return beside success (Arm DEN0098; arm64-pkvm.md 5.7). */
const NOT_SUPPORTED = BigInt.asUintN(64, -1n);
const INVALID_PARAMETER = BigInt.asUintN(64, -2n);
const VERSION_1_0 = 0x10000n;
/** 0d21e000-4384-11eb-8070-5244554e5a4c, as four little-endian words. */
const UUID = [0x00e0210dn, 0xeb118443n, 0x44527080n, 0x4c5a4e55n] as const;

/** Functions by id, and the bits that one call can give: three registers' worth. */
const RANDOM: ReadonlyMap<bigint, { readonly width: number }> = new Map([
  [GUEST_CALL.TRNG_RND32, { width: 32 }],
  [GUEST_CALL.TRNG_RND64, { width: 64 }],
]);
const FUNCTIONS: ReadonlySet<bigint> = new Set([
  GUEST_CALL.TRNG_VERSION,
  GUEST_CALL.TRNG_FEATURES,
  GUEST_CALL.TRNG_GET_UUID,
  ...RANDOM.keys(),
]);

/**
 * Firmware's random numbers (Arm DEN0098): whoever may call firmware gets them, and nobody sees another's.
 * @returns x0 to x3; null for a call that is none of the TRNG's
 */
export function trngCall(
  id: bigint,
  registers: { x(n: number): bigint },
  entropy: (bytes: number) => Uint8Array,
): readonly bigint[] | null {
  if (!FUNCTIONS.has(id)) return null;
  if (id === GUEST_CALL.TRNG_VERSION) return [VERSION_1_0];
  if (id === GUEST_CALL.TRNG_FEATURES) return [FUNCTIONS.has(registers.x(1) & 0xffffffffn) ? 0n : NOT_SUPPORTED];
  if (id === GUEST_CALL.TRNG_GET_UUID) return [...UUID];
  const width = RANDOM.get(id)?.width ?? 0;
  const asked = registers.x(1);
  if (asked === 0n || asked > BigInt(3 * width)) return [INVALID_PARAMETER];
  return [0n, ...bitsIn(Number(asked), width, entropy)];
}

/** Random bits in x1 to x3: the least significant word in x3, unused bits 0. */
function bitsIn(bits: number, width: number, entropy: (bytes: number) => Uint8Array): bigint[] {
  let value = 0n;
  for (const byte of entropy(Math.ceil(bits / 8))) value = (value << 8n) | BigInt(byte);
  value = BigInt.asUintN(bits, value);
  return [2, 1, 0].map((word) => BigInt.asUintN(width, value >> BigInt(word * width)));
}
