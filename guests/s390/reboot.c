/*
 * Resets and loads itself by DIAGNOSE 0x308, once in each of three ways, and says what of memory, CPUs and control registers it finds then. What else the instruction answers.
 */
#include "lib.h"

/* No part of the image, so that nobody clears or loads it. */
static volatile u64 *const starts = (u64 *)0x300000;
static u8 block[4096] __attribute__((aligned(4096)));

static u64 diagnose(u64 subcode, const void *at)
{
	register u64 r2 asm("2") = (u64)at;
	register u64 r3 asm("3") = 0;
	register u64 r4 asm("4") = subcode;
	asm volatile("diag 2,4,0x308" : "+d"(r2), "+d"(r3) : "d"(r4) : "memory");
	return r3;
}

static void say_code(const char *what, u64 code)
{
	put(what);
	put(" ");
	put_hex(code, 4);
	put("\n");
}

static void spin(unsigned cpu)
{
	(void)cpu;
	for (;;)
		;
}

static void exceptions(void)
{
	static const u16 subcodes[] = { 2, 4, 7, 8, 9, 10, 11 };
	for (unsigned i = 0; i < COUNT(subcodes); i++) {
		put("subcode ");
		put_number(subcodes[i]);
		say_code(":", program_code_of("lgr 2,%0\n\tlgr 4,%1\n\tdiag 2,4,0x308", "a"(block), "a"((u64)subcodes[i]), "d"(0ul)));
	}
	say_code("subcode with high bits:", program_code_of("lgr 2,%0\n\tlgr 4,%1\n\tdiag 2,4,0x308", "a"(block), "a"(0x10003ul)));
	say_code("odd register:", program_code_of("lgr 3,%0\n\tlghi 4,6\n\tdiag 3,4,0x308", "a"(block)));
	say_code("off a page:", program_code_of("lgr 2,%0\n\tlghi 4,6\n\tdiag 2,4,0x308", "a"(block + 8)));
	say_code("behind storage:", program_code_of("lgr 2,%0\n\tlghi 4,6\n\tdiag 2,4,0x308", "a"(0x70000000ul)));
	say_code("no such function:", program_code_of("diag 2,4,0x123"));
	say_code("nothing stored:", diagnose(6, block));
}

/* The block of a channel device, whose length is in the first word. */
static void parameters(void)
{
	memset(block, 0, sizeof block);
	*(u32 *)block = 5000;
	say_code("too long:", diagnose(5, block));
	*(u32 *)block = 199;
	block[12] = 2;
	say_code("too short:", diagnose(5, block));
	*(u32 *)block = 200;
	block[12] = 5;
	say_code("of another type:", diagnose(5, block));
	block[12] = 2;
	block[199] = 0x5a;
	say_code("of a channel device:", diagnose(5, block));
	memset(block, 0, sizeof block);
	say_code("stored:", diagnose(6, block));
	say("  length ", *(u32 *)block);
	say_code("  last byte", block[199]);
}

/* With the short PSW at 0 that starts the guest anew: DIAGNOSE 0x308 subcodes 0 and 1 load it. */
static void reset(u64 subcode)
{
	*(volatile u64 *)&lowcore = 0x0008000100000000 | 0x80000000 | LOAD_ADDRESS;
	diagnose(subcode, 0);
	put("it came back\n");
}

void guest_main(void)
{
	static const char *const ways[] = { "started", "reset, load normal", "reset, modified clear", "loaded again" };
	u64 start = (*starts)++;
	put(start < COUNT(ways) ? ways[start] : "too often");
	put("\n");
	u32 status = 0;
	unsigned cc = sigp(1, SIGP_SENSE, 0, &status);
	say_code("the other CPU:", cc == 1 ? status : cc);
	static volatile u64 kept = 7;
	say("data kept ", kept);
	kept = 0;
	if (start < 3 && start_cpu(1, spin) == 0)
		put("it spins\n");
	switch (start) {
	case 0:
		exceptions();
		reset(1);
		return;
	case 1:
		reset(0);
		return;
	case 2:
		diagnose(3, 0);
		put("it came back\n");
		return;
	default:
		parameters();
	}
}
