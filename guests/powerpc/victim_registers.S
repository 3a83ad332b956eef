/*
 * A hypercall with a value of the victim's in every register: R3 = what to put there, R4 = where to store what is there
 * afterwards. Gives 0, or 1 if it went on at another address than behind its `sc`.
 *
 * R1 is the one register that it needs itself, and R3 the one that the call answers in.
 */
#include "guest.h"
#include "pef.h"
#include "victim.h"

#define FRAME 256
#define STORE_TO 32
#define STRAYED 40
#define ANSWER 48
#define KEPT(n) (64 + 8 * (n - 13))

.macro each_gpr operation:req, base:req
	.irp	n, 0,2,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	\operation \n, REGISTERS_GPR(\n)(\base)
	.endr
.endm

.macro each_fpr operation:req, base:req
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	\operation \n, REGISTERS_FPR(\n)(\base)
	.endr
.endm

	.macro put_spr number:req, at:req
	ld	%r0, REGISTERS_SPR(\at)(%r3)
	mtspr	\number, %r0
	.endm

	.macro take_spr number:req, at:req
	mfspr	%r4, \number
	std	%r4, REGISTERS_SPR(\at)(%r3)
	.endm

.macro each_spr operation:req
	\operation SPR_SPRG0, 0
	\operation SPR_DSCR, 1
	\operation SPR_TAR, 2
	\operation SPR_VRSAVE, 3
	\operation SPR_AMR, 4
	\operation SPR_EBBHR, 5
	\operation SPR_EBBRR, 6
	\operation SPR_MMCR2, 7
	\operation SPR_FSCR, 8
.endm

	.text
	.globl	hypercall_with_all_registers
	.hidden	hypercall_with_all_registers
	.type	hypercall_with_all_registers, @function
hypercall_with_all_registers:
	mflr	%r0
	std	%r0, 16(%r1)
	mfcr	%r0
	std	%r0, 8(%r1)
	stdu	%r1, -FRAME(%r1)
	std	%r2, 24(%r1)
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\n, KEPT(\n)(%r1)
	.endr
	std	%r4, STORE_TO(%r1)
	li	%r0, 0
	std	%r0, STRAYED(%r1)

	each_spr put_spr
	lfd	%f0, REGISTERS_FPSCR(%r3)
	mtfsf	0xff, %f0, 1, 0
	each_fpr lfd, %r3
	ld	%r0, REGISTERS_CR(%r3)
	mtcr	%r0
	ld	%r0, REGISTERS_LR(%r3)
	mtlr	%r0
	ld	%r0, REGISTERS_CTR(%r3)
	mtctr	%r0
	ld	%r0, REGISTERS_XER(%r3)
	mtxer	%r0
	each_gpr ld, %r3
	ld	%r3, REGISTERS_GPR(3)(%r3)
	sc	1
	b	1f
	/* Nobody comes here who was resumed where he stopped. */
	std	%r1, STRAYED(%r1)

1:	std	%r3, ANSWER(%r1)
	ld	%r3, STORE_TO(%r1)
	each_gpr std, %r3
	ld	%r4, ANSWER(%r1)
	std	%r4, REGISTERS_GPR(3)(%r3)
	mfcr	%r4
	std	%r4, REGISTERS_CR(%r3)
	mflr	%r4
	std	%r4, REGISTERS_LR(%r3)
	mfctr	%r4
	std	%r4, REGISTERS_CTR(%r3)
	mfxer	%r4
	std	%r4, REGISTERS_XER(%r3)
	mfmsr	%r4
	std	%r4, REGISTERS_MSR(%r3)
	each_fpr stfd, %r3
	mffs	%f0
	stfd	%f0, REGISTERS_FPSCR(%r3)
	each_spr take_spr

	ld	%r3, STRAYED(%r1)
	cntlzd	%r3, %r3
	srdi	%r3, %r3, 6
	xori	%r3, %r3, 1
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	\n, KEPT(\n)(%r1)
	.endr
	ld	%r2, 24(%r1)
	addi	%r1, %r1, FRAME
	ld	%r0, 8(%r1)
	mtcr	%r0
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr
