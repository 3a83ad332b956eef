/* ChaCha20 (RFC 8439). No table and no branch depends on the key. */
#include "crypto.h"

#define WORDS 16
#define DOUBLE_ROUNDS 10
#define COUNTER 12

static u32 word(const u8 *bytes)
{
  return bytes[0] | (u32)bytes[1] << 8 | (u32)bytes[2] << 16 | (u32)bytes[3] << 24;
}

static u32 rotate_left(u32 x, u32 n)
{
  return x << n | x >> (32 - n);
}

static void quarter_round(u32 *s, u32 a, u32 b, u32 c, u32 d)
{
  s[a] += s[b], s[d] = rotate_left(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate_left(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate_left(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate_left(s[b] ^ s[c], 7);
}

static void add_block(const u32 state[WORDS], u8 *data)
{
  u32 s[WORDS];
  memcpy(s, state, sizeof s);
  for (u32 round = 0; round < DOUBLE_ROUNDS; round++) {
    for (u32 i = 0; i < 4; i++)
      quarter_round(s, i, 4 + i, 8 + i, 12 + i);
    for (u32 i = 0; i < 4; i++)
      quarter_round(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  for (u32 i = 0; i < CHACHA20_BLOCK; i++)
    data[i] ^= (s[i / 4] + state[i / 4]) >> 8 * (i % 4);
}

void chacha20(const u8 key[CHACHA20_KEY], u8 iv[CHACHA20_IV], u8 *data, u64 bytes)
{
  /* "expand 32-byte k" */
  u32 state[WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  for (u32 i = 0; i < 8; i++)
    state[4 + i] = word(key + 4 * i);
  for (u32 i = 0; i < 4; i++)
    state[COUNTER + i] = word(iv + 4 * i);
  for (u64 at = 0; at < bytes; at += CHACHA20_BLOCK) {
    add_block(state, data + at);
    if (++state[COUNTER] == 0)
      state[COUNTER + 1]++;
  }
  for (u32 i = 0; i < CHACHA20_IV; i++)
    iv[i] = state[COUNTER + i / 4] >> 8 * (i % 4);
}
