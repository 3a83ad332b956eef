/*
 * The first instructions of a C guest, and of each further CPU: to 64-bit little-endian mode, a TOC pointer, a stack.
 */
#include "guest.h"
#include "layout.h"

.macro toc_address register:req, symbol:req
	addis	\register, %r2, \symbol@toc@ha
	addi	\register, \register, \symbol@toc@l
.endm

	.section .text.start, "ax"
	.globl	start
start:
	enter_little_endian_64
	bcl	20, 31, 1f
1:	mflr	%r30
	addi	%r30, %r30, start - 1b
	addis	%r2, %r30, .TOC. - start@ha
	addi	%r2, %r2, .TOC. - start@l

	/* A guest that became secure is here for the second time, and finds what the first one left. */
	toc_address %r6, bss_start
	toc_address %r7, bss_end
	subf	%r7, %r6, %r7
	srdi	%r7, %r7, 3
	mtctr	%r7
	addi	%r6, %r6, -8
	li	%r0, 0
2:	stdu	%r0, 8(%r6)
	bdnz	2b

	/* With the client interface in R5 there is no flat tree, and R3 may be anything. */
	cmpdi	%r5, 0
	beq	3f
	li	%r3, 0
3:	toc_address %r6, boot
	std	%r30, BOOT_BASE(%r6)
	std	%r5, BOOT_CLIENT(%r6)
	std	%r3, BOOT_TREE(%r6)
	toc_address %r1, stacks + STACK_BYTES - FRAME_BYTES
	std	%r0, 0(%r1)
	bl	main
	nop
	bl	power_off
	nop

/* R3 is the index of this CPU. */
	.globl	secondary_start
	.type	secondary_start, @function
secondary_start:
	enter_little_endian_64
	bcl	20, 31, 1f
1:	mflr	%r30
	addis	%r2, %r30, .TOC. - 1b@ha
	addi	%r2, %r2, .TOC. - 1b@l
	toc_address %r1, stacks + STACK_BYTES - FRAME_BYTES
	mulli	%r4, %r3, STACK_BYTES
	add	%r1, %r1, %r4
	li	%r0, 0
	std	%r0, 0(%r1)
	bl	secondary_main
	nop
	bl	stop_self
	nop

/* A guest with one CPU need not say what the others do. */
	.weak	secondary_main
	.type	secondary_main, @function
secondary_main:
	blr

	.bss
	.balign	16
stacks:
	.skip	MOST_CPUS * STACK_BYTES
	.globl	boot
	.hidden	boot
	.balign	8
boot:
	.skip	24
