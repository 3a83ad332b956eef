/* Strings and memory: copies by bytes and by doublewords, lengths, comparisons. */
#include "kernel.h"

#define BYTES 65536
#define TURNS 3
#define COPIES 8

static char source[BYTES] __attribute__((aligned(8))), target[BYTES] __attribute__((aligned(8)));

static NOINLINE void copy_bytes(char *to, const char *from, u64 bytes)
{
  while (bytes-- > 0)
    *to++ = *from++;
}

static NOINLINE void copy_doublewords(u64 *to, const u64 *from, u64 bytes)
{
  for (u64 left = bytes / 8; left > 0; left--)
    *to++ = *from++;
}

static NOINLINE u64 length(const char *text)
{
  const char *end = text;
  while (*end)
    end++;
  return end - text;
}

static NOINLINE int compare(const char *a, const char *b, u64 bytes)
{
  for (; bytes > 0; bytes--, a++, b++)
    if (*a != *b)
      return *a - *b;
  return 0;
}

u64 kernel(void)
{
  u64 sum = 0;
  for (u32 i = 0; i < BYTES - 1; i++)
    source[i] = (next_random() & 127) + 1;
  source[BYTES - 1] = 0;
  for (u32 turn = 0; turn < TURNS; turn++) {
    copy_bytes(target, source, BYTES);
    sum = sum * 3 + length(target) + compare(source, target, BYTES);
    for (u32 k = 0; k < COPIES; k++) {
      copy_doublewords((u64 *)(target + 8), (const u64 *)source, BYTES - 8);
      target[BYTES - 1 - turn] = 0;
      sum = sum * 3 + length(target + k) + compare(source + k, target + 8 + k, BYTES - 64);
    }
    source[turn] = source[turn] == 3 ? 1 : 3;
  }
  return sum;
}
