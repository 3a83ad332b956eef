/* Text on the two consoles of SCLP: characters on the ASCII one, lines in EBCDIC on the operator's. */
#include "lib.h"

struct event {
	u16 length;
	u8 type, flags;
	u16 reserved;
	u8 data[];
} __attribute__((packed));

struct write_event {
	u16 length;
	u8 function, control[3];
	u16 response;
	struct event event;
} __attribute__((packed));

/* A message data block with its general object, and one text object */
struct message {
	u16 length, type;
	u32 tag, revision;
	struct {
		u16 length, type;
		u8 rest[52];
	} __attribute__((packed)) general;
	struct {
		u16 length, type, flags;
		u8 alarm, reserved[3];
		u8 text[];
	} __attribute__((packed)) text;
} __attribute__((packed));

#define LINE 200

static u8 block[4096] __attribute__((aligned(4096)));
static char line[LINE];
static unsigned used;

static u32 write_event(u8 type, u32 bytes)
{
	struct write_event *write = (void *)block;
	write->length = sizeof *write + bytes;
	write->function = 0;
	memset(write->control, 0, sizeof write->control);
	write->response = 0;
	write->event.length = sizeof(struct event) + bytes;
	write->event.type = type;
	write->event.flags = 0;
	write->event.reserved = 0;
	return sclp(SCLP_WRITE_EVENT_DATA, write);
}

static void flush(void)
{
	if (!used || !(sclp_receives() & EVENT_MASK(EVENT_ASCII)))
		return;
	memcpy(((struct write_event *)block)->event.data, line, used);
	u32 bytes = used;
	used = 0;
	write_event(EVENT_ASCII, bytes);
}

/* What is put goes out with the end of its line; with "", what there is. */
void put(const char *text)
{
	if (!*text)
		flush();
	for (; *text; text++) {
		line[used++] = *text;
		if (*text == '\n' || used == LINE)
			flush();
	}
}

void put_hex(u64 value, unsigned digits)
{
	char text[17];
	for (unsigned i = 0; i < digits; i++)
		text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15];
	text[digits] = 0;
	put(text);
}

void put_number(u64 value)
{
	char text[21];
	char *at = text + sizeof(text) - 1;
	*at = 0;
	do {
		*--at = '0' + value % 10;
		value /= 10;
	} while (value);
	put(at);
}

void say(const char *text, u64 value)
{
	put(text);
	put_number(value);
	put("\n");
}

/* Code page 037, ASCII 0x20 to 0x7e. */
static const u8 EBCDIC[] = {
	0x40, 0x5a, 0x7f, 0x7b, 0x5b, 0x6c, 0x50, 0x7d, 0x4d, 0x5d, 0x5c, 0x4e, 0x6b, 0x60, 0x4b, 0x61,
	0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0x7a, 0x5e, 0x4c, 0x7e, 0x6e, 0x6f,
	0x7c, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6,
	0xd7, 0xd8, 0xd9, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xba, 0xe0, 0xbb, 0xb0, 0x6d,
	0x79, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96,
	0x97, 0x98, 0x99, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xc0, 0x4f, 0xd0, 0xa1,
};

u8 to_ebcdic(char character)
{
	unsigned index = (u8)character - 0x20u;
	return index < sizeof EBCDIC ? EBCDIC[index] : 0x40;
}

char from_ebcdic(u8 character)
{
	for (unsigned i = 0; i < sizeof EBCDIC; i++)
		if (EBCDIC[i] == character)
			return 0x20 + i;
	return '?';
}

u32 put_operator(const char *text)
{
	struct message *message = (void *)((struct write_event *)block)->event.data;
	u32 bytes = 0;
	put("");
	memset(message, 0, sizeof *message);
	for (; text[bytes]; bytes++)
		message->text.text[bytes] = to_ebcdic(text[bytes]);
	message->text.length = sizeof message->text + bytes;
	message->text.type = 4;
	message->text.flags = 0x1000;
	message->general.length = sizeof message->general;
	message->general.type = 1;
	message->length = sizeof *message + bytes;
	message->type = 1;
	message->tag = 0xd4c4c240;
	message->revision = 1;
	return write_event(EVENT_MESSAGE, sizeof *message + bytes);
}
