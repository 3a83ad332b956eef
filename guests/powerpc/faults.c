/*
 * Interrupts that a program brings on itself, with all that they report: in real mode, then under process-scoped radix
 * tables of the guest's own. Numbers that the architecture leaves open are not printed.
 *
 * One line for each: vector, SRR1 status, how far SRR0 is from the instruction; DAR and DSISR for storage.
 */
#include "lib/lib.h"
#include "faults.h"

/* Identity for the guest's own memory, in pages of 2 MiB; pages of 4 KiB from TEST_BASE on. */
#define LARGE 0x200000UL
#define IDENTITY_PAGES 8
#define SMALL_PAGES 512

#define PTE_PRIVILEGED 0x8
#define PTE_READ 0x4
#define PTE_WRITE 0x2
#define PTE_EXECUTE 0x1
#define PTE_USER (PTE_READ | PTE_WRITE | PTE_EXECUTE)
#define PTE_KERNEL (PTE_PRIVILEGED | PTE_READ | PTE_WRITE | PTE_EXECUTE)

struct attempt faulting;

static u64 root[0x10000 / 8] WHOLE_PAGES;
/* All below in one page: tables of 9 bits, and the process table. */
static u64 tables[0x10000 / 8] WHOLE_PAGES;
static u8 frames[0x10000] WHOLE_PAGES;

#define UPPER (tables)
#define MIDDLE (tables + 512)
#define LEAVES (tables + 1024)
#define PROCESS_TABLE (tables + 1536)

/* ---- what happened ---- */

static struct interrupt_frame seen;
static u64 interrupts;

/* Keeps the first interrupt of an attempt, and goes on where the attempt said. */
static void record(struct interrupt_frame *frame)
{
  if (interrupts++ == 0)
    seen = *frame;
  frame->srr0 = faulting.resume;
  frame->srr1 = faulting.msr;
}

/* What of an interrupt is worth telling. */
enum details { VECTOR_ONLY, STATUS, STORAGE };

static void describe(const char *name, enum details details)
{
  print(name);
  print(": ");
  if (seen.vector == VECTOR_SYSCALL && seen.srr0 != faulting.at + 4) {
    print("no interrupt\n"); /* but the system call at the end of every attempt */
    return;
  }
  print_hexadecimal(seen.vector, 3);
  if (details != VECTOR_ONLY) {
    print(" SRR1 ");
    print_hexadecimal(seen.srr1 & SRR1_STATUS, 8);
  }
  print(" SRR0 ");
  print_decimal(seen.srr0 - faulting.at);
  if (details == STORAGE) {
    print(" DAR ");
    print_hexadecimal(seen.dar, 8);
  }
  if (details == STORAGE && seen.vector == VECTOR_DATA_STORAGE) {
    print(" DSISR ");
    print_hexadecimal(seen.dsisr, 8);
  }
  print(interrupts > 1 ? " again\n" : "\n");
}

static void attempt(const char *name, attempted *code, u64 argument, u64 msr, enum details details)
{
  interrupts = 0;
  run_attempt(code, argument, mfmsr() | msr);
  describe(name, details);
}

/* ---- in real mode ---- */

static void real_mode(void)
{
  static u8 bytes[64] __attribute__((aligned(64)));
  u64 odd = (u64)bytes + 1;
  attempt("illegal", try_illegal, 0, 0, STATUS);
  attempt("trap", try_trap, 0, 0, STATUS);
  attempt("trap not taken", try_no_trap, 0, 0, STATUS);
  attempt("system call", try_system_call, 0, 0, STATUS);
  attempt("no such register", try_mtspr_unknown, 0, 0, STATUS);
  attempt("floating point", try_float, 0, 0, STATUS);
  attempt("vector", try_vector, 0, 0, STATUS);
  attempt("alignment, lwarx", try_lwarx, odd, 0, STATUS);
  print(seen.dar == odd ? "  DAR exact\n" : "  DAR wrong\n");
  attempt("alignment, lmw", try_lmw, odd, 0, STATUS);
}

/* ---- under our own tables ---- */

static u64 big_endian(u64 value)
{
  return be64(value);
}

static u64 directory(const u64 *table, u64 bits)
{
  return big_endian(RADIX_VALID | (u64)table | bits);
}

static u64 leaf(u64 address, u64 rights)
{
  return big_endian(RADIX_VALID | RADIX_LEAF | address | RADIX_REFERENCED | RADIX_CHANGED | rights);
}

static void map(u64 page, u64 rights)
{
  LEAVES[page] = rights ? leaf((u64)frames + page * 0x1000, rights) : 0;
  asm volatile("ptesync" : : : "memory");
}

/* Of one page of 4 KiB (AP 0), process-scoped */
static struct unmap unmapping(u64 page)
{
  return (struct unmap){&LEAVES[page], TEST_BASE + page * 0x1000, (u64)TEST_PID << 32};
}

static void invalidate(u64 page)
{
  struct unmap unmap = unmapping(page);
  asm volatile("ptesync; .machine push; .machine power9; tlbie %0,%1,0,1,1; .machine pop; eieio; tlbsync; ptesync"
               : : "r"(unmap.rb), "r"(unmap.rs) : "memory");
}

static void build_tables(void)
{
  root[0] = directory(UPPER, 9);
  UPPER[0] = directory(MIDDLE, 9);
  for (u64 i = 0; i < IDENTITY_PAGES; i++)
    MIDDLE[i] = leaf(i * LARGE, PTE_KERNEL);
  MIDDLE[TEST_BASE / LARGE] = directory(LEAVES, 9);
  PROCESS_TABLE[2 * TEST_PID] = big_endian(RADIX_RTS_52 | (u64)root | 13);
  PROCESS_TABLE[0] = PROCESS_TABLE[2 * TEST_PID];
}

/* Numbers of pages behind TEST_BASE */
enum { PLAIN, HOLE, READ_ONLY, KERNEL_ONLY, NO_EXECUTE, CODE, VANISHING, NEXT_HOLE };

#define AT(page, offset) (TEST_BASE + (page) * 0x1000UL + (offset))
#define TRANSLATED (MSR_IR | MSR_DR)

/* Problem state cannot fetch from the guest's own pages: a copy of an attempt where it can. */
static attempted *for_user(attempted *code)
{
  memcpy(frames + CODE * 0x1000, code, 8);
  synchronize_code(frames + CODE * 0x1000, 8);
  return (attempted *)AT(CODE, 0);
}

static void problem_state(void)
{
  attempt("privileged", for_user(try_mfmsr), 0, MSR_PR, STATUS);
  attempt("privileged register", for_user(try_mtspr), 0, MSR_PR, STATUS);
  attempt("no such register, user", for_user(try_mtspr_unknown), 0, MSR_PR, STATUS);
  attempt("illegal, user", for_user(try_illegal), 0, MSR_PR, STATUS);
  attempt("system call, user", for_user(try_system_call), 0, MSR_PR, STATUS);
}

static void check(const char *what, int good)
{
  print(what);
  print(good ? " as before\n" : " CHANGED\n");
}

/* In big-endian mode, which alone has them: R28-R31, two words of them before the hole. */
static void multiple(attempted *code, const char *name)
{
  interrupts = 0;
  run_attempt(code, AT(HOLE, -8), mfmsr() & ~(u64)MSR_LE);
  describe(name, STORAGE);
  check("  its registers", seen.gpr[28] != 0x5a5a5a5a && seen.gpr[29] != 0x5a5a5a5a);
}

static void storage(void)
{
  volatile u8 *before_hole = frames + 0x1000 - 8, *vanishing = frames + VANISHING * 0x1000;
  attempt("load", try_load, AT(HOLE, 0x18), 0, STORAGE);
  attempt("store", try_store, AT(HOLE, 0x20), 0, STORAGE);
  attempt("store, read-only", try_store, AT(READ_ONLY, 8), 0, STORAGE);
  attempt("load, read-only", try_load, AT(READ_ONLY, 8), 0, STORAGE);
  attempt("load, user's", for_user(try_load), AT(PLAIN, 0x30), MSR_PR, STORAGE);
  attempt("load, kernel's", for_user(try_load), AT(KERNEL_ONLY, 0x30), MSR_PR, STORAGE);
  attempt("fetch, hole", (attempted *)AT(HOLE, 0x40), 0, 0, STATUS);
  attempt("fetch, no execute", (attempted *)AT(NO_EXECUTE, 0x40), 0, 0, STATUS);
  /* Which of two bits says so, QEMU and the architecture do not agree about. */
  attempt("fetch, kernel's", (attempted *)AT(KERNEL_ONLY, 0x40), 0, MSR_PR, VECTOR_ONLY);
  attempt("above the tables", try_load, 0x0010000000000000, 0, STORAGE);
  attempt("dcbz", try_dcbz, AT(HOLE, 0x80), 0, STORAGE);
  attempt("lwarx", try_lwarx, AT(HOLE, 0x84), 0, STORAGE);

  /* Accesses that begin in a page that is there. What is in it stays, and so do the registers. */
  for (u32 i = 0; i < 8; i++)
    before_hole[i] = 0x5a;
  attempt("load across", try_load, AT(HOLE, -3), 0, STORAGE);
  attempt("store across", try_store, AT(HOLE, -5), 0, STORAGE);
  int kept = 1;
  for (u32 i = 0; i < 8; i++)
    kept &= before_hole[i] == 0x5a;
  check("  the page before", kept);
  attempt("byte-reversed across", try_load_reversed, AT(HOLE, -2), 0, STORAGE);
  attempt("halfword across", try_load_halfword, AT(HOLE, -1), 0, STORAGE);
  attempt("load with update", try_load_update, AT(HOLE, 0x50), 0, STORAGE);
  check("  its base", seen.gpr[4] == AT(HOLE, 0x50) - 16);
  attempt("store with update", try_store_update, AT(HOLE, 0x58), 0, STORAGE);
  check("  its base", seen.gpr[4] == AT(HOLE, 0x58) - 16);

  /* The same with instructions of many accesses, which may be done in part; here they are not. */
  multiple(try_load_multiple, "load multiple");
  multiple(try_store_multiple, "store multiple");
  multiple(try_load_string, "load string");
  multiple(try_store_string, "store string");
  kept = 1;
  for (u32 i = 0; i < 8; i++)
    kept &= before_hole[i] == 0x5a;
  check("  the page before", kept);

  /* A page that was used, unmapped and invalidated; mapped again; then read-only. */
  *vanishing = 7;
  attempt("page there", try_store, AT(VANISHING, 0), 0, STORAGE);
  map(VANISHING, 0);
  invalidate(VANISHING);
  attempt("page gone", try_load, AT(VANISHING, 0), 0, STORAGE);
  map(VANISHING, PTE_KERNEL);
  attempt("page back", try_load, AT(VANISHING, 0), 0, STORAGE);
  map(VANISHING, PTE_PRIVILEGED | PTE_READ);
  invalidate(VANISHING);
  attempt("page read-only", try_store, AT(VANISHING, 0), 0, STORAGE);

  /* Many times, so that the access is translated code by then. */
  map(VANISHING, PTE_KERNEL);
  attempt("loop into a hole", try_loop, AT(NEXT_HOLE, -0x800), 0, STORAGE);
  print("  turns left ");
  print_decimal(seen.ctr);
  struct unmap unmap = unmapping(VANISHING);
  mtspr(SPR_SPRG0, &unmap);
  attempt("\nloop that unmaps its page", try_unmap_in_loop, AT(VANISHING, 0x10), 0, STORAGE);
  print("  turns left ");
  print_decimal(seen.ctr);
  print("\n");
}

int main(void)
{
  static const u16 vectors[] = {0x300, 0x380, 0x400, 0x480, 0x600, 0x700, 0x800, 0xc00, 0xf20, 0xf40};
  for (u32 i = 0; i < COUNT(vectors); i++)
    handle_interrupt(vectors[i], record);
  mtspr(SPR_DEC, 0x7fffffff); /* far away: problem state has MSR[EE]=1 */
  install_interrupts(0);
  real_mode();

  build_tables();
  map(PLAIN, PTE_USER);
  map(CODE, PTE_USER);
  map(READ_ONLY, PTE_PRIVILEGED | PTE_READ);
  map(KERNEL_ONLY, PTE_KERNEL);
  map(NO_EXECUTE, PTE_PRIVILEGED | PTE_READ | PTE_WRITE);
  map(VANISHING, PTE_KERNEL);
  s64 status = hypercall(H_REGISTER_PROC_TBL, PROC_TBL_NEW | PROC_TBL_RADIX | PROC_TBL_GTSE, (u64)PROCESS_TABLE, 0, 0);
  if (status != H_SUCCESS) {
    print("H_REGISTER_PROC_TBL says ");
    print_decimal(status);
    print("\n");
    return 0;
  }
  mtspr(SPR_PIDR, TEST_PID);
  mtmsrd(mfmsr() | TRANSLATED);
  print("translated\n");
  problem_state();
  storage();
  mtmsrd(mfmsr() & ~(u64)TRANSLATED);
  return 0;
}
