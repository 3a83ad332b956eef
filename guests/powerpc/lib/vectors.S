/*
 * Interrupts, from the vector to the C handler and back. SPRG1 is the address of this CPU's `struct cpu`, which begins
 * with an interrupt frame: one interrupt at a time, so a handler must not fault nor enable interrupts.
 */
#include "pef.h"
#include "layout.h"

/* Copied to each vector. The branch goes to the shared code once it lies there, for `install_interrupts` sets it. */
	.section .rodata
	.globl	vector_code
	.hidden	vector_code
	.balign	4
vector_code:
	mtspr	SPR_SPRG2, %r13
	mflr	%r13
	bl	.

/* Copied to SHARED_VECTOR_CODE. R13 = LR of the interrupted code; LR tells the vector. */
	.globl	shared_vector_code
	.hidden	shared_vector_code
	.globl	shared_vector_code_end
	.hidden	shared_vector_code_end
shared_vector_code:
	mtspr	SPR_SPRG3, %r13
	mfspr	%r13, SPR_SPRG1
	std	%r3, FRAME_GPR(3)(%r13)
	mfctr	%r3
	std	%r3, FRAME_CTR(%r13)
	mflr	%r3
	addi	%r3, %r3, -12
	std	%r3, FRAME_VECTOR(%r13)
	ld	%r3, CPU_ENTRY(%r13)
	mtctr	%r3
	bctr
shared_vector_code_end:

	.text
	.globl	interrupt_entry
	.type	interrupt_entry, @function
interrupt_entry:
	.irp	n, 0,1,2,4,5,6,7,8,9,10,11,12,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\n, FRAME_GPR(\n)(%r13)
	.endr
	mfspr	%r3, SPR_SPRG2
	std	%r3, FRAME_GPR(13)(%r13)
	mfspr	%r3, SPR_SPRG3
	std	%r3, FRAME_LR(%r13)
	mfxer	%r3
	std	%r3, FRAME_XER(%r13)
	mfcr	%r3
	std	%r3, FRAME_CR(%r13)
	mfspr	%r3, SPR_SRR0
	std	%r3, FRAME_SRR0(%r13)
	mfspr	%r3, SPR_SRR1
	std	%r3, FRAME_SRR1(%r13)
	mfspr	%r3, SPR_DAR
	std	%r3, FRAME_DAR(%r13)
	mfspr	%r3, SPR_DSISR
	std	%r3, FRAME_DSISR(%r13)

	ld	%r1, CPU_STACK(%r13)
	ld	%r2, CPU_TOC(%r13)
	mr	%r3, %r13
	bl	dispatch_interrupt
	nop

	mfspr	%r13, SPR_SPRG1
	ld	%r3, FRAME_SRR0(%r13)
	mtspr	SPR_SRR0, %r3
	ld	%r3, FRAME_SRR1(%r13)
	mtspr	SPR_SRR1, %r3
	ld	%r3, FRAME_CR(%r13)
	mtcr	%r3
	ld	%r3, FRAME_XER(%r13)
	mtxer	%r3
	ld	%r3, FRAME_CTR(%r13)
	mtctr	%r3
	ld	%r3, FRAME_LR(%r13)
	mtlr	%r3
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	\n, FRAME_GPR(\n)(%r13)
	.endr
	ld	%r13, FRAME_GPR(13)(%r13)
	rfid
