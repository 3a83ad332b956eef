/*
 * Four CPUs add to the same counters at the same time: one with ldarx and stdcx., one with lwarx and stwcx., one under a
 * spinlock. Each of them alone must come to the same total.
 */
#include "lib/lib.h"
#include "lib/layout.h"

#define TURNS 20000

static volatile u64 doublewords, locked;
static volatile u32 words, lock, running, finished;

static u64 add_doubleword(volatile u64 *at, u64 value)
{
  u64 sum;
  asm volatile("1: ldarx %0,0,%1\n\tadd %0,%0,%2\n\tstdcx. %0,0,%1\n\tbne- 1b"
               : "=&r"(sum) : "r"(at), "r"(value) : "cr0", "memory");
  return sum;
}

static u32 add_word(volatile u32 *at, u32 value)
{
  u32 sum;
  asm volatile("1: lwarx %0,0,%1\n\tadd %0,%0,%2\n\tstwcx. %0,0,%1\n\tbne- 1b"
               : "=&r"(sum) : "r"(at), "r"(value) : "cr0", "memory");
  return sum;
}

static void acquire(volatile u32 *at)
{
  u32 seen;
  asm volatile("1: lwarx %0,0,%1,1\n\tcmpwi %0,0\n\tbne- 1b\n\tstwcx. %2,0,%1\n\tbne- 1b\n\tisync"
               : "=&r"(seen) : "r"(at), "r"(1) : "cr0", "memory");
}

static void release(volatile u32 *at)
{
  asm volatile("lwsync" : : : "memory");
  *at = 0;
}

static void work(u64 index)
{
  for (u64 turn = 0; turn < TURNS; turn++) {
    add_doubleword(&doublewords, index + 1);
    add_word(&words, index + 1);
    acquire(&lock);
    locked += index + 1;
    release(&lock);
  }
}

/* All begin together, so that they get in each other's way. */
static void meet(u32 cpus)
{
  while (running < cpus)
    ;
}

static u32 cpus;

void secondary_main(u64 index)
{
  add_word(&running, 1);
  meet(cpus);
  work(index);
  asm volatile("sync" : : : "memory");
  add_word(&finished, 1);
}

static void report(const char *name, u64 total)
{
  print(name);
  print_decimal(total);
  print("\n");
}

int main(void)
{
  u32 ids[MOST_CPUS], stopped = 0;
  flatten_tree();
  cpus = tree_cpus(ids, MOST_CPUS);
  if (cpus > MOST_CPUS)
    cpus = MOST_CPUS;
  print_decimal(cpus);
  print(" CPUs\n");

  for (u32 i = 1; i < cpus; i++) {
    s64 status = start_cpu(ids[i], i);
    if (status != 0)
      report("start-cpu says ", status);
  }
  add_word(&running, 1);
  meet(cpus);
  work(0);
  while (finished < cpus - 1)
    ;

  report("doublewords ", doublewords);
  report("words ", words);
  report("locked ", locked);
  for (u32 i = 1; i < cpus; i++) {
    u32 state = ~0u;
    /* 0: stopped; until then it is on its way. */
    while (rtas(RTAS_QUERY_CPU_STOPPED, 1, 2, &ids[i], &state) == 0 && state != 0)
      ;
    stopped += state == 0;
  }
  report("stopped ", stopped);
  return 0;
}
