/*
 * The host's exception vectors. Of the host's own accesses, which the hyp may refuse, the abort's syndrome is kept and the instruction passed over; nothing else is
 * expected.
 */
	.text
	.macro	unexpected number
	.balign	128
	mov	x0, #\number
	b	unexpected_exception
	.endm

	.balign	2048
	.globl	host_vectors
host_vectors:
	.irp	number, 0, 1, 2, 3
	unexpected \number
	.endr
	.balign	128
	stp	x0, x1, [sp, #-16]!
	mrs	x0, esr_el1
	ldr	x1, =abort_syndrome
	str	x0, [x1]
	/* Data abort without a change of level. */
	lsr	x0, x0, #26
	cmp	x0, #0x25
	b.ne	1f
	mrs	x0, elr_el1
	add	x0, x0, #4
	msr	elr_el1, x0
	ldp	x0, x1, [sp], #16
	eret
1:	mov	x0, #4
	b	unexpected_exception
	.irp	number, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	unexpected \number
	.endr
