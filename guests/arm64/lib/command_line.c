/* The command line out of the flattened device tree (Devicetree Specification, chapter 5). */
#include "lib.h"

#define TREE 0x40000000ul
#define MAGIC 0xd00dfeed
#define BEGIN_NODE 1
#define PROPERTY 3

static u32 word(uintptr_t at)
{
	return __builtin_bswap32(read32(at));
}

static int is_bootargs(const char *name)
{
	const char *wanted = "bootargs";
	while (*wanted && *name == *wanted)
		name++, wanted++;
	return *name == *wanted;
}

static const char *bootargs(void)
{
	if (word(TREE) != MAGIC)
		return "";
	uintptr_t at = TREE + word(TREE + 8);
	uintptr_t names = TREE + word(TREE + 12);
	uintptr_t end = at + word(TREE + 36);
	while (at < end) {
		u32 token = word(at);
		at += 4;
		if (token == BEGIN_NODE) {
			while (*(volatile char *)at)
				at++;
			at = (at + 4) & ~3ul;
		} else if (token == PROPERTY) {
			u32 length = word(at);
			if (is_bootargs((const char *)names + word(at + 4)))
				return (const char *)at + 8;
			at = (at + 8 + length + 3) & ~3ul;
		}
	}
	return "";
}

u64 command_line_number(u64 otherwise)
{
	const char *text = bootargs();
	u64 value = 0;
	if (!*text)
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		value = 10 * value + (*text - '0');
	return *text ? otherwise : value;
}
