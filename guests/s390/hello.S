/*
 * The smallest guest: it prints one line on the ASCII console and turns itself off. It takes no interrupts, and so does not see the service signals.
 */
#include "guest.h"

	.section .text.start, "ax"
	.globl	start
start:
	larl	%r2, mask
	lgfi	%r1, SCLP_WRITE_EVENT_MASK
	.insn	rre, 0xb2200000, %r1, %r2
	brc	2, .-4
	larl	%r2, message
	lgfi	%r1, SCLP_WRITE_EVENT_DATA
	.insn	rre, 0xb2200000, %r1, %r2
	brc	2, .-4
	larl	%r1, number
	stap	0(%r1)
	llgh	%r2, 0(%r1)
stop:
	sigp	%r0, %r2, SIGP_STOP
	j	stop

	.section .data
number:
	.short	0
	.balign	64
mask:
	.short	28
	.byte	0, 0, 0, 0
	.short	0
	.short	0, 4
	.long	0, EVENT_MASK_ASCII, 0, 0
	.balign	8
message:
	.short	message_end - message
	.byte	0, 0, 0, 0
	.short	0
	.short	message_end - . 
	.byte	EVENT_ASCII, 0
	.short	0
	.ascii	"hello from s390x\n"
message_end:

	.section .note.GNU-stack, "", @progbits
