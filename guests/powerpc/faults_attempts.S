/*
 * The attempts of faults.c. Each begins with the instruction that is to fault; if none does, it ends with a system call,
 * which brings it back as well: from problem state there is no other way.
 */
#include "guest.h"
#include "faults.h"
#include "lib/layout.h"

#define ATTEMPT_FRAME (FRAME_BYTES + 8 * 20)
#define KEPT(n) (FRAME_BYTES + 8 * ((n) - 13))

	.text
/*
 * void run_attempt(attempted *code, u64 argument, u64 msr)
 * The attempt finds its argument in R3, and in R4 the argument less 16, for instructions with update.
 */
	.globl	run_attempt
	.type	run_attempt, @function
run_attempt:
	mflr	%r0
	std	%r0, SAVED_LR(%r1)
	mfcr	%r0
	std	%r0, SAVED_CR(%r1)
	stdu	%r1, -ATTEMPT_FRAME(%r1)
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\n, KEPT(\n)(%r1)
	.endr
	addis	%r6, %r2, faulting@toc@ha
	addi	%r6, %r6, faulting@toc@l
	std	%r3, ATTEMPT_AT(%r6)
	mfmsr	%r7
	std	%r7, ATTEMPT_MSR(%r6)
	bcl	20, 31, 1f
1:	mflr	%r7
	addi	%r7, %r7, 2f - 1b
	std	%r7, ATTEMPT_RESUME(%r6)
	mtsrr0	%r3
	mtsrr1	%r5
	mr	%r12, %r3
	mr	%r3, %r4
	addi	%r4, %r3, -16
	rfid
2:	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	\n, KEPT(\n)(%r1)
	.endr
	addi	%r1, %r1, ATTEMPT_FRAME
	ld	%r0, SAVED_CR(%r1)
	mtcr	%r0
	ld	%r0, SAVED_LR(%r1)
	mtlr	%r0
	blr

.macro attempt name:req, instruction:vararg
	.globl	\name
	.type	\name, @function
\name:	\instruction
	sc
.endm

attempt try_illegal,		.long 0
attempt try_trap,		trap
attempt try_no_trap,		tdeqi %r1, 0
attempt try_mfmsr,		mfmsr %r5
attempt try_mtspr,		mtspr SPR_SRR0, %r3
attempt try_mtspr_unknown,	mtspr 1017, %r3
attempt try_system_call,	sc
attempt try_float,		fadd %f0, %f0, %f0
attempt try_vector,		vaddubm %v0, %v0, %v0
attempt try_lwarx,		lwarx %r5, 0, %r3
attempt try_lmw,		.long 0xbb830000	/* lmw r28,0(r3), which the assembler knows to be wrong here */
attempt try_load,		ld %r5, 0(%r3)
attempt try_store,		std %r5, 0(%r3)
attempt try_dcbz,		dcbz 0, %r3
attempt try_load_reversed,	lwbrx %r5, 0, %r3
attempt try_load_halfword,	lhz %r5, 0(%r3)
attempt try_load_update,	ldu %r5, 16(%r4)
attempt try_store_update,	stdu %r5, 16(%r4)

/* The same for an instruction that only big-endian mode has; the attempt is run in that. */
.macro attempt_big_endian name:req, word:req
	.globl	\name
	.type	\name, @function
\name:	big_endian \word
	big_endian 0x44000002		/* sc */
.endm

attempt_big_endian try_load_multiple,	0xbb830000	/* lmw    r28,0(r3) */
attempt_big_endian try_store_multiple,	0xbf830000	/* stmw   r28,0(r3) */
attempt_big_endian try_load_string,	0x7f8384aa	/* lswi   r28,r3,16 */
attempt_big_endian try_store_string,	0x7f8385aa	/* stswi  r28,r3,16 */

/*
 * Stores 5000 times at R3. With 2000 to go it takes the page away itself, as `struct unmap` at SPRG0 says.
 */
	.globl	try_unmap_in_loop
	.type	try_unmap_in_loop, @function
try_unmap_in_loop:
	mfspr	%r9, SPR_SPRG0
	ld	%r10, UNMAP_RB(%r9)
	ld	%r11, UNMAP_RS(%r9)
	ld	%r9, UNMAP_ENTRY(%r9)
	li	%r5, 0
	li	%r6, 5000
	mtctr	%r6
1:	std	%r6, 0(%r3)
	mfctr	%r7
	cmpdi	%r7, 2000
	bne	2f
	std	%r5, 0(%r9)
	ptesync
	tlbie	%r10, %r11, 0, 1, 1
	eieio
	tlbsync
	ptesync
2:	bdnz	1b
	sc

/*
 * Stores and loads 4096 times in the half page from R3 on, and then on behind it with the same instructions, which are
 * translated code by then.
 */
	.globl	try_loop
	.type	try_loop, @function
try_loop:
	li	%r9, 0
	li	%r10, 0x7f8
	li	%r6, 4096
1:	mtctr	%r6
2:	stdx	%r6, %r3, %r9
	ldx	%r8, %r3, %r9
	addi	%r9, %r9, 8
	and	%r9, %r9, %r10
	bdnz	2b
	cmpdi	%r10, -1
	li	%r10, -1
	li	%r6, 1000
	bne	1b
	sc
