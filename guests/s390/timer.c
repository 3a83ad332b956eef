/*
 * Interrupts of the clock comparator and the CPU timer, counted while the guest runs and while it sleeps, and one that is held back by CR0.
 */
#include "lib.h"

/* TOD units: 4096 are a microsecond. */
#define PERIOD (50ul << 12)

static volatile unsigned ticks, goal, timer_ticks, others;

static void tick(u16 code)
{
	if (code == EXTERNAL_CPU_TIMER) {
		timer_ticks++;
		set_cpu_timer(-1ul >> 1);
	} else if (code == EXTERNAL_CLOCK_COMPARATOR) {
		ticks++;
		set_clock_comparator(ticks < goal ? tod() + PERIOD : -1ul);
	} else {
		others++;
	}
}

static void start(unsigned until)
{
	goal = until;
	set_clock_comparator(tod() + PERIOD);
}

void guest_main(void)
{
	external_handler = tick;
	start(10);
	enable(PSW_EXTERNAL);
	while (ticks < goal)
		;
	disable();
	say("ticks while counting: ", ticks);

	start(20);
	while (ticks < goal)
		wait_for(PSW_EXTERNAL);
	say("ticks with those asleep: ", ticks);

	set_cpu_timer(PERIOD);
	enable(PSW_EXTERNAL);
	while (!timer_ticks)
		;
	disable();
	say("ticks of the CPU timer: ", timer_ticks);

	u64 cr0 = read_cr(0);
	write_cr(0, cr0 & ~(u64)CR0_CLOCK_COMPARATOR);
	start(21);
	enable(PSW_EXTERNAL);
	for (u64 end = tod() + 4 * PERIOD; tod() < end;)
		;
	put(ticks == 20 ? "held back by CR0" : "not held back");
	write_cr(0, cr0);
	while (ticks < goal)
		;
	disable();
	put(", then taken\n");

	u64 before = tod(), after = tod();
	put(after > before ? "the clock never stands still\n" : "the clock stood still\n");
	say("other interrupts: ", others);
}
