/*
 * Where the hypervisor is entered, by firmware and by exits of the guest, and where it leaves.
 *
 * The C code keeps R13 as it is, as the ELF v2 ABI wants: it always points to the registers of the guest.
 */
#include "hypervisor.h"

#define STACK_BYTES 0x2000
#define FRAME_BYTES 32

/* Loads a symbol's address, which is a small one. */
.macro load_symbol register:req, symbol:req
	lis	\register, \symbol@ha
	addi	\register, \register, \symbol@l
.endm

/* HSPRG0 points to the guest's registers while it runs; R13 waits in HSPRG1 and R0 in its place. */
.macro vector address:req
	.org	\address
	mtspr	SPR_HSPRG1, %r13
	mfspr	%r13, SPR_HSPRG0
	std	%r0, VCPU_GPR(0)(%r13)
	li	%r0, \address
	b	exit
.endm

	.section .vectors, "ax"
	vector	0x100
	vector	0x200
	vector	0x300
	vector	0x380
	vector	0x400
	vector	0x480
	vector	VECTOR_EXTERNAL
	vector	0x600
	vector	0x700
	vector	0x800
	vector	0x900
	vector	VECTOR_HDEC
	vector	0xa00
	vector	VECTOR_SYSCALL
	vector	0xd00
	vector	0xe00
	vector	0xe20
	vector	0xe40
	vector	0xe60
	vector	0xe80
	vector	0xea0
	vector	0xf00
	vector	0xf20
	vector	0xf40
	vector	0xf60
	vector	0xf80
	vector	0x1500
	.org	0x2000

/*
 * From firmware: R3 flat device tree, R8 base and R9 entry of OPAL. Firmware that runs an ELF file where it has read it
 * (skiboot does) enters somewhere else than at the address this is linked at; then the image first copies itself to 0.
 */
	.section .text.start, "ax"
	.globl	start
start:
	bcl	20, 31, 1f
1:	mflr	%r14
	load_symbol %r15, 1b
	subf	%r14, %r15, %r14
	cmpdi	%r14, 0
	beq	at_zero
	load_symbol %r4, data_end
	srdi	%r4, %r4, 3
	mtctr	%r4
	li	%r5, -8
	addi	%r14, %r14, -8
2:	ldu	%r0, 8(%r14)
	stdu	%r0, 8(%r5)
	bdnz	2b
	li	%r5, 0
	load_symbol %r4, data_end
3:	dcbst	0, %r5
	sync
	icbi	0, %r5
	addi	%r5, %r5, 128
	cmpd	%r5, %r4
	blt	3b
	isync
	load_symbol %r4, at_zero
	mtctr	%r4
	bctr

at_zero:
	load_symbol %r4, bss_start
	load_symbol %r5, image_end
	subf	%r5, %r4, %r5
	srdi	%r5, %r5, 3
	mtctr	%r5
	li	%r0, 0
	addi	%r4, %r4, -8
4:	stdu	%r0, 8(%r4)
	bdnz	4b
	load_symbol %r1, stack + STACK_BYTES - FRAME_BYTES
	load_symbol %r2, .TOC.
	load_symbol %r13, vcpu
	mtspr	SPR_HSPRG0, %r13
	mr	%r4, %r8
	mr	%r5, %r9
	bl	hypervisor_main
	li	%r3, LEAVE_BY_HRFID
	b	leave

exit:
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	std	%r\n, VCPU_GPR(\n)(%r13)
	.endr
	mfspr	%r4, SPR_HSPRG1
	std	%r4, VCPU_GPR(13)(%r13)
	mflr	%r4
	std	%r4, VCPU_LR(%r13)
	mfctr	%r4
	std	%r4, VCPU_CTR(%r13)
	mfxer	%r4
	std	%r4, VCPU_XER(%r13)
	mfcr	%r4
	std	%r4, VCPU_CR(%r13)
	mfspr	%r4, SPR_SRR0
	std	%r4, VCPU_SRR0(%r13)
	mfspr	%r4, SPR_SRR1
	std	%r4, VCPU_SRR1(%r13)
	mfspr	%r4, SPR_HSRR0
	std	%r4, VCPU_HSRR0(%r13)
	mfspr	%r4, SPR_HSRR1
	std	%r4, VCPU_HSRR1(%r13)
	std	%r0, VCPU_VECTOR(%r13)
	load_symbol %r1, stack + STACK_BYTES - FRAME_BYTES
	load_symbol %r2, .TOC.
	mr	%r3, %r13
	bl	handle_exit

/* R3: one of LEAVE_BY_... */
leave:
	ld	%r4, VCPU_LR(%r13)
	mtlr	%r4
	ld	%r4, VCPU_CTR(%r13)
	mtctr	%r4
	ld	%r4, VCPU_XER(%r13)
	mtxer	%r4
	ld	%r4, VCPU_SRR0(%r13)
	mtspr	SPR_SRR0, %r4
	ld	%r4, VCPU_SRR1(%r13)
	mtspr	SPR_SRR1, %r4
	ld	%r4, VCPU_HSRR0(%r13)
	mtspr	SPR_HSRR0, %r4
	ld	%r4, VCPU_HSRR1(%r13)
	mtspr	SPR_HSRR1, %r4
	.irp	n, 0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	ld	%r\n, VCPU_GPR(\n)(%r13)
	.endr
	cmpdi	%r3, LEAVE_BY_UV_RETURN
	ld	%r4, VCPU_CR(%r13)
	beq	1f
	mtcrf	0xff, %r4
	ld	%r3, VCPU_GPR(3)(%r13)
	ld	%r4, VCPU_GPR(4)(%r13)
	ld	%r13, VCPU_GPR(13)(%r13)
	hrfid

1:	mtcrf	0xff, %r4
	ld	%r3, VCPU_GPR(3)(%r13)
	ld	%r4, VCPU_GPR(4)(%r13)
	ld	%r13, VCPU_GPR(13)(%r13)
	sc	2
	/* Only a refused UV_RETURN comes back. */
	mfspr	%r13, SPR_HSPRG0
	load_symbol %r1, stack + STACK_BYTES - FRAME_BYTES
	load_symbol %r2, .TOC.
	bl	uv_return_refused

/* s64 ultracall(number, ...): the arguments are in their registers already. */
	.globl	ultracall
ultracall:
	sc	2
	blr

/*
 * s64 opal_call(token, r3, r4, r5). OPAL wants its base in R2. The frame has the parameter save area of the ELF v1 ABI too,
 * which OPAL may be compiled for.
 */
	.globl	opal_call
opal_call:
	mflr	%r0
	std	%r0, 16(%r1)
	stdu	%r1, -128(%r1)
	std	%r2, 120(%r1)
	load_symbol %r7, opal
	ld	%r2, 0(%r7)
	ld	%r12, 8(%r7)
	mr	%r0, %r3
	mr	%r3, %r4
	mr	%r4, %r5
	mr	%r5, %r6
	mtctr	%r12
	bctrl
	ld	%r2, 120(%r1)
	addi	%r1, %r1, 128
	ld	%r0, 16(%r1)
	mtlr	%r0
	blr

	.bss
	.balign	16
	.globl	opal
opal:	.skip	16			/* base, entry */
	.globl	vcpu
vcpu:	.skip	VCPU_VECTOR + 8
	.balign	16
stack:	.skip	STACK_BYTES
