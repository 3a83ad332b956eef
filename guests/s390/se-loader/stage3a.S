/* Where an image begins: at 0x10000 as a kernel of Linux, at 0x11000 by its short PSW. */
#include "loader.h"

#define SIGP_SET_ARCHITECTURE 18

	.section .text.first, "ax"
	.globl	first
first:
	jg	start

	.section .text.start, "ax"
	.globl	start
start:
	lhi	%r1, 1
	sigp	%r1, %r0, SIGP_SET_ARCHITECTURE
	sam64
	lgfi	%r15, STACK_END - 160
	larl	%r1, program_new
	mvc	PROGRAM_NEW_PSW(16), 0(%r1)
	brasl	%r14, go_protected

program_check:
	lgfi	%r15, STACK_END - 160
	brasl	%r14, unexpected_program

	.balign	8
program_new:
	.quad	PSW_64, program_check

	.section .arguments, "aw", @progbits
	.balign	8
	.globl	arguments
arguments:
	.quad	0, 0, 0

	.section .note.GNU-stack, "", @progbits
