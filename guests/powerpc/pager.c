/*
 * More memory than the Ultravisor has for it: fills many pages as a normal VM, asks to become secure, and then checks and changes them again
 * and again in an order that does not repeat. A number as the command line says how many pages; four times the secure memory makes the
 * Ultravisor page all the time.
 */
#include "lib/lib.h"

#define PAGES 160
#define PASSES 3
/* One word of each so many bytes is looked at, so that all of a page matters but not every word takes time. */
#define STRIDE 512
#define WORDS_PER_STRIDE (STRIDE / 8)
#define WORDS (PAGE_BYTES / 8)

static u64 area[PAGES][WORDS] KEPT_PAGES;

/* What a word holds after so many passes. */
static u64 expected(u64 page, u64 word, u64 pass)
{
  u64 value = (page << 32 | word << 8 | pass) * 0x9e3779b97f4a7c15;
  return value ^ value >> 31;
}

static void write_page(u64 page, u64 pass)
{
  for (u64 word = 0; word < WORDS; word += WORDS_PER_STRIDE)
    area[page][word] = expected(page, word, pass);
}

/* How many words are not what they should be; the others go into the checksum. */
static u64 check_page(u64 page, u64 pass, u64 *checksum)
{
  u64 wrong = 0;
  for (u64 word = 0; word < WORDS; word += WORDS_PER_STRIDE) {
    u64 value = area[page][word];
    wrong += value != expected(page, word, pass);
    *checksum = (*checksum ^ value) * 0x100000001b3;
  }
  return wrong;
}

/* The greatest common divisor. */
static u64 divisor(u64 a, u64 b)
{
  while (b) {
    u64 rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

int main(void)
{
  u64 pages = command_line_number(PAGES);
  if (pages < 1 || pages > PAGES) {
    print("as many pages there are not\n");
    return 0;
  }
  if (!is_secure())
    for (u64 page = 0; page < pages; page++)
      write_page(page, 0);
  become_secure();

  u64 wrong = 0, checksum = 0xcbf29ce484222325, random = 1;
  for (u64 pass = 0; pass < PASSES; pass++) {
    /* Every page once: from a random one on, with a stride that has no divisor in common with their number. */
    u64 stride = 7 + 4 * pass;
    while (divisor(stride, pages) != 1)
      stride++;
    random = random * 6364136223846793005 + 1442695040888963407;
    u64 page = (random >> 33) % pages;
    u64 seen = 0;
    for (u64 turn = 0; turn < pages; turn++, page = (page + stride) % pages) {
      wrong += check_page(page, pass, &checksum);
      write_page(page, pass + 1);
      seen++;
    }
    print_decimal(seen);
    print(" pages checked and changed\n");
  }
  for (u64 page = 0; page < pages; page++)
    wrong += check_page(page, PASSES, &checksum);
  print_decimal(wrong);
  print(" words wrong\nchecksum ");
  print_hexadecimal(checksum, 16);
  print("\n");
  return 0;
}
