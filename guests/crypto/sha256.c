/* SHA-256 (FIPS 180-4). */
#include "crypto.h"

static const u32 constants[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

const u32 sha256_initial[8] = {
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static inline u32 rotate_right(u32 x, u32 n)
{
  return x >> n | x << (32 - n);
}

NOINLINE void sha256_compress(u32 hash[8], const u8 *block)
{
  u32 w[64];
  for (u32 i = 0; i < 16; i++)
    w[i] = (u32)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
  for (u32 i = 16; i < 64; i++) {
    u32 s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
    u32 s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  u32 a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4], f = hash[5], g = hash[6], h = hash[7];
  for (u32 i = 0; i < 64; i++) {
    u32 s1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    u32 t1 = h + s1 + ((e & f) ^ (~e & g)) + constants[i] + w[i];
    u32 s0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    u32 t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1;
    d = c, c = b, b = a, a = t1 + t2;
  }
  hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d;
  hash[4] += e, hash[5] += f, hash[6] += g, hash[7] += h;
}

void sha256_start(struct sha256 *sha)
{
  memcpy(sha->hash, sha256_initial, sizeof sha->hash);
  sha->filled = 0;
  sha->bytes = 0;
}

void sha256_add(struct sha256 *sha, const void *data, u64 bytes)
{
  const u8 *next = data;
  sha->bytes += bytes;
  for (u64 i = 0; i < bytes; i++) {
    sha->block[sha->filled++] = next[i];
    if (sha->filled == SHA256_BLOCK) {
      sha256_compress(sha->hash, sha->block);
      sha->filled = 0;
    }
  }
}

void sha256_finish(struct sha256 *sha, u8 digest[SHA256_BYTES])
{
  const u8 first = 0x80, zero = 0;
  u64 bits = be64(8 * sha->bytes);
  sha256_add(sha, &first, 1);
  while (sha->filled != SHA256_BLOCK - sizeof bits)
    sha256_add(sha, &zero, 1);
  sha256_add(sha, &bits, sizeof bits);
  for (u32 i = 0; i < SHA256_BYTES; i++)
    digest[i] = sha->hash[i / 4] >> (24 - 8 * (i % 4));
}
