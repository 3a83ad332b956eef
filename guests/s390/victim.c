/*
 * The victim of the hostile hypervisors. It makes a secret, and works with it in memory and in all registers, in rounds. In each round it looks at everything
 * that a hypervisor must not have touched, and says what it found: memory, registers, control (it went on somewhere else), interrupts (one came while all of
 * its class were masked), exception (an instruction ended with a program interruption), a new page (it was not empty, or did not hold what was stored there),
 * SCLP (more was written than the answer). So what it says is either the same as always, or evidence.
 *
 * The secret is the first 32 bytes of `secret`, made of the command line. Nothing that the victim says or does depends on it. The page `strike` it shares: there
 * it tells the host which round it is, and where what it looks at lies; so does register 4 of its DIAGNOSE 0x500, a notification of a device that there is not.
 */
#include "secure.h"
#include "victim.h"

#define ROUNDS 6
#define SECRET_WORDS 4
#define WORDS (PAGE_BYTES / 8)
#define PAGES 2
/* Pages that nobody has touched, one for each round: above the image. */
#define NEW_PAGES 0x1000000ul

#define NOTIFY 3
#define NO_SUBCHANNEL 0x1ffff

struct registers {
	u64 gr[16], fpr[16], cr[16];
	u32 ar[16], fpc, prefix;
	u64 mask, comparator;
};

#define OFFSET(member) __builtin_offsetof(struct registers, member)
_Static_assert(OFFSET(gr) == REGISTERS_GR && OFFSET(fpr) == REGISTERS_FPR && OFFSET(cr) == REGISTERS_CR, "gr, fpr, cr");
_Static_assert(OFFSET(ar) == REGISTERS_AR && OFFSET(fpc) == REGISTERS_FPC && OFFSET(prefix) == REGISTERS_PREFIX, "ar, fpc, prefix");
_Static_assert(OFFSET(mask) == REGISTERS_MASK && OFFSET(comparator) == REGISTERS_COMPARATOR, "mask, comparator");
_Static_assert(sizeof(struct registers) == REGISTERS_BYTES, "size");

unsigned diagnose_with_all_registers(const struct registers *put, struct registers *found);
extern char victim_io[], victim_machine_check[], victim_restart[], victim_external[];

/* In pages of their own. The first begins with the secret; the last is where it is remembered what must be in the others. */
u64 secret[PAGES + 1][WORDS] WHOLE_PAGES;
#define SECRET (secret[0])
#define REMEMBERED (secret[PAGES])

struct strike {
	u64 round, secret, pages, new_page;
};
volatile struct strike strike WHOLE_PAGES;
static u8 rest_of_page[PAGE_BYTES - sizeof strike] __attribute__((used, aligned(PAGE_BYTES)));

static u64 mix(u64 a, u64 b)
{
	a = (a ^ b) * 0x9e3779b97f4a7c15;
	return a ^ a >> 29;
}

/* ---- memory ---- */

/* What is in word `i` of a page after a round. */
static u64 word(u32 page, u32 i, u64 round)
{
	return mix(REMEMBERED[i % SECRET_WORDS] + round, page * WORDS + i);
}

static void write_memory(u64 round)
{
	for (u32 page = 0; page < PAGES; page++)
		for (u32 i = page == 0 ? SECRET_WORDS : 0; i < WORDS; i++)
			secret[page][i] = word(page, i, round);
}

static int memory_changed(u64 round)
{
	u64 difference = 0;
	for (u32 i = 0; i < SECRET_WORDS; i++)
		difference |= REMEMBERED[i] ^ mix(SECRET[i], i);
	for (u32 page = 0; page < PAGES; page++)
		for (u32 i = page == 0 ? SECRET_WORDS : 0; i < WORDS; i++)
			difference |= secret[page][i] ^ word(page, i, round);
	return difference != 0;
}

static volatile u64 *new_page_of(u64 round)
{
	return (volatile u64 *)(NEW_PAGES + round * PAGE_BYTES);
}

/* The page that was touched in the round before holds what was stored there; the next one is empty, and is stored to. */
static int new_page_changed(u64 round)
{
	volatile u64 *before = new_page_of(round - 1), *next = new_page_of(round);
	u64 difference = 0;
	for (u32 i = 0; i < WORDS; i++) {
		if (round > 1)
			difference |= before[i] ^ mix(round - 1, i);
		difference |= next[i];
		next[i] = mix(round, i);
	}
	return difference != 0;
}

/* ---- registers ---- */

#define FIRST_SECRET_GR 8
#define LAST_FPR 15
/* Nobody lives to see it. */
#define FAR_AWAY (0xfful << 56)
/* Condition code in bits 2 and 3 of a byte, and of the program mask what interrupts nothing that the victim does: significance. */
#define MASK_BITS 0x31ul
#define FPC_BITS 0x00f8ff03
#define SET_MASK 0x0000ff0000000000ul
/* A hypercall may set the condition code (Linux counts on nothing else). */
#define CONDITION_CODE 0x0000300000000000ul

/* A value that depends on secret and round for each register that can have any; the secret itself in some of each kind. */
static void choose_registers(struct registers *put, u64 round)
{
	u64 *values = (u64 *)put;
	u32 prefix;
	u32 high, low;
	for (u32 i = 0; i < sizeof *put / 8; i++)
		values[i] = mix(REMEMBERED[i % SECRET_WORDS] + round, i);
	for (u32 i = 0; i < SECRET_WORDS; i++)
		put->gr[FIRST_SECRET_GR + i] = SECRET[i];
	put->fpr[LAST_FPR] = SECRET[2];
	put->cr[1] = SECRET[0];
	put->cr[0] = read_cr(0);
	put->cr[6] = read_cr(6);
	put->cr[14] = read_cr(14);
	put->fpc &= FPC_BITS;
	asm volatile("stpx %0" : "=Q"(prefix));
	put->prefix = prefix;
	asm volatile("epsw %0,%1" : "=d"(high), "=d"(low));
	put->mask = (((u64)high << 32 | low) & ~SET_MASK) | (put->mask & MASK_BITS << 40);
	put->comparator |= FAR_AWAY;
	put->gr[1] = NOTIFY;
	put->gr[2] = NO_SUBCHANNEL;
	put->gr[3] = 0;
	put->gr[4] = round;
}

struct changes {
	int registers, control, exception;
};

/* The CPU timer: it only counts down, and never so far. */
static int timer_changed(u64 before)
{
	u64 after;
	asm volatile("stpt %0" : "=Q"(after));
	return after > before || before - after > FAR_AWAY / 16;
}

static struct changes tell_host(u64 round)
{
	static struct registers chosen, found;
	struct changes changes = { 0, 0, 0 };
	u64 timer;
	strike.round = round;
	strike.new_page = (u64)new_page_of(round);
	choose_registers(&chosen, round);
	lowcore.program_code = 0;
	asm volatile("stpt %0" : "=Q"(timer));
	changes.control = diagnose_with_all_registers(&chosen, &found) != 0;
	changes.exception = lowcore.program_code != 0;
	set_clock_comparator(-1ul);
	found.gr[2] = chosen.gr[2];
	found.mask = (found.mask & ~CONDITION_CODE) | (chosen.mask & CONDITION_CODE);
	u64 difference = 0;
	for (u32 i = 0; i < sizeof found / 8; i++)
		difference |= ((u64 *)&chosen)[i] ^ ((u64 *)&found)[i];
	changes.registers = difference != 0 || timer_changed(timer);
	return changes;
}

/* ---- SCLP ---- */

#define BLOCK_BYTES 512

/* What lies behind a block is not the host's. */
static int sclp_changed_more(void)
{
	static u8 block[PAGE_BYTES] WHOLE_PAGES;
	u32 wrong = 0;
	memset(block, 0x5a, sizeof block);
	memset(block, 0, BLOCK_BYTES);
	*(u16 *)block = BLOCK_BYTES;
	sclp(SCLP_READ_CPU_INFO, block);
	for (u32 i = BLOCK_BYTES; i < PAGE_BYTES; i++)
		wrong |= block[i] ^ 0x5a;
	return wrong != 0;
}

/* ---- rounds ---- */

static int say_if(int changed, const char *what)
{
	if (changed)
		put(what);
	return changed;
}

static void take_over_interruptions(void)
{
	lowcore.io_new = (struct psw){ PSW_64, (u64)victim_io };
	lowcore.machine_check_new = (struct psw){ PSW_64, (u64)victim_machine_check };
	lowcore.restart_new = (struct psw){ PSW_64, (u64)victim_restart };
	lowcore.external_new = (struct psw){ PSW_64, (u64)victim_external };
	LOWCORE(u64, LC_MASKED_INTERRUPTS) = 0;
}

void guest_main(void)
{
	if (!share_page(&strike)) {
		put("the page cannot be shared\n");
		return;
	}
	strike.secret = (u64)SECRET;
	strike.pages = PAGES;
	take_over_interruptions();
	make_secret((u8 *)SECRET);
	for (u32 i = 0; i < SECRET_WORDS; i++)
		REMEMBERED[i] = mix(SECRET[i], i);
	write_memory(0);
	put("made a secret\n");
	struct changes changes = tell_host(0);
	for (u64 round = 1; round <= ROUNDS; round++) {
		int memory = memory_changed(round - 1), new_page = new_page_changed(round), more = sclp_changed_more();
		write_memory(round);
		put("round ");
		put_number(round);
		put(":");
		int any = say_if(memory, " memory") | say_if(changes.registers, " registers") | say_if(changes.control, " control") |
			  say_if(LOWCORE(u64, LC_MASKED_INTERRUPTS) != 0, " interrupts") | say_if(changes.exception, " exception") |
			  say_if(new_page, " new page") | say_if(more, " SCLP");
		put(any ? " CHANGED\n" : " intact\n");
		changes = tell_host(round);
	}
	put(is_protected() ? "ran as a protected VM\n" : "ran as a normal VM\n");
}
