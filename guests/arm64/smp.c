/*
 * Up to eight CPUs that PSCI starts: they add to the same counters with exclusives and under a lock, and get software generated interrupts. How many
 * there are is seen by asking for one that is not there.
 */
#include "lib.h"

#define ROUNDS 20000

static uint64_t added;
static uint32_t lock;
static volatile uint64_t guarded;
static volatile unsigned finished;
static volatile unsigned interrupted[MAX_CPUS];
static volatile unsigned ready[MAX_CPUS];

static unsigned cpu_number(void)
{
	return read_register(mpidr_el1) & 0xff;
}

static void count(unsigned intid)
{
	interrupted[cpu_number()] += intid;
}

static void work(unsigned cpu)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		__atomic_fetch_add(&added, cpu + 1, __ATOMIC_SEQ_CST);
		while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
			;
		guarded = guarded + cpu + 1;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

static void run(unsigned cpu)
{
	gic_start_cpu(cpu);
	unmask();
	work(cpu);
	ready[cpu] = 1;
	while (interrupted[cpu] != 5 + 7)
		asm volatile("wfi");
	mask();
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

void guest_main(void)
{
	unsigned cpus = 1;
	interrupt_handler = count;
	gic_start();
	while (cpus < MAX_CPUS && start_cpu(cpus, run) == 0)
		cpus++;
	say("CPUs ", cpus);
	put("one that is on: ");
	put_number(-psci(PSCI_CPU_ON, 0, 0, 0));
	put(", one that is not there: ");
	put_number(-psci(PSCI_CPU_ON, cpus, 0, 0));
	put("\n");
	gic_start_cpu(0);
	unmask();
	work(0);
	for (unsigned cpu = 1; cpu < cpus; cpu++)
		while (!ready[cpu])
			;
	/* To each by its place in the list, then to all others at once. */
	write_register(ICC_SGI1R, 5ul << 24 | ((1ul << cpus) - 2));
	for (unsigned cpu = 1; cpu < cpus; cpu++)
		while (interrupted[cpu] != 5)
			;
	write_register(ICC_SGI1R, 1ul << 40 | 7ul << 24);
	while (finished != cpus - 1)
		;
	say("added ", added);
	say("under the lock ", guarded);
	say("interrupts here ", interrupted[0]);
	unsigned off = 0;
	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		while (psci(PSCI_AFFINITY_INFO, cpu, 0, 0) != 1)
			;
		off++;
	}
	say("off again ", off);
}
