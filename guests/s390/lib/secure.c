#include "secure.h"
#include "crypto.h"

#define FACILITY_ULTRAVISOR_CALL 158
#define FACILITY_DOUBLEWORDS 3
#define CALL_SET_SHARED 8
#define CALL_REMOVE_SHARED 9
#define QUERY_LENGTH 0x120

extern volatile u8 shared_start[], shared_end[];

static union {
	struct {
		u16 length, command, response, reason;
		u64 reserved[3], page;
	};
	struct {
		u64 header[2], calls[4];
	} query;
	u8 bytes[QUERY_LENGTH];
} block __attribute__((aligned(8)));

static int has_facility(unsigned number)
{
	u64 list[FACILITY_DOUBLEWORDS] = { 0 };
	register u64 r0 asm("0") = COUNT(list) - 1;
	asm volatile("stfle %1" : "+d"(r0), "=Q"(list) : : "cc", "memory");
	return list[number / 64] >> (63 - number % 64) & 1;
}

/* Again while the Ultravisor is busy, or has done a part. */
static void call(void)
{
	unsigned cc;
	do
		asm volatile(".insn rrf,0xb9a40000,%1,%2,0,0\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "d"(0ul), "a"(&block) : "cc", "memory");
	while (cc > 1);
}

u16 ultravisor_call(u16 command, u16 length, u64 page)
{
	memset(&block, 0, sizeof block);
	block.length = length;
	block.command = command;
	if (command != UVC_QUERY)
		block.page = page;
	call();
	return block.response;
}

int is_protected(void)
{
	static int known;
	if (!known) {
		known = 1;
		if (has_facility(FACILITY_ULTRAVISOR_CALL) && ultravisor_call(UVC_QUERY, QUERY_LENGTH, 0) == UV_EXECUTED) {
			u64 both = 1ul << (63 - CALL_SET_SHARED) | 1ul << (63 - CALL_REMOVE_SHARED);
			known += (block.query.calls[0] & both) == both;
		}
	}
	return known - 1;
}

static int change(u16 command, const volatile void *page)
{
	return !is_protected() || ultravisor_call(command, UVC_SHARE_LENGTH, (u64)page) == UV_EXECUTED;
}

int share_page(const volatile void *page)
{
	return change(UVC_SET_SHARED, page);
}

int unshare_page(const volatile void *page)
{
	return change(UVC_REMOVE_SHARED, page);
}

int share_device_pages(void)
{
	for (volatile u8 *page = shared_start; page < shared_end; page += PAGE_BYTES)
		if (!share_page(page))
			return 0;
	return 1;
}

void make_secret(u8 secret[32])
{
	const char *text = loaded_command_line;
	u32 length = 0;
	u64 clock = tod();
	while (text[length])
		length++;
	struct sha256 sha;
	sha256_start(&sha);
	if (length)
		sha256_add(&sha, text, length);
	else
		sha256_add(&sha, &clock, sizeof clock);
	sha256_finish(&sha, secret);
}
