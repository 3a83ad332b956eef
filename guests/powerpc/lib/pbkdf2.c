/* HMAC (RFC 2104) and PBKDF2 (RFC 8018) over SHA-256. */
#include "crypto.h"

#define INNER_PAD 0x36
#define OUTER_PAD 0x5c
#define MOST_SALT 60

static void start_with(struct sha256 *sha, const u8 key[SHA256_BLOCK], u8 pad)
{
  u8 block[SHA256_BLOCK];
  for (u32 i = 0; i < SHA256_BLOCK; i++)
    block[i] = key[i] ^ pad;
  sha256_start(sha);
  sha256_add(sha, block, sizeof block);
}

void hmac_sha256_key(struct hmac_key *hmac, const void *key, u64 bytes)
{
  u8 block[SHA256_BLOCK] = {0};
  if (bytes > sizeof block) {
    struct sha256 sha;
    sha256_start(&sha);
    sha256_add(&sha, key, bytes);
    sha256_finish(&sha, block);
  } else {
    memcpy(block, key, bytes);
  }
  start_with(&hmac->inner, block, INNER_PAD);
  start_with(&hmac->outer, block, OUTER_PAD);
}

void hmac_sha256(const struct hmac_key *hmac, const void *data, u64 bytes, u8 tag[SHA256_BYTES])
{
  struct sha256 sha = hmac->inner;
  sha256_add(&sha, data, bytes);
  sha256_finish(&sha, tag);
  sha = hmac->outer;
  sha256_add(&sha, tag, SHA256_BYTES);
  sha256_finish(&sha, tag);
}

void pbkdf2_sha256(const void *pass_phrase, u64 length, const void *salt, u64 salt_bytes, u64 iterations, u8 *key,
                   u64 bytes)
{
  struct hmac_key hmac;
  u8 u[MOST_SALT + 4], t[SHA256_BYTES];
  hmac_sha256_key(&hmac, pass_phrase, length);
  for (u64 at = 0, block = 1; at < bytes; at += SHA256_BYTES, block++) {
    memcpy(u, salt, salt_bytes);
    for (u32 i = 0; i < 4; i++)
      u[salt_bytes + i] = block >> (24 - 8 * i);
    hmac_sha256(&hmac, u, salt_bytes + 4, u);
    memcpy(t, u, sizeof t);
    for (u64 i = 1; i < iterations; i++) {
      hmac_sha256(&hmac, u, SHA256_BYTES, u);
      for (u32 j = 0; j < SHA256_BYTES; j++)
        t[j] ^= u[j];
    }
    memcpy(key + at, t, bytes - at < SHA256_BYTES ? bytes - at : SHA256_BYTES);
  }
}
