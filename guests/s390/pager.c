/*
 * Much memory, each page of which is checked and changed in an order that does not repeat: for a host that pages. A number as the command line says how
 * many pages.
 */
#include "secure.h"

#define PAGES 1024
#define MOST_PAGES 8192
#define PASSES 3
#define WORDS (PAGE_BYTES / 8)
/* So many words of each page are looked at. */
#define STRIDE 64

static u64 (*const area)[WORDS] = (void *)0x1000000;

/* What a word holds after so many passes. */
static u64 expected(u64 page, u64 word, u64 pass)
{
	u64 value = (page << 32 | word << 8 | pass) * 0x9e3779b97f4a7c15;
	return value ^ value >> 31;
}

static void write_page(u64 page, u64 pass)
{
	for (u64 word = 0; word < WORDS; word += STRIDE)
		area[page][word] = expected(page, word, pass);
}

static u64 check_page(u64 page, u64 pass, u64 *checksum)
{
	u64 wrong = 0;
	for (u64 word = 0; word < WORDS; word += STRIDE) {
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

void guest_main(void)
{
	u64 pages = command_line_number(PAGES);
	if (pages < 1 || pages > MOST_PAGES) {
		put("as many pages there are not\n");
		return;
	}
	u64 wrong = 0, checksum = 0xcbf29ce484222325, random = 1;
	for (u64 page = 0; page < pages; page++) {
		/* Whatever was there before is gone. */
		for (u64 word = 0; word < WORDS; word += STRIDE)
			wrong += area[page][word] != 0;
		write_page(page, 0);
	}
	say("words not empty at first ", wrong);
	wrong = 0;
	for (u64 pass = 0; pass < PASSES; pass++) {
		/* Every page once: from a random one on, with a stride that has no divisor in common with their number. */
		u64 stride = 7 + 4 * pass;
		while (divisor(stride, pages) != 1)
			stride++;
		random = random * 6364136223846793005 + 1442695040888963407;
		u64 page = (random >> 33) % pages;
		for (u64 turn = 0; turn < pages; turn++, page = (page + stride) % pages) {
			wrong += check_page(page, pass, &checksum);
			write_page(page, pass + 1);
		}
		put_number(pages);
		put(" pages checked and changed\n");
	}
	for (u64 page = 0; page < pages; page++)
		wrong += check_page(page, PASSES, &checksum);
	say("words wrong ", wrong);
	put("checksum ");
	put_hex(checksum, 16);
	put("\n");
}
