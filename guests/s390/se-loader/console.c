/* The ASCII console of the service-call logical processor, without interruptions (s390-pv.md 8.6). */
#include "loader.h"

#define WRITE_EVENT_DATA 0x00760005
#define WRITE_EVENT_MASK 0x00780005
#define EVENT_ASCII 0x1a
#define MOST 200

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

struct event {
	struct header header;
	u16 length;
	u8 type, flags;
	u16 reserved;
	char text[MOST];
};

static void service_call(u32 command, struct header *block)
{
	u32 cc;
	do
		asm volatile(".insn rre,0xb2200000,%1,%2\n\tipm %0\n\tsrl %0,28"
			     : "=&d"(cc) : "d"((u64)command), "a"(block) : "cc", "memory");
	while (cc == 2);
}

static void clear(void *at, u32 bytes)
{
	volatile u8 *to = at;
	while (bytes--)
		*to++ = 0;
}

static void write_text(const char *text, u32 length)
{
	struct event *event = (void *)SCCB_ADDRESS;
	clear(event, sizeof *event);
	for (u32 i = 0; i < length; i++)
		event->text[i] = text[i];
	event->header.length = sizeof *event - MOST + length;
	event->length = event->header.length - sizeof event->header;
	event->type = EVENT_ASCII;
	service_call(WRITE_EVENT_DATA, &event->header);
}

static void open_console(void)
{
	struct event_mask *mask = (void *)SCCB_ADDRESS;
	clear(mask, sizeof *mask);
	mask->header.length = sizeof *mask;
	mask->mask_length = 4;
	mask->guest_sends = 1u << (32 - EVENT_ASCII);
	service_call(WRITE_EVENT_MASK, &mask->header);
}

static u32 copy(char *to, const char *from)
{
	u32 length = 0;
	while (from[length] && length < MOST - 20) {
		to[length] = from[length];
		length++;
	}
	return length;
}

void print(const char *line)
{
	char text[MOST];
	u32 length = copy(text, line);
	text[length++] = '\n';
	open_console();
	write_text(text, length);
}

void print_number(const char *line, u64 number)
{
	char text[MOST];
	u32 length = copy(text, line);
	for (int shift = 60; shift >= 0; shift -= 4) {
		u32 digit = number >> shift & 15;
		if (digit || shift == 0 || number >> shift)
			text[length++] = digit < 10 ? '0' + digit : 'a' + digit - 10;
	}
	text[length++] = '\n';
	open_console();
	write_text(text, length);
}

void stop(u64 address)
{
	struct {
		u64 mask, address;
	} wait = { PSW_WAIT, address };
	for (;;)
		asm volatile("lpswe %0" : : "Q"(wait) : "cc");
}
