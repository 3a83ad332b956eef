/*
 * What the Ultravisor answers to a guest: to a protected one the codes of its calls (s390-pv.md 2.16, appendix A: uv-guest); to a normal one nothing, the
 * instruction does not exist.
 */
#include "secure.h"

#define UVC_INIT 0x000f
#define UVC_UNKNOWN 0x4242
#define SHORT_QUERY 0xa0
#define WRONG_LENGTH 0x28

static u8 page[PAGE_BYTES] WHOLE_PAGES;

static void answer(const char *what, u16 command, u16 length, u64 at)
{
	put(what);
	put(": ");
	put_hex(ultravisor_call(command, length, at), 4);
	put("\n");
}

static void contents(void)
{
	u32 wrong = 0;
	for (u32 i = 0; i < PAGE_BYTES; i++)
		wrong += page[i] != (u8)(i * 7);
	say("  bytes changed ", wrong);
}

void guest_main(void)
{
	u64 at = (u64)page;
	if (!is_protected()) {
		put("UVC: program interruption ");
		put_hex(program_code_of(".insn rrf,0xb9a40000,%0,%1,0,0", "d"(0ul), "a"(page)), 4);
		put("\n");
		return;
	}
	for (u32 i = 0; i < PAGE_BYTES; i++)
		page[i] = i * 7;
	answer("query that is too short", UVC_QUERY, SHORT_QUERY, 0);
	answer("a host's call", UVC_INIT, 0x48, 0);
	answer("no call", UVC_UNKNOWN, 0x30, 0);
	answer("share, wrong length", UVC_SET_SHARED, WRONG_LENGTH, at);
	answer("unshare, wrong length", UVC_REMOVE_SHARED, WRONG_LENGTH, at);
	answer("share beyond storage", UVC_SET_SHARED, UVC_SHARE_LENGTH, 1ul << 40);
	answer("unshare beyond storage", UVC_REMOVE_SHARED, UVC_SHARE_LENGTH, 1ul << 40);
	answer("share", UVC_SET_SHARED, UVC_SHARE_LENGTH, at);
	contents();
	answer("share again", UVC_SET_SHARED, UVC_SHARE_LENGTH, at);
	answer("unshare", UVC_REMOVE_SHARED, UVC_SHARE_LENGTH, at);
	contents();
	answer("unshare again", UVC_REMOVE_SHARED, UVC_SHARE_LENGTH, at);
}
