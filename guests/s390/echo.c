/*
 * Gives back what is typed in capitals, until a full stop: from the ASCII console, and line by line from the operator's. It sleeps until a service
 * signal tells of an event.
 */
#include "lib.h"

static u8 block[4096] __attribute__((aligned(4096)));
static int over;

static void put_capital(char character)
{
	char text[2] = { character, 0 };
	if (character >= 'a' && character <= 'z')
		text[0] -= 'a' - 'A';
	over |= character == '.';
	put(text);
}

/* The text in a line-mode event: vectors in vectors, and in the innermost one sub-vectors in a sub-vector. */
static void read_command(const u8 *event, unsigned length)
{
	const u8 *at = event + 6 + 3 * 4 + 2;
	unsigned bytes = at[0] - 2;
	if (length < 6 + 3 * 4 + 4 || at[1] != 0x30)
		return;
	put("operator: ");
	for (unsigned i = 0; i < bytes; i++)
		put_capital(from_ebcdic(at[2 + i]));
	put("\n");
}

static void read_events(void)
{
	if (sclp_read_events(block) != 0)
		return;
	unsigned end = *(u16 *)block;
	for (unsigned at = 8; at + 6 <= end;) {
		unsigned length = *(u16 *)(block + at);
		u8 type = block[at + 2];
		if (length < 6)
			return;
		if (type == EVENT_ASCII)
			for (unsigned i = 7; i < length; i++)
				put_capital(block[at + i]);
		else if (type == EVENT_OPERATOR_COMMAND)
			read_command(block + at, length);
		at += length;
	}
	put("");
}

void guest_main(void)
{
	put("type, and end with a full stop\n");
	sclp_listen(EVENT_MASK(EVENT_ASCII) | EVENT_MASK(EVENT_OPERATOR_COMMAND));
	while (!over) {
		while (!sclp_events_pending)
			wait_for(PSW_EXTERNAL);
		sclp_events_pending = 0;
		read_events();
	}
	put("\nover\n");
}
