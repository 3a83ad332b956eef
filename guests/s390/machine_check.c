/*
 * Machine checks that tell of a channel report: asked for by RESET CHANNEL PATH, held back by the PSW and by control register 14, and what they store: code,
 * old PSW, and all registers.
 */
#include "channel.h"
#include "machine_check.h"

#define CHANNEL_REPORT 0x10000000ul

extern char machine_check_entry[];
void open_for_checks(u64 open, const u64 *cr14);

static unsigned reset_channel_path(u32 path)
{
	register u64 r1 asm("1") = path;
	unsigned cc;
	asm volatile("rchp\n\tipm %0\n\tsrl %0,28" : "=d"(cc) : "d"(r1) : "cc", "memory");
	return cc;
}

static void say_hex(const char *text, u64 value, unsigned digits)
{
	put(text);
	put_hex(value, digits);
	put("\n");
}

static void say_checks(const char *text)
{
	say(text, LOWCORE(u64, LC_CHECKS));
}

/* Whether `count` doublewords at two places are the same. */
static void same(const char *what, u32 saved, u32 own, u32 count)
{
	u64 difference = 0;
	for (u32 i = 0; i < 8 * count; i += 8)
		difference |= LOWCORE(u64, saved + i) ^ LOWCORE(u64, own + i);
	put(what);
	put(difference ? " not saved\n" : " saved\n");
}

static void what_was_stored(void)
{
	say_hex("code ", LOWCORE(u64, 0xe8), 16);
	say_hex("external damage ", LOWCORE(u32, 0xf4), 8);
	say_hex("failing address ", LOWCORE(u64, 0xf8), 16);
	say_hex("old mask ", lowcore.machine_check_old.mask, 16);
	same("general registers", SAVED_GR, LC_GR, 16);
	same("control registers", SAVED_CR, LC_CR, 16);
	say_hex("floating point register 15 ", LOWCORE(u64, SAVED_FPR + 15 * 8), 16);
	say_hex("access register 15 ", LOWCORE(u32, SAVED_AR + 15 * 4), 8);
	say_hex("floating point control ", LOWCORE(u32, SAVED_FPC), 8);
	/* Its rightmost byte is not stored. */
	say_hex("clock comparator ", LOWCORE(u64, SAVED_COMPARATOR) & ~0xfful << 56 >> 8, 16);
	put(LOWCORE(u64, SAVED_CPU_TIMER) >> 48 ? "CPU timer saved\n" : "CPU timer not saved\n");
}

static void reports(void)
{
	u32 word = 0;
	for (unsigned cc; (cc = stcrw(&word)) == 0;)
		say_hex("report ", word, 8);
	say_hex("none left, word ", word, 8);
}

void guest_main(void)
{
	u64 cr14 = read_cr(14);
	u32 fpc = 0x00080001;
	lowcore.machine_check_new = (struct psw){ PSW_64, (u64)machine_check_entry };
	asm volatile("lfpc %0" : : "Q"(fpc));
	say_hex("control register 14 ", cr14, 16);
	say("reset of the path ", reset_channel_path(0));
	say("of one that is not there ", reset_channel_path(0x77));
	u64 closed = cr14 & ~CHANNEL_REPORT, open = cr14 | CHANNEL_REPORT;
	write_cr(14, closed);
	open_for_checks(1, &closed);
	open_for_checks(0, &closed);
	say_checks("held back by control register 14: ");
	open_for_checks(1, &open);
	open_for_checks(0, &open);
	say_checks("let through: ");
	what_was_stored();
	reports();
	say("again ", reset_channel_path(0));
	say_checks("held back by the PSW: ");
	open_for_checks(1, &open);
	open_for_checks(0, &open);
	say_checks("let through: ");
	reports();
}
