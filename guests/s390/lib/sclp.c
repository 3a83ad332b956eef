/* The service-call logical processor: blocks of a page below 2 GiB, and the service signal that ends each command. */
#include "lib.h"

struct header {
	u16 length;
	u8 function, control[3];
	u16 response;
};

struct event_mask {
	struct header header;
	u16 reserved, mask_length;
	u32 guest_receives, guest_sends, sclp_receives, sclp_sends;
};

static u8 mask_block[4096] __attribute__((aligned(4096)));
static u32 receives;
static volatile u32 completed;
volatile u32 sclp_events_pending;

void service_signal(u32 parameter)
{
	if (parameter & ~7u)
		completed = 1;
	if (parameter & 1)
		sclp_events_pending++;
}

u32 sclp(u32 command, void *block)
{
	u64 cc;
	completed = 0;
	do
		asm volatile(".insn rre,0xb2200000,%1,%2\n\tipm %0\n\tsrl %0,28"
			     : "=&d"(cc) : "d"((u64)command), "a"(block) : "cc", "memory");
	while ((u32)cc == 2);
	if ((u32)cc != 0)
		return cc;
	while (!completed)
		wait_for(PSW_EXTERNAL);
	return ((struct header *)block)->response;
}

void sclp_listen(u32 events)
{
	struct event_mask *mask = (void *)mask_block;
	memset(mask, 0, sizeof *mask);
	mask->header.length = sizeof *mask;
	mask->mask_length = 4;
	mask->guest_receives = events;
	mask->guest_sends = EVENT_MASK(EVENT_MESSAGE) | EVENT_MASK(EVENT_ASCII);
	if (sclp(SCLP_WRITE_EVENT_MASK, mask) == 0x20)
		receives = mask->sclp_receives;
}

u32 sclp_receives(void)
{
	if (!receives)
		sclp_listen(0);
	return receives;
}

u32 sclp_read_events(u8 *block)
{
	struct header *header = (void *)block;
	memset(block, 0, 4096);
	header->length = 4096;
	/* Unconditional, of variable length. */
	header->control[2] = 0x80;
	u32 response = sclp(SCLP_READ_EVENT_DATA, block);
	return response == 0x20 ? 0 : response;
}
