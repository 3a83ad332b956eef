/*
 * Code that changes while it runs, and accesses that cross a page.
 *
 * A function is rewritten between calls, and in the middle of a loop that is hot by then; code and the data that it
 * writes share a page, or a cache block; doublewords, words and halfwords lie across the end of a page, in both byte orders.
 */
#include "lib/lib.h"

#define PAGE 0x1000
#define ROUNDS 3000

/* addi r3,r3,n and blr */
#define ADD_TO_R3(n) (0x38630000u | ((n) & 0xffff))
#define BLR 0x4e800020u

typedef u64 (*function)(u64);

/* smc_code.S */
u64 sum_with_patch(u64 turns, u64 patch_at);
u64 count_in_own_page(u64 turns);
extern u64 count_beside_code;
u64 read_big_endian(const void *at);
void write_big_endian(void *at, u64 value);

static u32 code[PAGE_BYTES / 4] WHOLE_PAGES;
static u8 data[PAGE_BYTES] WHOLE_PAGES;

static void report(const char *name, u64 value)
{
  print(name);
  print_hexadecimal(value, 16);
  print("\n");
}

/* A function that adds what it is told, made anew for each call. */
static u64 rewrite_between_calls(void)
{
  u64 sum = 0;
  for (u64 i = 0; i < ROUNDS; i++) {
    u32 *at = &code[i % 64 * 2];
    at[0] = ADD_TO_R3(i % 1000);
    at[1] = BLR;
    synchronize_code(at, 8);
    sum = ((function)at)(sum);
  }
  return sum;
}

/* The same function many times, so that it is hot, and then another in its place. */
static u64 rewrite_hot(void)
{
  u64 sum = 0;
  for (u32 version = 1; version <= 8; version++) {
    code[0] = ADD_TO_R3(version);
    code[1] = BLR;
    synchronize_code(code, 8);
    for (u64 i = 0; i < 20 * ROUNDS; i++)
      sum = ((function)code)(sum);
  }
  return sum;
}

/* Instructions across the end of a page, of which only the one behind it changes. */
static u64 rewrite_across_pages(void)
{
  u32 *at = &code[PAGE / 4 - 1];
  u64 sum = 0;
  at[0] = ADD_TO_R3(1);
  at[2] = BLR;
  for (u32 i = 0; i < ROUNDS; i++) {
    at[1] = ADD_TO_R3(i % 7);
    synchronize_code(at, 12);
    sum = ((function)at)(sum);
  }
  return sum;
}

#define CHECK(type, name)                                              \
  static u64 cross_##name(u64 sum)                                     \
  {                                                                    \
    for (u64 page = PAGE; page <= 2 * PAGE; page += PAGE)              \
      for (u64 before = 1; before < sizeof(type); before++) {          \
        volatile type *at = (volatile type *)(data + page - before);   \
        sum = sum * 31 + *at;                                          \
        *at = (type)(sum * 0x9e3779b97f4a7c15UL >> 7);                 \
        sum = sum * 31 + *at;                                          \
      }                                                                \
    return sum;                                                        \
  }
CHECK(u16, halfword)
CHECK(u32, word)
CHECK(u64, doubleword)

static u64 cross_big_endian(u64 sum)
{
  for (u64 page = PAGE; page <= 2 * PAGE; page += PAGE)
    for (u64 before = 1; before < 8; before++) {
      u8 *at = data + page - before;
      sum = sum * 31 + read_big_endian(at);
      write_big_endian(at, sum);
      sum = sum * 31 + *(volatile u64 *)at;
    }
  return sum;
}

static u64 cross_pages(void)
{
  u64 sum = 0;
  for (u32 i = 0; i < 3 * PAGE; i++)
    data[i] = i * 7 + (i >> 8);
  for (u32 i = 0; i < 200; i++) {
    sum = cross_halfword(sum);
    sum = cross_word(sum);
    sum = cross_doubleword(sum);
    sum = cross_big_endian(sum);
  }
  for (u32 i = PAGE - 16; i < 2 * PAGE + 16; i++)
    sum = sum * 31 + data[i];
  return sum;
}

int main(void)
{
  report("between calls ", rewrite_between_calls());
  report("hot ", rewrite_hot());
  report("across pages ", rewrite_across_pages());
  report("in a running loop ", sum_with_patch(40000, 30000));
  report("data beside code ", count_in_own_page(30000));
  report("its counter ", count_beside_code);
  report("accesses across pages ", cross_pages());
  return 0;
}
