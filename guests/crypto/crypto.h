/* What a guest needs to make a key of a pass phrase, and to read with it what is encrypted. */
#ifndef CRYPTO_H
#define CRYPTO_H

#include "lib.h"

#define SHA256_BYTES 32
#define SHA256_BLOCK 64

/* FIPS 180-4. The last `filled` bytes that came are in `block`. */
struct sha256 {
  u32 hash[8];
  u8 block[SHA256_BLOCK];
  u32 filled;
  u64 bytes;
};
extern const u32 sha256_initial[8];
void sha256_compress(u32 hash[8], const u8 *block);
void sha256_start(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, u64 bytes);
void sha256_finish(struct sha256 *sha, u8 digest[SHA256_BYTES]);

/* RFC 2104. The states behind the key's two blocks, so that one key costs two blocks once. */
struct hmac_key {
  struct sha256 inner, outer;
};
void hmac_sha256_key(struct hmac_key *hmac, const void *key, u64 bytes);
void hmac_sha256(const struct hmac_key *hmac, const void *data, u64 bytes, u8 tag[SHA256_BYTES]);

/* RFC 8018, 5.2 with HMAC-SHA-256. `salt_bytes` are at most 60; `bytes` a multiple of 16. */
void pbkdf2_sha256(const void *pass_phrase, u64 length, const void *salt, u64 salt_bytes, u64 iterations, u8 *key,
                   u64 bytes);

#define CHACHA20_KEY 32
#define CHACHA20_IV 16
#define CHACHA20_BLOCK 64
/*
 * RFC 8439, 2.3 and 2.4, with the counter where OpenSSL has it: the first word of the initialization vector, carried into
 * the second. Encrypts and decrypts; `bytes` is a multiple of 64. `iv` becomes that of what comes next.
 */
void chacha20(const u8 key[CHACHA20_KEY], u8 iv[CHACHA20_IV], u8 *data, u64 bytes);

#endif
