/*
 * Up to eight CPUs that SIGP starts: they add to the same counters with interlocked updates and under a lock, get external calls and emergency signals,
 * and stop.
 */
#include "lib.h"

#define ROUNDS 20000

static u64 added;
static u32 lock;
static volatile u64 guarded;
static volatile unsigned calls[MAX_CPUS], emergencies[MAX_CPUS];
static volatile unsigned ready[MAX_CPUS], finished;

static void count(u16 code)
{
	if (code == EXTERNAL_CALL)
		calls[lowcore.number]++;
	if (code == EXTERNAL_EMERGENCY_SIGNAL)
		emergencies[lowcore.number]++;
}

static void work(unsigned cpu)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		u32 free = 0;
		__atomic_fetch_add(&added, cpu + 1, __ATOMIC_SEQ_CST);
		while (!__atomic_compare_exchange_n(&lock, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			free = 0;
		guarded = guarded + cpu + 1;
		__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	}
}

static void run(unsigned cpu)
{
	work(cpu);
	ready[cpu] = 1;
	/* Disabled until CPU 0 has seen that a second call does not fit. */
	while (ready[cpu] != 2)
		;
	while (!calls[cpu] || !emergencies[cpu])
		wait_for(PSW_EXTERNAL);
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static void say_status(const char *text, unsigned cc, u32 status)
{
	put(text);
	put_number(cc);
	put(", status ");
	put_hex(status, 3);
	put("\n");
}

void guest_main(void)
{
	unsigned cpus = 1, pending = 0, stopped = 0;
	u32 status;
	external_handler = count;
	unsigned cc = sigp(0, SIGP_SENSE, 0, &status);
	say_status("sense of this CPU: ", cc, cc == 1 ? status : 0);
	if (sigp(1, SIGP_SENSE, 0, &status) == 1)
		say_status("sense of one that has not begun: ", 1, status);
	while (cpus < MAX_CPUS && start_cpu(cpus, run) == 0)
		cpus++;
	say("CPUs ", cpus);
	say("one that is not there: ", sigp(cpus, SIGP_SENSE, 0, 0));
	cc = sigp(0, 99, 0, &status);
	say_status("no order: ", cc, status);
	cc = sigp(0, SIGP_SET_PREFIX, 0x7ffff001, &status);
	say_status("prefix of a CPU that runs: ", cc, status);
	work(0);
	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		while (!ready[cpu])
			;
		if (sigp(cpu, SIGP_EXTERNAL_CALL, 0, 0) != 0)
			put("no external call\n");
		pending += sigp(cpu, SIGP_EXTERNAL_CALL, 0, &status) == 1 && status == 0x80;
		sigp(cpu, SIGP_EMERGENCY_SIGNAL, 0, 0);
		ready[cpu] = 2;
	}
	while (finished != cpus - 1)
		;
	say("second calls that did not fit ", pending);
	say("added ", added);
	say("under the lock ", guarded);
	for (unsigned cpu = 1; cpu < cpus; cpu++) {
		while (sigp(cpu, SIGP_SENSE, 0, &status) != 1 || status != 0x40)
			;
		stopped++;
	}
	say("stopped again ", stopped);
	/* To itself: taken once it is enabled. */
	sigp(0, SIGP_EMERGENCY_SIGNAL, 0, 0);
	sigp(0, SIGP_EXTERNAL_CALL, 0, 0);
	wait_for(PSW_EXTERNAL);
	put(emergencies[0] && !calls[0] ? "the emergency signal first" : "the external call first");
	wait_for(PSW_EXTERNAL);
	say(", then the other: ", calls[0]);
}
