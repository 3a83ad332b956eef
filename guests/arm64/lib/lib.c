#include "lib.h"

/* How firmware is called. */
#ifndef PSCI_CONDUIT
#define PSCI_CONDUIT "hvc"
#endif

void (*volatile interrupt_handler)(unsigned intid);
static void (*volatile secondary)(unsigned);
extern char start_secondary[];

void put(const char *text)
{
	for (; *text; text++) {
		while (read32(UART_BASE + UART_FR) & (1 << UART_FR_TXFF_BIT))
			;
		write32(UART_BASE + UART_DR, (unsigned char)*text);
	}
}

void put_hex(uint64_t value, unsigned digits)
{
	char text[17];
	for (unsigned i = 0; i < digits; i++)
		text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15];
	text[digits] = 0;
	put(text);
}

void put_number(uint64_t value)
{
	char text[21];
	char *at = text + sizeof(text) - 1;
	*at = 0;
	do {
		*--at = '0' + value % 10;
		value /= 10;
	} while (value);
	put(at);
}

void say(const char *text, uint64_t value)
{
	put(text);
	put_number(value);
	put("\n");
}

int64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 asm("x0") = function;
	register uint64_t x1 asm("x1") = a;
	register uint64_t x2 asm("x2") = b;
	register uint64_t x3 asm("x3") = c;
	asm volatile(PSCI_CONDUIT " #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return x0;
}

_Noreturn void power_off(void)
{
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
	for (;;)
		asm volatile("wfi");
}

void secondary_main(unsigned cpu)
{
	secondary(cpu);
}

int64_t start_cpu(unsigned cpu, void (*main_of)(unsigned))
{
	secondary = main_of;
	return psci(PSCI_CPU_ON, cpu, (uintptr_t)start_secondary, cpu);
}

void gic_start(void)
{
	/* ARE, group 1. */
	write32(GICD_BASE, 0x12);
}

void gic_start_cpu(unsigned cpu)
{
	uintptr_t base = GICR_BASE + cpu * GICR_BYTES;
	write32(base + 0x14, read32(base + 0x14) & ~2u);
	while (read32(base + 0x14) & 4)
		;
	base += GICR_SGI;
	write32(base + 0x80, 0xffffffff);
	for (unsigned i = 0; i < 32; i += 4)
		write32(base + 0x400 + i, 0xa0a0a0a0);
	write32(base + 0x100, 0xffff | 1u << VIRTUAL_TIMER);
	write_register(ICC_SRE, read_register(ICC_SRE) | 1);
	write_register(ICC_PMR, 0xf0);
	write_register(ICC_IGRPEN1, 1);
}

void take_interrupt(void)
{
	unsigned intid = read_register(ICC_IAR1);
	if (intid == 1023)
		return;
	if (interrupt_handler)
		interrupt_handler(intid);
	write_register(ICC_EOIR1, intid);
}

void unexpected_exception(unsigned number)
{
	put("unexpected exception ");
	put_number(number);
	put(" ESR ");
	put_hex(read_register(esr_el1), 8);
	put(" ELR ");
	put_hex(read_register(elr_el1), 16);
	put("\n");
	power_off();
}
