/** An RSA public key. All numbers are big-endian without leading zero bytes. */
export interface RsaPublicKey {
  /** Modulus. */
  readonly n: Uint8Array;
  /** Public exponent. */
  readonly e: Uint8Array;
}

/** An RSA private key of two primes, with what the Chinese remainder theorem needs (RFC 8017 3.2). */
export interface RsaPrivateKey extends RsaPublicKey {
  readonly d: Uint8Array;
  readonly p: Uint8Array;
  readonly q: Uint8Array;
  readonly dp: Uint8Array;
  readonly dq: Uint8Array;
  readonly qi: Uint8Array;
}

/** Bytes of a block that the key works on: the length of its modulus. */
export function rsaBlockBytes({ n }: RsaPublicKey): number {
  return n.length;
}

/** RSAEP of RFC 8017 5.1.1 in plain JavaScript. The block has been checked. */
export function rsaEncryptionPrimitive(key: RsaPublicKey, block: Uint8Array): Uint8Array {
  return toBytes(power(toNumber(block), toNumber(key.e), toNumber(key.n)), key.n.length);
}

/**
 * RSADP of RFC 8017 5.1.2, with the Chinese remainder theorem, in plain JavaScript: not in constant time. The block has
 * been checked.
 */
export function rsaDecryptionPrimitive(key: RsaPrivateKey, block: Uint8Array): Uint8Array {
  const c = toNumber(block);
  const [p, q] = [toNumber(key.p), toNumber(key.q)];
  const m1 = power(c % p, toNumber(key.dp), p);
  const m2 = power(c % q, toNumber(key.dq), q);
  const h = ((((m1 - m2) % p) + p) * toNumber(key.qi)) % p;
  return toBytes(m2 + q * h, key.n.length);
}

/** Whether the numbers of a private key belong together (RFC 8017 3.2). */
export function isConsistent(key: RsaPrivateKey): boolean {
  const [n, e, p, q] = [key.n, key.e, key.p, key.q].map(toNumber);
  if (p < 3n || q < 3n || n !== p * q) return false;
  const belong = (a: bigint, b: Uint8Array, modulus: bigint) => (a * toNumber(b)) % modulus === 1n;
  return belong(e, key.dp, p - 1n) && belong(e, key.dq, q - 1n) && belong(q, key.qi, p);
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = (result * base) % modulus;
  }
  return result;
}

function toNumber(bytes: Uint8Array): bigint {
  let digits = '0x0';
  for (const byte of bytes) digits += byte.toString(16).padStart(2, '0');
  return BigInt(digits);
}

function toBytes(value: bigint, length: number): Uint8Array {
  const digits = value.toString(16).padStart(2 * length, '0');
  return Uint8Array.from({ length }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
