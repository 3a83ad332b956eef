/*
 * Where a C guest begins, its further CPUs, and its interrupts. An interrupt keeps what a C function may change in the prefix area, so that
 * each class may come once at a time.
 */
#include "guest.h"

	.section .text.start, "ax"
	.globl	start
start:
	j	begin
	/* What a Linux image says of itself, and where the loader leaves what it has to say. */
	.org	start + 8
	.ascii	"S390EP"
	.org	start + 0x408
	.globl	initrd_address, initrd_size, loaded_command_line
initrd_address:
	.quad	0
initrd_size:
	.quad	0
	.org	start + 0x480
loaded_command_line:
	.skip	896

	.org	start + 0x800
begin:
	larl	%r15, stacks + 0x4000 - 160
	larl	%r1, bss_start
	larl	%r2, bss_end
1:	clgr	%r1, %r2
	jhe	2f
	xc	0(16,%r1), 0(%r1)
	la	%r1, 16(%r1)
	j	1b
2:	lghi	%r2, 0
	brasl	%r14, prepare_cpu
	brasl	%r14, guest_main
	brasl	%r14, power_off

/* A further CPU is restarted with its number in this word of its prefix area, and its stack behind it. */
	.globl	start_secondary
start_secondary:
	lg	%r2, 0x308
	lg	%r15, 0x300
	brasl	%r14, secondary_main
	brasl	%r14, stop_self

	.globl	external_entry
external_entry:
	stmg	%r0, %r15, LC_SAVE_EXTERNAL
	aghi	%r15, -160
	brasl	%r14, take_external
	lmg	%r0, %r15, LC_SAVE_EXTERNAL
	lpswe	LC_EXTERNAL_OLD

	.globl	io_entry
io_entry:
	stmg	%r0, %r15, LC_SAVE_IO
	aghi	%r15, -160
	brasl	%r14, take_io
	lmg	%r0, %r15, LC_SAVE_IO
	lpswe	LC_IO_OLD

	.globl	program_entry
program_entry:
	/* Whoever expects one has said where to go on. */
	stg	%r1, LC_SAVE_PROGRAM
	mvc	LC_PROGRAM_SEEN(16), LC_PROGRAM_OLD
	lg	%r1, LC_RESUME + 8
	ltgr	%r1, %r1
	jz	1f
	stg	%r1, LC_PROGRAM_OLD + 8
	lg	%r1, LC_RESUME
	ltgr	%r1, %r1
	jz	2f
	stg	%r1, LC_PROGRAM_OLD
2:	xc	LC_RESUME(16), LC_RESUME
	lg	%r1, LC_SAVE_PROGRAM
	lpswe	LC_PROGRAM_OLD
1:	aghi	%r15, -160
	brasl	%r14, unexpected_program

/* R2: PSW mask. Goes on behind it. */
	.globl	wait_with
wait_with:
	aghi	%r15, -16
	stg	%r2, 0(%r15)
	larl	%r1, 1f
	stg	%r1, 8(%r15)
	lpswe	0(%r15)
1:	aghi	%r15, 16
	br	%r14

	.section .bss
	.balign	8192
	.globl	stacks, prefix_areas
prefix_areas:
	.space	0x2000 * 8
stacks:	.space	0x4000 * 8

	.section .note.GNU-stack, "", @progbits
