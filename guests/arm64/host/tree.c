/* The flattened device tree at the start of RAM (Devicetree Specification, chapter 5). */
#include "pkvm.h"

#define TREE 0x40000000ul
#define BEGIN_NODE 1
#define PROPERTY 3

static u32 word(u64 at)
{
	return be32(read32(at));
}

static int begins(const char *text, const char *with)
{
	while (*with && *text == *with)
		text++, with++;
	return !*with;
}

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

const u8 *tree_property(const char *node, const char *name, u32 *bytes)
{
	u64 at = TREE + word(TREE + 8), names = TREE + word(TREE + 12), end = at + word(TREE + 36);
	const char *current = "";
	while (at < end) {
		u32 token = word(at);
		at += 4;
		if (token == BEGIN_NODE) {
			current = (const char *)at;
			while (*(volatile char *)at)
				at++;
			at = (at + 4) & ~3ul;
		} else if (token == PROPERTY) {
			if (begins(current, node) && equal((const char *)names + word(at + 4), name)) {
				*bytes = word(at);
				return (const u8 *)at + 8;
			}
			at = (at + 8 + word(at) + 3) & ~3ul;
		}
	}
	return 0;
}

u64 tree_number(const u8 *value, u32 bytes)
{
	u64 number = 0;
	for (u32 i = 0; i < bytes; i++)
		number = number << 8 | value[i];
	return number;
}
