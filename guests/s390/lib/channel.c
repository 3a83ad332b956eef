#include "channel.h"

volatile u32 channel_interrupts;

/* Instructions that take the subchannel in R1 and storage at D2(B2), or nothing. */
#define WITH_STORAGE(name, qualifier) \
	unsigned name(u32 subchannel, qualifier) \
	{ \
		register u64 r1 asm("1") = subchannel; \
		unsigned cc; \
		asm volatile(#name " 0(%2)\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "d"(r1), "a"(storage) : "cc", "memory"); \
		return cc; \
	}
#define ALONE(name) \
	unsigned name(u32 subchannel) \
	{ \
		register u64 r1 asm("1") = subchannel; \
		unsigned cc; \
		asm volatile(#name "\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "d"(r1) : "cc", "memory"); \
		return cc; \
	}

WITH_STORAGE(stsch, struct schib *storage)
WITH_STORAGE(msch, const struct schib *storage)
WITH_STORAGE(ssch, const struct orb *storage)
WITH_STORAGE(tsch, struct irb *storage)
ALONE(csch)
ALONE(hsch)
ALONE(xsch)
ALONE(rsch)

unsigned tpi(u32 code[2])
{
	unsigned cc;
	asm volatile("tpi 0(%1)\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "a"(code) : "cc", "memory");
	return cc;
}

unsigned stcrw(u32 *word)
{
	unsigned cc;
	asm volatile("stcrw 0(%1)\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "a"(word) : "cc", "memory");
	return cc;
}

unsigned chsc(void *block)
{
	unsigned cc;
	asm volatile(".insn rre,0xb25f0000,%1,0\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "a"(block) : "cc", "memory");
	return cc;
}

static void count(u16 subchannel)
{
	(void)subchannel;
	channel_interrupts++;
}

unsigned enable_subchannel(u32 subchannel)
{
	struct schib schib;
	unsigned cc = stsch(subchannel, &schib);
	if (cc != 0)
		return cc;
	io_handler = count;
	write_cr(6, 0x80000000u >> SUBCLASS);
	schib.pmcw.parameter = subchannel;
	schib.pmcw.flags |= PMCW_ENABLED | SUBCLASS << 11;
	return msch(subchannel, &schib);
}

unsigned run_channel_program(u32 subchannel, const struct ccw *program, struct irb *irb)
{
	struct orb orb = { .parameter = subchannel, .flags = ORB_FORMAT_1 | ORB_FORMAT_2_IDA, .lpm = 0xff, .program = (u32)(u64)program };
	u32 before = channel_interrupts;
	unsigned cc = ssch(subchannel, &orb);
	if (cc != 0)
		return cc;
	while (channel_interrupts == before)
		wait_for(PSW_IO);
	return tsch(subchannel, irb);
}
