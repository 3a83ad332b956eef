/*
 * The victim of the hostile hypervisors. It becomes secure if it can, makes a secret, and works with it in memory and in all
 * registers, in rounds. In each round it looks at everything that a hypervisor must not have touched, and says what it found:
 * memory, registers, control (it went on somewhere else), interrupts (one came while all were masked), RTAS (more was written
 * than the answer). So what it says is either the same as always, or evidence.
 *
 * The secret is the first 32 bytes of the page at image offset 0x20000; three quarters are numbers of the CPU (`darn`), the
 * last is what H_RANDOM gave. Nothing that it says or does depends on the secret.
 */
#include "lib/lib.h"
#include "victim.h"

#define ROUNDS 6
#define SECRET_WORDS 4
#define WORDS (PAGE_BYTES / 8)
#define PAGES 2

struct registers {
  u64 gpr[32], fpr[32];
  u64 cr, lr, ctr, xer, fpscr, msr;
  u64 spr[VICTIM_SPRS];
};

#define OFFSET(member) __builtin_offsetof(struct registers, member)
_Static_assert(OFFSET(gpr[31]) == REGISTERS_GPR(31) && OFFSET(fpr[31]) == REGISTERS_FPR(31), "gpr, fpr");
_Static_assert(OFFSET(cr) == REGISTERS_CR && OFFSET(lr) == REGISTERS_LR, "cr, lr");
_Static_assert(OFFSET(ctr) == REGISTERS_CTR && OFFSET(xer) == REGISTERS_XER, "ctr, xer");
_Static_assert(OFFSET(fpscr) == REGISTERS_FPSCR && OFFSET(msr) == REGISTERS_MSR, "fpscr, msr");
_Static_assert(OFFSET(spr[1]) == REGISTERS_SPR(1), "spr");

u64 hypercall_with_all_registers(const struct registers *put, struct registers *found);

/* In pages of their own. The first begins with the secret; the last is where it is remembered what must be in the others. */
static u64 pages[PAGES + 1][WORDS] WHOLE_PAGES;
#define SECRET (pages[0])
#define REMEMBERED (pages[PAGES])

static volatile u64 masked_interrupts;

static u64 mix(u64 a, u64 b)
{
  a = (a ^ b) * 0x9e3779b97f4a7c15;
  return a ^ a >> 29;
}

/* ---- the secret ---- */

static u64 number_of_the_cpu(void)
{
  u64 value;
  asm volatile(".machine push; .machine power9; darn %0,1; .machine pop" : "=r"(value));
  return value;
}

static u64 number_of_the_hypervisor(void)
{
  u64 registers[10] = {H_RANDOM};
  hypercall_registers(registers);
  return registers[0] == H_SUCCESS ? registers[1] : number_of_the_cpu();
}

static void make_secret(void)
{
  for (u32 i = 0; i < SECRET_WORDS - 1; i++)
    SECRET[i] = number_of_the_cpu();
  SECRET[SECRET_WORDS - 1] = number_of_the_hypervisor();
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

/* ---- registers ---- */

#define FIRST_SECRET_GPR 14
#define FAR_AWAY (1UL << 40)
#define LAST_FPR 31
#define SPRG0_AT 0
#define VRSAVE_AT 3
#define FSCR_AT 8

/* A value that depends on secret and round for each register that can have any; the secret itself in one of each kind. */
static void choose_registers(struct registers *put, u64 round)
{
  u64 *values = (u64 *)put;
  for (u32 i = 0; i < sizeof *put / 8; i++)
    values[i] = mix(REMEMBERED[i % SECRET_WORDS] + round, i);
  for (u32 i = 0; i < SECRET_WORDS; i++)
    put->gpr[FIRST_SECRET_GPR + i] = SECRET[i];
  put->ctr = SECRET[0];
  put->spr[SPRG0_AT] = SECRET[1];
  put->fpr[LAST_FPR] = SECRET[2];
  put->cr &= 0xffffffff;
  put->lr &= ~3UL;
  /* OV32, CA32, SO, OV, CA; the rounding mode and nothing that would interrupt */
  put->xer &= 0xe00c0000;
  put->fpscr &= 3;
  put->spr[VRSAVE_AT] &= 0xffffffff;
  put->spr[FSCR_AT] = mfspr(SPR_FSCR);
  put->msr = mfmsr();
  /* H_PUT_TERM_CHAR of a line's end */
  put->gpr[3] = H_PUT_TERM_CHAR;
  put->gpr[4] = VTERM;
  put->gpr[5] = 1;
  put->gpr[6] = (u64)'\n' << 56;
  put->gpr[7] = 0;
}

/* Which bits of a special purpose register there are differs from CPU to CPU: as many of them as it keeps. */
static void keep_what_there_is(struct registers *put)
{
#define KEEP(number, at)                                                                                                \
  do {                                                                                                                 \
    mtspr(number, put->spr[at]);                                                                                       \
    put->spr[at] = mfspr(number);                                                                                      \
  } while (0)
  KEEP(SPR_SPRG0, 0);
  KEEP(SPR_DSCR, 1);
  KEEP(SPR_TAR, 2);
  KEEP(SPR_VRSAVE, 3);
  KEEP(SPR_AMR, 4);
  KEEP(SPR_EBBHR, 5);
  KEEP(SPR_EBBRR, 6);
  KEEP(SPR_MMCR2, 7);
}

struct changes {
  int registers, control;
};

/* The decrementer, too wide for what it is where LPCR[LD] is off: it only counts down, and never so far. */
static int decrementer_changed(void)
{
  return mfspr(SPR_DEC) - FAR_AWAY / 2 > FAR_AWAY / 2;
}

static struct changes end_line(u64 round)
{
  static struct registers put, found;
  flush_console();
  choose_registers(&put, round);
  keep_what_there_is(&put);
  struct changes changes = {0, hypercall_with_all_registers(&put, &found) != 0};
  put.gpr[1] = found.gpr[1] = 0;
  put.gpr[3] = H_SUCCESS;
  changes.registers = memcmp(&put, &found, sizeof put) != 0 || decrementer_changed();
  return changes;
}

/* ---- interrupts and RTAS ---- */

static void masked_interrupt(struct interrupt_frame *frame)
{
  (void)frame;
  masked_interrupts++;
}

#define RTAS_WORDS 32

/* query-cpu-stopped-state: one argument, two results. What lies behind them is not the hypervisor's. */
static int rtas_changed_more(void)
{
  static u32 block[RTAS_WORDS];
  u32 args[] = {RTAS_QUERY_CPU_STOPPED, 1, 2, 0}, difference = 0;
  for (u32 i = 0; i < RTAS_WORDS; i++)
    block[i] = i < COUNT(args) ? be32(args[i]) : 0x5a5a5a5a;
  asm volatile("" : : "r"(block) : "memory");
  hypercall(H_RTAS, (u64)block, 0, 0, 0);
  asm volatile("" : : "r"(block) : "memory");
  for (u32 i = 0; i < RTAS_WORDS; i++)
    if (i < COUNT(args))
      difference |= block[i] ^ be32(args[i]);
    else if (i >= COUNT(args) + args[2])
      difference |= block[i] ^ 0x5a5a5a5a;
  return difference != 0;
}

/* ---- rounds ---- */

static int say_if(int changed, const char *what)
{
  if (changed)
    print(what);
  return changed;
}

int main(void)
{
  handle_interrupt(VECTOR_EXTERNAL, masked_interrupt);
  handle_interrupt(VECTOR_DECREMENTER, masked_interrupt);
  handle_interrupt(VECTOR_PRIVILEGED_DOORBELL, masked_interrupt);
  mtspr(SPR_DEC, FAR_AWAY);
  if (!is_secure())
    print("normal: asking for secure mode\n");
  s64 status = become_secure();
  if (!is_secure() && status != U_FUNCTION) {
    print("secure mode was refused: ");
    print_decimal(status);
    print("\n");
    return 0;
  }
  if (!is_secure())
    print("no secure mode here, staying normal\n");
  mtmsrd(mfmsr() | MSR_FP);
  make_secret();
  write_memory(0);
  print("made a secret");
  struct changes changes = end_line(0);
  for (u64 round = 1; round <= ROUNDS; round++) {
    int memory = memory_changed(round - 1), more = rtas_changed_more();
    write_memory(round);
    print("round ");
    print_decimal(round);
    print(":");
    int any = say_if(memory, " memory") | say_if(changes.registers, " registers") |
              say_if(changes.control, " control") | say_if(masked_interrupts != 0, " interrupts") |
              say_if(more, " RTAS");
    print(any ? " CHANGED" : " intact");
    changes = end_line(round);
  }
  print(is_secure() ? "ran as a secure VM\n" : "ran as a normal VM\n");
  return 0;
}
