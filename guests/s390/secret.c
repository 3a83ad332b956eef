/*
 * A guest with a secret and one page that it shares: everything that it says is laid out in that page first. All else, the secret first of all, stays where
 * only the guest sees it. The secret is the first 32 bytes of the page `secret`, made of what the owner of a protected image put into it as command line.
 */
#include "secure.h"

#define SECRET_WORDS 4
#define ROUNDS 4

/* Both in a page of their own. */
u64 secret[PAGE_BYTES / 8] WHOLE_PAGES;
static char shared[PAGE_BYTES] WHOLE_PAGES;

static void tell(const char *text)
{
	u32 length = 0;
	while (text[length])
		length++;
	memcpy(shared, text, length + 1);
	asm volatile("" : : : "memory");
	put(shared);
}

/* Mixes the secret into the rest of its page, and gives a number that depends on all of it. */
static u64 mix(void)
{
	u64 state = 0;
	for (u32 i = SECRET_WORDS; i < COUNT(secret); i++)
		secret[i] = i;
	for (u32 round = 0; round < ROUNDS; round++)
		for (u32 i = SECRET_WORDS; i < COUNT(secret); i++) {
			state = (state ^ secret[i % SECRET_WORDS]) * 0x9e3779b97f4a7c15;
			state ^= state >> 29;
			secret[i] += state;
			state += secret[i];
		}
	return state;
}

void guest_main(void)
{
	if (!share_page(shared)) {
		put("the page cannot be shared\n");
		return;
	}
	tell("talking through one page\n");
	make_secret((u8 *)secret);
	u64 before = mix();
	tell("made a secret of 32 bytes\n");
	tell("mixed it\n");
	tell(mix() == before ? "secret intact\n" : "secret damaged\n");
	put(unshare_page(shared) ? "page taken back\n" : "the page cannot be taken back\n");
	put(is_protected() ? "ran as a protected VM\n" : "ran as a normal VM\n");
}
