/*
 * Where a C guest begins, its further CPUs, and its exception vectors. Interrupts keep what a C function may change.
 */
#include "guest.h"

	.section .text.start, "ax"
	.globl	start
start:
	ldr	x0, =stacks
	add	x0, x0, #0x4000
	mov	sp, x0
	ldr	x0, =bss_start
	ldr	x1, =bss_end
1:	cmp	x0, x1
	b.hs	2f
	stp	xzr, xzr, [x0], #16
	b	1b
2:	ldr	x0, =vectors
	msr	vbar_el1, x0
	isb
	bl	guest_main
	bl	power_off

/* X0: number of the CPU */
	.globl	start_secondary
start_secondary:
	ldr	x1, =stacks
	add	x2, x0, #1
	add	x1, x1, x2, lsl #14
	mov	sp, x1
	ldr	x1, =vectors
	msr	vbar_el1, x1
	isb
	bl	secondary_main
	ldr	x0, =PSCI_CPU_OFF
	hvc	#0
	b	.

	.macro	unexpected number
	.balign	128
	mov	x0, #\number
	b	unexpected_exception
	.endm

	.balign	2048
vectors:
	.irp	number, 0, 1, 2, 3, 4
	unexpected \number
	.endr
	.balign	128
	sub	sp, sp, #192
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x29, [sp, #144]
	str	x30, [sp, #160]
	b	interrupt
	.irp	number, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	unexpected \number
	.endr

interrupt:
	bl	take_interrupt
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x29, [sp, #144]
	ldr	x30, [sp, #160]
	add	sp, sp, #192
	eret

	.section .bss
	.balign	4096
	.globl	stacks
stacks:	.space	0x4000 * 8
