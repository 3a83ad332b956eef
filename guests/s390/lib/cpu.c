/* CPUs, and what interrupts them. */
#include "lib.h"

extern char start_secondary[], external_entry[], io_entry[], program_entry[];
extern u8 prefix_areas[MAX_CPUS][0x2000], stacks[MAX_CPUS][0x4000];
void wait_with(u64 mask);
void service_signal(u32 parameter);

void (*volatile external_handler)(u16 code);
void (*volatile io_handler)(u16 subchannel);
static void (*volatile secondary)(unsigned);

/* The last CPU that stops turns the machine off. A disabled wait at the address that says so would do for a normal VM; of a protected one nobody is shown the address. */
void power_off(void)
{
	put("");
	stop_self();
}

void crash(void)
{
	struct psw psw = { PSW_WAIT | PSW_64, WAIT_CRASH };
	asm volatile("lpswe %0" : : "Q"(psw) : "memory");
	__builtin_unreachable();
}

unsigned sigp(unsigned cpu, unsigned order, u64 parameter, u32 *status)
{
	register u64 r2 asm("2") = 0;
	register u64 r3 asm("3") = parameter;
	register u64 r4 asm("4") = cpu;
	register u64 r5 asm("5") = order;
	unsigned cc;
	asm volatile("sigp %1,%3,0(%4)\n\tipm %0\n\tsrl %0,28"
		     : "=d"(cc), "+d"(r2) : "d"(r3), "d"(r4), "a"(r5) : "cc", "memory");
	if (status)
		*status = r2;
	return cc;
}

unsigned cpu_address(void)
{
	u16 address;
	asm volatile("stap %0" : "=Q"(address));
	return address;
}

static void fill_lowcore(volatile struct lowcore *area)
{
	area->external_new = (struct psw){ PSW_64, (u64)external_entry };
	area->io_new = (struct psw){ PSW_64, (u64)io_entry };
	area->program_new = (struct psw){ PSW_64, (u64)program_entry };
	area->svc_new = area->program_new;
	area->machine_check_new = (struct psw){ PSW_WAIT | PSW_64, WAIT_CRASH };
	area->restart_new = (struct psw){ PSW_64, (u64)start_secondary };
}

void prepare_cpu(unsigned number)
{
	if (number == 0)
		fill_lowcore(&lowcore);
	write_cr(0, CR0_AFP | CR0_EMERGENCY_SIGNAL | CR0_EXTERNAL_CALL | CR0_CLOCK_COMPARATOR | CR0_CPU_TIMER
	              | (number == 0 ? CR0_SERVICE_SIGNAL : 0));
	set_clock_comparator(-1ul);
	set_cpu_timer(-1ul >> 1);
}

unsigned start_cpu(unsigned cpu, void (*main_of)(unsigned))
{
	volatile struct lowcore *area = (void *)prefix_areas[cpu];
	unsigned cc = sigp(cpu, SIGP_INITIAL_CPU_RESET, 0, 0);
	if (cc != 0)
		return cc;
	secondary = main_of;
	fill_lowcore(area);
	area->stack = (u64)stacks[cpu] + sizeof(stacks[cpu]) - 160;
	area->number = cpu;
	cc = sigp(cpu, SIGP_SET_PREFIX, (u64)area, 0);
	return cc != 0 ? cc : sigp(cpu, SIGP_RESTART, 0, 0);
}

void secondary_main(unsigned number)
{
	prepare_cpu(number);
	secondary(number);
}

void stop_self(void)
{
	for (;;)
		sigp(cpu_address(), SIGP_STOP, 0, 0);
}

void wait_for(u64 classes)
{
	wait_with(classes | PSW_WAIT | PSW_64);
}

/* One interrupt is enough for whoever waited. */
static void end_wait(volatile struct psw *old)
{
	if (old->mask & PSW_WAIT)
		old->mask &= ~(PSW_WAIT | PSW_EXTERNAL | PSW_IO);
}

void take_external(void)
{
	end_wait(&lowcore.external_old);
	u16 code = lowcore.external_code;
	if (code == EXTERNAL_SERVICE_SIGNAL)
		service_signal(lowcore.external_parameter);
	else if (external_handler)
		external_handler(code);
}

void take_io(void)
{
	end_wait(&lowcore.io_old);
	if (io_handler)
		io_handler(lowcore.subchannel_number);
}

void unexpected_program(void)
{
	put("unexpected program interruption ");
	put_hex(lowcore.program_code, 4);
	put(" at ");
	put_hex(lowcore.program_old.address, 16);
	put(" TEID ");
	put_hex(lowcore.translation_exception, 16);
	put("\n");
	crash();
}
