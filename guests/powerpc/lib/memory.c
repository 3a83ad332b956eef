/* What gcc expects to find, and what a guest does with memory. */
#include "lib.h"

#define CACHE_BLOCK 128

void *memcpy(void *to, const void *from, u64 bytes)
{
  u8 *next = to;
  const u8 *source = from;
  while (bytes-- > 0)
    *next++ = *source++;
  return to;
}

void *memset(void *at, int value, u64 bytes)
{
  u8 *next = at;
  while (bytes-- > 0)
    *next++ = value;
  return at;
}

int memcmp(const void *a, const void *b, u64 bytes)
{
  const u8 *left = a, *right = b;
  for (; bytes > 0; bytes--, left++, right++)
    if (*left != *right)
      return *left - *right;
  return 0;
}

u64 text_length(const char *text)
{
  u64 length = 0;
  while (text[length])
    length++;
  return length;
}

int same_text(const char *a, const char *b)
{
  while (*a && *a == *b)
    a++, b++;
  return *a == *b;
}

void synchronize_code(const void *start, u64 bytes)
{
  u64 end = (u64)start + bytes;
  u64 first = (u64)start & -(u64)CACHE_BLOCK;
  for (u64 block = first; block < end; block += CACHE_BLOCK)
    asm volatile("dcbst 0,%0" : : "r"(block) : "memory");
  asm volatile("sync" : : : "memory");
  for (u64 block = first; block < end; block += CACHE_BLOCK)
    asm volatile("icbi 0,%0" : : "r"(block) : "memory");
  asm volatile("sync; isync" : : : "memory");
}
