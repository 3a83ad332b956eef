/*
 * The victim of the hostile hypervisors. It makes a secret, and works with it in memory and in all registers, in rounds. In each round it looks at
 * everything that a hypervisor must not have touched, and says what it found: memory, registers, control (it went on somewhere else), interrupts (one came
 * while all were masked), a new page (it did not hold what was stored there). So what it says is either the same as always, or evidence.
 *
 * The secret is the first 32 bytes of `pages`: random numbers of the firmware's (TRNG). Nothing that it says or does depends on it. A protected guest
 * names its device's page first (MMIO guard), so that nothing else that it touches can be taken for a device.
 */
#include "lib.h"
#include "victim.h"

#define ROUNDS 6
#define SECRET_WORDS 4
#define PAGE_BYTES 4096
#define WORDS (PAGE_BYTES / 8)
#define PAGES 2
/* Pages that nobody has touched: one for each round, above the image. */
#define NEW_PAGES 0x40600000ul

#define KVM_FEATURES 0x86000000ul
#define MMIO_GUARD_ENROLL 0xc6000006ul
#define MMIO_GUARD_MAP 0xc6000007ul
#define TRNG_RND64 0xc4000053ul
#define FEATURE_MEM_SHARE (1 << 3)

struct registers {
	u64 x[31];
	u64 nzcv;
	u64 v[64];
	u64 system[VICTIM_SYSTEM_REGISTERS];
};

#define OFFSET(member) __builtin_offsetof(struct registers, member)
_Static_assert(OFFSET(x[30]) == REGISTERS_X(30) && OFFSET(nzcv) == REGISTERS_NZCV, "x, nzcv");
_Static_assert(OFFSET(v[62]) == REGISTERS_V(31) && OFFSET(system[1]) == REGISTERS_SYSTEM(1), "v, system");

u64 store_with_all_registers(const struct registers *put, struct registers *found);
void keep_what_there_is(struct registers *put);
extern char victim_vectors[];
volatile u64 masked_interrupts;

/* In pages of their own. The first begins with the secret; the last is where it is remembered what must be in the others. */
u64 pages[PAGES + 1][WORDS] __attribute__((aligned(PAGE_BYTES)));
#define SECRET (pages[0])
#define REMEMBERED (pages[PAGES])

static u64 mix(u64 a, u64 b)
{
	a = (a ^ b) * 0x9e3779b97f4a7c15;
	return a ^ a >> 29;
}

/* ---- the secret ---- */

/* The last of the registers that a call of the firmware's gives. */
static u64 random_number(void)
{
	register u64 x0 asm("x0") = TRNG_RND64;
	register u64 x1 asm("x1") = 64;
	register u64 x2 asm("x2") = 0;
	register u64 x3 asm("x3") = 0;
	asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	/* A machine without random numbers has no secret to lose either. */
	return x0 == 0 ? x3 : mix(read_register(cntvct_el0), 1);
}

static void make_secret(void)
{
	for (u32 i = 0; i < SECRET_WORDS; i++)
		SECRET[i] = random_number();
	for (u32 i = 0; i < SECRET_WORDS; i++)
		REMEMBERED[i] = mix(SECRET[i], i);
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
			pages[page][i] = word(page, i, round);
}

static int memory_changed(u64 round)
{
	u64 difference = 0;
	for (u32 i = 0; i < SECRET_WORDS; i++)
		difference |= REMEMBERED[i] ^ mix(SECRET[i], i);
	for (u32 page = 0; page < PAGES; page++)
		for (u32 i = page == 0 ? SECRET_WORDS : 0; i < WORDS; i++)
			difference |= pages[page][i] ^ word(page, i, round);
	return difference != 0;
}

/* The first access to a page stores a word of the secret, the second loads it. */
static int new_page_changed(u64 round)
{
	u64 value, at = NEW_PAGES + round * PAGE_BYTES;
	asm volatile("str %1, [%2]\n\tldr %0, [%2]" : "=&r"(value) : "r"(SECRET[round % SECRET_WORDS]), "r"(at) : "memory");
	return value != SECRET[round % SECRET_WORDS];
}

/* ---- registers ---- */

#define FIRST_SECRET_X 19
#define LAST_V 62
#define TPIDR_EL1_AT 2
#define ELR_AT 10
#define SPSR_AT 11

/* A value that depends on secret and round for each register that can have any; the secret itself in one of each kind. */
static void choose_registers(struct registers *put, u64 round)
{
	u64 *values = (u64 *)put;
	for (u32 i = 0; i < sizeof *put / 8; i++)
		values[i] = mix(REMEMBERED[i % SECRET_WORDS] + round, i);
	for (u32 i = 0; i < SECRET_WORDS; i++)
		put->x[FIRST_SECRET_X + i] = SECRET[i];
	put->v[LAST_V] = SECRET[0];
	put->system[TPIDR_EL1_AT] = SECRET[1];
	put->nzcv &= 0xf0000000;
	put->system[SPSR_AT] = (put->system[SPSR_AT] & 0xf0000000) | 0x3c5;
	put->x[0] = '\n';
	put->x[1] = UART_BASE + UART_DR;
}

struct changes {
	int registers, control;
};

static struct changes end_line(u64 round)
{
	static struct registers chosen __attribute__((aligned(16))), found __attribute__((aligned(16)));
	choose_registers(&chosen, round);
	keep_what_there_is(&chosen);
	struct changes changes = {0, store_with_all_registers(&chosen, &found) != 0};
	u64 difference = 0;
	for (u32 i = 0; i < sizeof chosen / 8; i++)
		difference |= ((u64 *)&chosen)[i] ^ ((u64 *)&found)[i];
	changes.registers = difference != 0;
	return changes;
}

/* ---- rounds ---- */

static int say_if(int changed, const char *what)
{
	if (changed)
		put(what);
	return changed;
}

static int is_protected(void)
{
	s64 features = psci(KVM_FEATURES, 0, 0, 0);
	return features > 0 && (features & FEATURE_MEM_SHARE);
}

void guest_main(void)
{
	int protected = is_protected();
	if (protected) {
		psci(MMIO_GUARD_ENROLL, 0, 0, 0);
		psci(MMIO_GUARD_MAP, UART_BASE, 0, 0);
	}
	write_register(vbar_el1, victim_vectors);
	write_register(cpacr_el1, 3 << 20);
	make_secret();
	write_memory(0);
	put("made a secret");
	struct changes changes = end_line(0);
	for (u64 round = 1; round <= ROUNDS; round++) {
		int memory = memory_changed(round - 1), new_page = new_page_changed(round);
		write_memory(round);
		put("round ");
		put_number(round);
		put(":");
		int any = say_if(memory, " memory") | say_if(changes.registers, " registers") |
			  say_if(changes.control, " control") | say_if(masked_interrupts != 0, " interrupts") |
			  say_if(new_page, " new page");
		put(any ? " CHANGED" : " intact");
		changes = end_line(round);
	}
	put(protected ? "ran as a protected VM\n" : "ran as a normal VM\n");
}
