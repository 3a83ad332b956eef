/* The first that runs protected. It may be anywhere, and moves itself out of the kernel's way. */
#include "loader.h"

	.section .text.start, "ax"
	.globl	start
start:
	larl	%r2, start
	larl	%r3, image_end
	sgr	%r3, %r2
	lgfi	%r4, STAGE3B_ADDRESS
	lgr	%r5, %r3
1:	mvcle	%r4, %r2, 0
	jo	1b
	lgfi	%r1, STAGE3B_ADDRESS
	aghi	%r1, moved - start
	br	%r1
moved:
	lgfi	%r15, STACK_END - 160
	brasl	%r14, place_kernel

/* R2: a PSW. */
	.globl	load_psw
load_psw:
	lpswe	0(%r2)

	.section .arguments, "aw", @progbits
	.balign	8
	.globl	arguments
arguments:
	.quad	0, 0, 0, 0, 0, 0, 0, 0

	.section .note.GNU-stack, "", @progbits
