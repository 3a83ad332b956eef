/*
 * What SCLP says of the machine and of itself, and what it answers to commands and blocks that are wrong. A line on the operator's console where there is one.
 */
#include "lib.h"

static u8 block[2 * 4096] __attribute__((aligned(4096)));

static void begin(u16 length)
{
	memset(block, 0, sizeof block);
	*(u16 *)block = length;
}

static void response(const char *what, u32 command, void *at)
{
	u32 answer = sclp(command, at);
	put(what);
	put(" ");
	put_hex(answer, 4);
	put("\n");
}

static u16 half(unsigned at)
{
	return *(u16 *)(block + at);
}

static void information(void)
{
	begin(4096);
	response("read SCP info", SCLP_READ_SCP_INFO, block);
	say("  MiB ", half(8) * block[10]);
	say("  CPUs ", half(16));
	say("  the first at ", half(18));
	say("  addresses of it and the next ", block[half(18)] + block[half(18) + 16]);
	put("  facilities ");
	put_hex(*(u64 *)(block + 48) >> 56, 2);
	put("\n");
	say("  highest CPU ", half(120));
	begin(4096);
	response("the same, forced", 0x00120001, block);
	begin(64);
	response("in 64 bytes", SCLP_READ_SCP_INFO, block);
	say("  length ", half(0));
	begin(64);
	block[5] = 0x80;
	response("in 64 bytes, of any length", SCLP_READ_SCP_INFO, block);
	say("  length ", half(0));
	begin(4096);
	response("read CPU info", SCLP_READ_CPU_INFO, block);
	say("  CPUs ", half(8));
	say("  the first at ", half(10));
	say("  on standby ", half(12));
	say("  the first at ", half(14));
	begin(4096);
	response("with a command's free byte", SCLP_READ_CPU_INFO | 0x4200, block);
}

static void masks(void)
{
	begin(4096);
	response("mask of no length", SCLP_WRITE_EVENT_MASK, block);
	begin(4096);
	*(u16 *)(block + 10) = 8;
	response("mask of eight bytes", SCLP_WRITE_EVENT_MASK, block);
	put("  receives ");
	put_hex(*(u64 *)(block + 28) & 0x4000004000000000, 16);
	put("\n");
	begin(4096);
	*(u16 *)(block + 10) = 1022;
	response("mask of 1022 bytes", SCLP_WRITE_EVENT_MASK, block);
	begin(4096);
	block[2] = 1;
	response("selective read without a mask", SCLP_READ_EVENT_DATA, block);
	sclp_listen(EVENT_MASK(EVENT_ASCII));
	begin(4096);
	response("read of nothing", SCLP_READ_EVENT_DATA, block);
	begin(4096);
	block[2] = 1;
	block[8] = 0x80;
	response("selective read of another type", SCLP_READ_EVENT_DATA, block);
	begin(4096);
	block[2] = 7;
	response("read with no function", SCLP_READ_EVENT_DATA, block);
	begin(4088);
	response("read in less than a page", SCLP_READ_EVENT_DATA, block);
}

static void writes(void)
{
	begin(16);
	*(u16 *)(block + 8) = 9;
	response("event longer than the block", SCLP_WRITE_EVENT_DATA, block);
	begin(16);
	*(u16 *)(block + 8) = 5;
	response("event without a header", SCLP_WRITE_EVENT_DATA, block);
	begin(14);
	*(u16 *)(block + 8) = 6;
	block[10] = 0x05;
	response("event of another type", SCLP_WRITE_EVENT_DATA, block);
	begin(14);
	block[2] = 1;
	response("write with no function", SCLP_WRITE_EVENT_DATA, block);
	begin(8);
	response("write of nothing", SCLP_WRITE_EVENT_DATA, block);
}

static void addresses(void)
{
	*(u16 *)(block + 4090) = 0;
	begin(4096);
	*(u16 *)(block + 4000) = 200;
	response("block on two pages", SCLP_READ_EVENT_DATA, block + 4000);
	begin(8);
	response("no command", 0x00990001, block);
#define EXCEPTION(what, address) \
	do { \
		put(what); \
		put(" "); \
		put_hex(program_code_of(".insn rre,0xb2200000,%0,%1", "d"((u64)SCLP_READ_CPU_INFO), "d"((u64)(address))), 4); \
		put("\n"); \
	} while (0)
	EXCEPTION("block in the prefix area", 0x1000);
	EXCEPTION("off a doubleword", block + 4);
	EXCEPTION("behind storage", 0x70000000);
	*(u16 *)block = 7;
	EXCEPTION("of seven bytes", block);
}

void guest_main(void)
{
	information();
	masks();
	writes();
	addresses();
	if (sclp_receives() & EVENT_MASK(EVENT_MESSAGE)) {
		u32 answer = put_operator("a line for the operator: {plain}");
		put("\nanswer ");
		put_hex(answer, 4);
		put("\n");
	}
}
