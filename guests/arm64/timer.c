/*
 * Interrupts of the virtual timer, counted while the guest runs and while it sleeps, and one that is held back.
 */
#include "lib.h"

#define PERIOD 20000

static volatile unsigned ticks, goal;

static void tick(unsigned intid)
{
	if (intid != VIRTUAL_TIMER) {
		say("unexpected interrupt ", intid);
		return;
	}
	ticks++;
	if (ticks < goal)
		write_register(cntv_tval_el0, PERIOD);
	else
		write_register(cntv_ctl_el0, 0);
}

static void start(unsigned until)
{
	goal = until;
	write_register(cntv_tval_el0, PERIOD);
	write_register(cntv_ctl_el0, 1);
}

void guest_main(void)
{
	interrupt_handler = tick;
	gic_start();
	gic_start_cpu(0);
	start(10);
	unmask();
	while (ticks < goal)
		;
	mask();
	say("ticks while counting: ", ticks);

	/* Masked interrupts end WFI, too. */
	start(20);
	while (ticks < goal) {
		asm volatile("wfi");
		unmask();
		mask();
	}
	say("ticks with those asleep: ", ticks);

	write_register(ICC_PMR, 0xa0);
	start(21);
	while (!(read_register(cntv_ctl_el0) & 4))
		;
	unmask();
	unsigned before = ticks;
	for (volatile int i = 0; i < 1000; i++)
		;
	put(ticks == before ? "held back by the mask" : "not held back");
	write_register(ICC_PMR, 0xf0);
	while (ticks == before)
		;
	put(", then taken\n");
	mask();
	/* INTIDs and priorities of the CPU interface. */
	put("running priority ");
	put_hex(read_register(ICC_RPR), 2);
	put(", highest pending ");
	put_number(read_register(ICC_HPPIR1));
	put(", control ");
	put_hex(read_register(ICC_CTLR), 4);
	put("\n");
}
