/*
 * The decrementer: ten interrupts while the guest counts, ten while it sleeps in H_CEDE. None may come before its time.
 */
#include "lib/lib.h"

#define TICKS 10
#define PERIOD 51200 /* of the time base, which counts 512 a microsecond */
#define NEVER 0x7fffffff

static volatile u64 ticks, early;
static u64 due;

static void set_decrementer(u64 period)
{
  due = mfspr(SPR_TB) + period;
  mtspr(SPR_DEC, period);
}

static void tick(struct interrupt_frame *frame)
{
  (void)frame;
  early += mfspr(SPR_TB) < due;
  ticks++;
  if (ticks % TICKS == 0)
    mtspr(SPR_DEC, NEVER);
  else
    set_decrementer(PERIOD);
}

static void report(const char *how)
{
  print_decimal(ticks);
  print(" ticks ");
  print(how);
  print(early ? ", early\n" : "\n");
}

int main(void)
{
  handle_interrupt(VECTOR_DECREMENTER, tick);
  mtspr(SPR_DEC, NEVER);
  install_interrupts(0);

  u64 turns = 0;
  set_decrementer(PERIOD);
  mtmsrd(mfmsr() | MSR_EE);
  while (ticks < TICKS)
    turns++;
  mtmsrd(mfmsr() & ~(u64)MSR_EE);
  report(turns > 0 ? "while counting" : "without a turn");

  /* H_CEDE sets MSR[EE] before it sleeps. */
  set_decrementer(PERIOD);
  while (ticks < 2 * TICKS) {
    hypercall(H_CEDE, 0, 0, 0, 0);
    mtmsrd(mfmsr() & ~(u64)MSR_EE);
  }
  report("while asleep");

  /* A decrementer that is already negative interrupts as soon as it may, and not before. */
  mtspr(SPR_DEC, -1UL);
  u64 before = ticks;
  for (int i = 0; i < 1000; i++)
    asm volatile("" : : : "memory");
  u64 held = ticks == before;
  mtmsrd(mfmsr() | MSR_EE);
  mtmsrd(mfmsr() & ~(u64)MSR_EE);
  print(held && ticks > before ? "held back, then taken\n" : "wrong: not held back, or not taken\n");
  return 0;
}
