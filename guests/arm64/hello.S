/*
 * The smallest guest: it prints one line and powers off.
 */
#include "guest.h"

	.section .text.start, "ax"
	.globl	start
start:
	adr	x1, hello
	mov	x2, #UART_BASE
print:
	ldrb	w0, [x1], #1
	cbz	w0, off
1:	ldr	w3, [x2, #UART_FR]
	tbnz	w3, #UART_FR_TXFF_BIT, 1b
	strb	w0, [x2, #UART_DR]
	b	print

off:
	ldr	x0, =PSCI_SYSTEM_OFF
	hvc	#0
	b	.

	.section .rodata
hello:
	.asciz	"hello from aarch64\n"
