/*
 * Gives back each character that is typed, in capitals, until a full stop: the PL011's receive interrupt as a shared interrupt of the GIC, which the
 * guest sleeps for.
 */
#include "lib.h"

#define UART_INTID 33
#define UART_IMSC 0x38
#define UART_RX (1 << 4)
#define UART_FR_RXFE (1 << 4)

static volatile unsigned interrupts, over;

static void receive(unsigned intid)
{
	interrupts += intid == UART_INTID;
	while (!(read32(UART_BASE + UART_FR) & UART_FR_RXFE)) {
		char text[2] = { read32(UART_BASE + UART_DR), 0 };
		if (text[0] >= 'a' && text[0] <= 'z')
			text[0] -= 'a' - 'A';
		put(text);
		over |= text[0] == '.';
	}
}

void guest_main(void)
{
	interrupt_handler = receive;
	gic_start();
	gic_start_cpu(0);
	write32(GICD_BASE + 0x84, 1u << (UART_INTID - 32));
	write8(GICD_BASE + 0x400 + UART_INTID, 0xa0);
	write64(GICD_BASE + 0x6000 + 8 * UART_INTID, 0);
	write32(GICD_BASE + 0x104, 1u << (UART_INTID - 32));
	put("type, and end with a full stop\n");
	write32(UART_BASE + UART_IMSC, UART_RX);
	while (!over) {
		asm volatile("wfi");
		unmask();
		mask();
	}
	put(interrupts ? "\nby interrupts\n" : "\nwithout interrupts\n");
}
