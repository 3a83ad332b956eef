/*
 * Program interruptions that a program brings on itself, with all that they report: with real addresses, then under tables of the guest's own, and in problem
 * state. What the architecture leaves open is not printed; what QEMU does not have (decimal arithmetic, fixed-point overflow) is not tried.
 *
 * One line for each: code and instruction length, how far the old PSW is from the instruction; the translation-exception identification for storage.
 */
#include "lib.h"
#include "faults.h"

#define PAGE_BYTES 4096
#define TEST_BASE 0x80000000ul
#define BEYOND_STORAGE 0x70000000ul
#define SEGMENT_BYTES 0x100000ul
#define IDENTITY_SEGMENTS 8

/* DAT tables (Principles of Operation, "Dynamic Address Translation") */
#define ASCE_SEGMENT_TABLE 0x3
#define ASCE_REGION_THIRD_TABLE 0x4
#define REGION_THIRD 0x4
#define TABLE_LENGTH 0x3
#define INVALID_SEGMENT 0x20
#define INVALID_PAGE 0x400
#define PROTECTED_PAGE 0x200
#define WRONG_PAGE 0x800

/* In CR8 */
#define MONITOR_CLASS_5 (0x8000 >> 5)

#define ENTRIES 2048
static u64 region_table[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static u64 low_segments[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static u64 test_segments[ENTRIES] __attribute__((aligned(PAGE_BYTES)));
static u64 page_tables[IDENTITY_SEGMENTS + 1][256] __attribute__((aligned(PAGE_BYTES)));
static u8 frames[16][PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
#define TEST_PAGES (page_tables[IDENTITY_SEGMENTS])

/* Numbers of pages behind TEST_BASE */
enum { PLAIN, HOLE, READ_ONLY, WRONG, VANISHING, NEXT_HOLE, OUTSIDE };
#define AT(page, offset) (TEST_BASE + (page) * (u64)PAGE_BYTES + (offset))

/* Attempts are translated with this in their mask; all else has real addresses. */
static u64 translation;

static u64 current_mask(void)
{
	u32 high, low;
	asm volatile("epsw %0,%1" : "=d"(high), "=d"(low));
	return (u64)high << 32 | low;
}

static u64 ended_register(unsigned number)
{
	return LOWCORE(u64, LC_REGISTERS + 8ul * number);
}

enum details { CODE, STORAGE };

static void describe(const char *name, attempted *code, enum details details)
{
	put(name);
	put(": ");
	if (LOWCORE(u8, LC_SVC_SEEN)) {
		put("none\n");
		return;
	}
	put_hex(lowcore.program_code, 4);
	say(" length ", lowcore.program_length);
	put("  at ");
	put_number(lowcore.program_seen.address - (u64)code);
	if (lowcore.program_code == 7) {
		put(" data ");
		put_hex(lowcore.data_exception_code, 2);
	}
	if (details == STORAGE) {
		put(" TEID ");
		/* Of what stands behind the page some bits are open. */
		put_hex(lowcore.translation_exception & ~0xffful, 16);
	}
	put("\n");
}

static void attempt(const char *name, attempted *code, u64 argument, u64 mask, enum details details)
{
	lowcore.program_code = 0;
	run_attempt(code, argument, current_mask() | translation | mask);
	describe(name, code, details);
}

static void real_addresses(void)
{
	static u8 bytes[2048] __attribute__((aligned(8)));
	static u64 executed[2] __attribute__((aligned(8))) = { 0x4400300000000000, 0 };
	u64 data = (u64)bytes;
	attempt("operation", try_operation, 0, 0, CODE);
	attempt("operation of four bytes", try_no_such, 0, 0, CODE);
	attempt("operation of six bytes", try_six_bytes, 0, 0, CODE);
	attempt("supervisor call", try_svc, 0, 0, CODE);
	attempt("execute of an execute", try_execute, (u64)executed, 0, CODE);
	attempt("addressing", try_load, BEYOND_STORAGE, 0, CODE);
	attempt("addressing, store", try_store, BEYOND_STORAGE, 0, CODE);
	attempt("LPSWE off a doubleword", try_lpswe_odd, data, 0, CODE);
	attempt("an odd pair", try_odd_pair, 0, 0, CODE);
	attempt("CSG off a doubleword", try_csg_odd, data, 0, CODE);
	attempt("divide by 0", try_divide, 0, 0, CODE);
	attempt("quotient too large", try_divide_overflow, 0, 0, CODE);
	attempt("overflow, masked", try_add_overflow, 1ul << 62, 0, CODE);
	u64 cr0 = read_cr(0);
	write_cr(0, cr0 & ~(u64)CR0_AFP);
	attempt("floating point without AFP", try_float, 0, 0, CODE);
	write_cr(0, cr0);
	attempt("monitor, masked", try_monitor, 0x1000, 0, CODE);
	write_cr(8, MONITOR_CLASS_5);
	attempt("monitor", try_monitor, 0x1000, 0, CODE);
	put("  class ");
	put_hex(LOWCORE(u16, 0x94), 4);
	put(" code ");
	put_hex(LOWCORE(u64, 0xb0), 16);
	put("\n");
	write_cr(8, 0);
}

static void map(u64 page, u64 rights)
{
	TEST_PAGES[page] = rights == INVALID_PAGE ? INVALID_PAGE : (u64)frames[page] | rights;
	asm volatile("ptlb" : : : "memory");
}

static void invalidate(u64 page)
{
	asm volatile("ipte %0,%1" : : "d"((u64)TEST_PAGES), "d"(AT(page, 0)) : "memory");
}

static void build_tables(void)
{
	for (u32 i = 0; i < ENTRIES; i++) {
		region_table[i] = INVALID_SEGMENT | REGION_THIRD;
		low_segments[i] = test_segments[i] = INVALID_SEGMENT;
	}
	for (u32 segment = 0; segment < IDENTITY_SEGMENTS; segment++) {
		for (u32 i = 0; i < 256; i++)
			page_tables[segment][i] = segment * SEGMENT_BYTES + (u64)i * PAGE_BYTES;
		low_segments[segment] = (u64)page_tables[segment];
	}
	for (u32 i = 0; i < 256; i++)
		TEST_PAGES[i] = INVALID_PAGE;
	test_segments[0] = (u64)TEST_PAGES;
	region_table[0] = (u64)low_segments | REGION_THIRD | TABLE_LENGTH;
	region_table[1] = (u64)test_segments | REGION_THIRD | TABLE_LENGTH;
}

static void problem_state(void)
{
	attempt("problem state, load", try_load, AT(PLAIN, 0x30), PSW_PROBLEM, CODE);
	attempt("problem state, STOSM", try_stosm, AT(PLAIN, 0), PSW_PROBLEM, CODE);
	attempt("problem state, STIDP", try_stidp, AT(PLAIN, 0), PSW_PROBLEM, CODE);
	attempt("problem state, LCTL", try_lctl, AT(PLAIN, 0), PSW_PROBLEM, CODE);
	attempt("problem state, SPKA", try_spka, 0, PSW_PROBLEM, CODE);
	attempt("problem state, operation", try_operation, 0, PSW_PROBLEM, CODE);
	attempt("problem state, hole", try_load, AT(HOLE, 0x30), PSW_PROBLEM, STORAGE);
}

static void check(const char *what, int good)
{
	put(what);
	put(good ? " as before\n" : " CHANGED\n");
}

static int is_filled(const volatile u8 *at, u32 bytes)
{
	u32 wrong = 0;
	for (u32 i = 0; i < bytes; i++)
		wrong += at[i] != 0x5a;
	return wrong == 0;
}

static void storage(void)
{
	u8 *before_hole = frames[PLAIN] + PAGE_BYTES - 64;
	attempt("load", try_load, AT(HOLE, 0x18), 0, STORAGE);
	attempt("store", try_store, AT(HOLE, 0x20), 0, STORAGE);
	attempt("store, read-only", try_store, AT(READ_ONLY, 8), 0, STORAGE);
	attempt("load, read-only", try_load, AT(READ_ONLY, 8), 0, CODE);
	attempt("test under mask", try_test_under, AT(HOLE, 8), 0, STORAGE);
	attempt("convert to decimal", try_convert, AT(HOLE, 8), 0, STORAGE);
	attempt("a wrong page table entry", try_load, AT(WRONG, 8), 0, CODE);
	attempt("a page beyond storage", try_load, AT(OUTSIDE, 8), 0, CODE);
	attempt("an invalid segment", try_load, TEST_BASE + SEGMENT_BYTES, 0, STORAGE);
	attempt("an invalid region", try_load, 4 * TEST_BASE, 0, STORAGE);
	attempt("beyond the tables", try_load, 1ul << 42, 0, STORAGE);
	attempt("fetch, hole", (attempted *)AT(HOLE, 0x40), 0, 0, STORAGE);

	/* Accesses that begin in a page that is there. What is in it stays, and so do the registers. */
	memset(before_hole, 0x5a, 64);
	attempt("load across", try_load, AT(HOLE, -3), 0, STORAGE);
	attempt("store across", try_store, AT(HOLE, -5), 0, STORAGE);
	attempt("load multiple", try_multiple_load, AT(HOLE, -24), 0, STORAGE);
	attempt("store multiple", try_multiple_store, AT(HOLE, -24), 0, STORAGE);
	attempt("move", try_move, AT(HOLE, -8), 0, STORAGE);
	attempt("move from", try_move_from, AT(HOLE, 0x10), 0, STORAGE);
	attempt("execute of a store", try_executed_store, AT(HOLE, 0x10), 0, STORAGE);
	check("  the page before", is_filled(before_hole, 64));

	/* What may be interrupted in the middle says how far it has come. */
	memset(frames[PLAIN], 0, PAGE_BYTES);
	attempt("long move", try_long_move, AT(HOLE, -0x800), 0, STORAGE);
	say("  bytes left ", ended_register(5));
	check("  what it has moved", is_filled(frames[PLAIN] + 0x800, 0x800));
	memset(frames[PLAIN], 1, PAGE_BYTES);
	attempt("compare", try_compare, AT(HOLE, -0x500), 0, STORAGE);
}

/* A page that was used, unmapped and invalidated; mapped again; then read-only. Loops into holes, many times, so that the access is translated code by then. */
static void vanishing(void)
{
	frames[VANISHING][0] = 7;
	attempt("page there", try_store, AT(VANISHING, 0), 0, CODE);
	invalidate(VANISHING);
	attempt("page gone", try_load, AT(VANISHING, 0), 0, STORAGE);
	map(VANISHING, 0);
	attempt("page back", try_load, AT(VANISHING, 0), 0, CODE);
	map(VANISHING, PROTECTED_PAGE);
	attempt("page read-only", try_store, AT(VANISHING, 0), 0, STORAGE);
	map(VANISHING, 0);
	lowcore.program_code = 0;
	run_attempt(try_loop, AT(NEXT_HOLE, -0x800), current_mask() | translation);
	say("loop into a hole, turns left ", ended_register(6));
	put("  TEID ");
	put_hex(lowcore.translation_exception & ~0xffful, 16);
	LOWCORE(u64, LC_UNMAP) = (u64)TEST_PAGES;
	run_attempt(try_unmap_in_loop, AT(VANISHING, 0x10), current_mask() | translation);
	say("\nloop that unmaps its page, turns left ", ended_register(6));
	put("  TEID ");
	put_hex(lowcore.translation_exception & ~0xffful, 16);
	put("\n");
}

void guest_main(void)
{
	lowcore.svc_new = (struct psw){ PSW_64, (u64)attempt_svc };
	real_addresses();
	build_tables();
	map(PLAIN, 0);
	map(READ_ONLY, PROTECTED_PAGE);
	map(WRONG, WRONG_PAGE);
	map(VANISHING, 0);
	map(OUTSIDE, 0);
	TEST_PAGES[OUTSIDE] = BEYOND_STORAGE;
	write_cr(1, (u64)region_table | ASCE_REGION_THIRD_TABLE);
	put("translated\n");
	translation = PSW_DAT;
	problem_state();
	storage();
	vanishing();
}
