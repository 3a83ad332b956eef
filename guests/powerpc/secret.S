/*
 * The guest with a secret. It asks to become secure, makes a secret of random numbers, and works with it in memory and in
 * registers through many exits, so that a hypervisor which can see either finds it. Whether it became secure or not, it
 * does the same work and prints the same lines about it.
 *
 * What it shows on purpose never depends on the secret: neither a line, nor an argument of a call, nor the number of
 * instructions between two calls. So two secure runs with different secrets must look alike to the hypervisor.
 *
 * It is entered again at its first instruction when it has become secure, and begins anew: MSR[S] tells it where it is.
 */
#include "guest.h"

/*
 * R14-R17	the secret, four doublewords, from `make_secret` on
 * R18		base of the image
 * R19		damage: not zero once anything that should have been kept was not
 * R20		flat device tree, or 0
 * R21		the page of the secret
 * R22		1: the secret came from the clock
 * R24-R27	state of the mixer, as secret as the secret
 * R28-R31	for `print` and `random`
 */

/* Offsets in the page of the secret */
#define SECRET_WORDS 0
#define SECRET_CHECKSUM 32
#define SECRET_MIXED 1024
#define MIXED_DOUBLEWORDS 128
#define ROUNDS_PER_LINE 16

.macro say text:req
	addi	%r28, %r18, \text - start
	li	%r29, \text\()_end - \text
	bl	print
.endm

.macro text name:req, characters:vararg
\name:	.ascii	\characters
\name\()_end:
.endm

	.text
	.globl	start
start:
	enter_little_endian_64
	load_base %r18
	addis	%r21, %r18, secret@ha
	li	%r20, 0
	cmpdi	%r5, 0			/* the Open Firmware client entry: there is no flat tree then */
	bne	1f
	mr	%r20, %r3
1:	bl	clear
	bl	install_system_call_handler
	mfmsr	%r11
	andis.	%r11, %r11, MSR_S >> 16
	bne	make_secret

	say	asking
	li	%r3, 0
	ori	%r3, %r3, UV_ESM
	mr	%r4, %r18
	mr	%r5, %r20
	sc	2
	/* Success does not come back here, it enters the guest at `start`. */
	cmpdi	%r3, 0
	beq	make_secret
	say	staying_normal

make_secret:
	bl	random
	mr	%r14, %r3
	bl	random
	mr	%r15, %r3
	bl	random
	mr	%r16, %r3
	bl	random
	mr	%r17, %r3
	std	%r14, SECRET_WORDS + 0(%r21)
	std	%r15, SECRET_WORDS + 8(%r21)
	std	%r16, SECRET_WORDS + 16(%r21)
	std	%r17, SECRET_WORDS + 24(%r21)
	bl	checksum
	std	%r3, SECRET_CHECKSUM(%r21)
	mr	%r24, %r14
	mr	%r25, %r15
	mr	%r26, %r16
	mr	%r27, %r17
	cmpdi	%r22, 0
	beq	1f
	say	made_from_clock
	b	2f
1:	say	made
2:
	bl	mix
	say	mixed_16
	bl	mix
	say	mixed_32
	bl	mix
	say	mixed_48
	bl	mix
	say	mixed_64

	bl	compare_with_registers
	bl	checksum
	ld	%r4, SECRET_CHECKSUM(%r21)
	xor	%r3, %r3, %r4
	or	%r19, %r19, %r3
	cmpdi	%r19, 0
	bne	1f
	say	intact
	b	2f
1:	say	damaged
2:
	mfmsr	%r11
	andis.	%r11, %r11, MSR_S >> 16
	beq	1f
	say	ran_secure
	b	2f
1:	say	ran_normal
2:
	bl	hold_secret
	li	%r3, 0
	ori	%r3, %r3, H_RTAS
	addi	%r4, %r18, power_off_arguments - start
	mtctr	%r16
	mr	%r0, %r17
	sc	1
	b	.

/* Makes everything that the guest keeps zero. Changes R0, R3, CTR. */
clear:
	li	%r14, 0
	li	%r15, 0
	li	%r16, 0
	li	%r17, 0
	li	%r19, 0
	li	%r22, 0
	li	%r0, PAGE_BYTES / 8
	mtctr	%r0
	addi	%r3, %r21, -8
	li	%r0, 0
1:	stdu	%r0, 8(%r3)
	bdnz	1b
	blr

/*
 * Puts a handler at the system call vector, guest real address 0xC00. Where a machine knows no Ultravisor, `sc 2` may
 * raise a system call interrupt in the guest itself (QEMU does so). Changes R0, R3-R5, CTR.
 */
install_system_call_handler:
	addi	%r4, %r18, system_call_handler - start - 4
	li	%r5, VECTOR_SYSCALL - 4
	li	%r0, (system_call_handler_end - system_call_handler) / 4
	mtctr	%r0
1:	lwzu	%r0, 4(%r4)
	stwu	%r0, 4(%r5)
	bdnz	1b
	li	%r3, VECTOR_SYSCALL
	dcbst	0, %r3
	sync
	icbi	0, %r3
	isync
	blr

/* Never run here but at the vector, in the byte order that LPCR[ILE] asks for: the call gets the answer U_FUNCTION. */
	.balign	4
system_call_handler:
	skip_next_if_big_endian
	b	1f
	big_endian 0x3860fffe		/* li     r3,U_FUNCTION */
	big_endian 0x4c000024		/* rfid */
1:	li	%r3, U_FUNCTION
	rfid
system_call_handler_end:

/*
 * R3 = 64 random bits, of the hypervisor (in a secure VM the Ultravisor answers). Where it has none, a walk of the time
 * base, so that the guest goes on. Changes R0, R3-R12, R30, CTR.
 */
random:
	mflr	%r30
	li	%r3, H_RANDOM
	sc	1
	mtlr	%r30
	cmpdi	%r3, H_SUCCESS
	mr	%r3, %r4
	beqlr
	li	%r22, 1
	mfspr	%r3, SPR_TB
	li	%r4, 64
	mtctr	%r4
1:	rotldi	%r5, %r3, 13
	xor	%r3, %r3, %r5
	mfspr	%r4, SPR_TB
	add	%r3, %r3, %r4
	rotldi	%r5, %r3, 41
	add	%r3, %r3, %r5
	bdnz	1b
	blr

/* R3 = checksum of the secret in memory. Changes R0, R4, R5, CTR. */
checksum:
	li	%r0, 4
	mtctr	%r0
	addi	%r5, %r21, SECRET_WORDS - 8
	lis	%r3, 0x5eed
1:	ldu	%r4, 8(%r5)
	xor	%r3, %r3, %r4
	rotldi	%r3, %r3, 23
	add	%r3, %r3, %r4
	bdnz	1b
	blr

/* Adds to the damage whatever of the secret differs between memory and R14-R17. Changes R3. */
compare_with_registers:
	ld	%r3, SECRET_WORDS + 0(%r21)
	xor	%r3, %r3, %r14
	or	%r19, %r19, %r3
	ld	%r3, SECRET_WORDS + 8(%r21)
	xor	%r3, %r3, %r15
	or	%r19, %r19, %r3
	ld	%r3, SECRET_WORDS + 16(%r21)
	xor	%r3, %r3, %r16
	or	%r19, %r19, %r3
	ld	%r3, SECRET_WORDS + 24(%r21)
	xor	%r3, %r3, %r17
	or	%r19, %r19, %r3
	blr

/* Mixes the secret into 1 KiB of its page: additions, rotations and exclusive ors. Changes R8-R11, CTR. */
mix:
	li	%r8, ROUNDS_PER_LINE
1:	li	%r9, MIXED_DOUBLEWORDS
	mtctr	%r9
	addi	%r10, %r21, SECRET_MIXED - 8
2:	ldu	%r11, 8(%r10)
	add	%r24, %r24, %r11
	xor	%r27, %r27, %r24
	rotldi	%r27, %r27, 32
	add	%r26, %r26, %r27
	xor	%r25, %r25, %r26
	rotldi	%r25, %r25, 24
	add	%r24, %r24, %r25
	std	%r24, 0(%r10)
	bdnz	2b
	addi	%r8, %r8, -1
	cmpdi	%r8, 0
	bne	1b
	blr

/*
 * Puts the secret into the registers that a hypercall has no use for, so that it is there at the exit; XER gets the bits
 * that it has. R0 and CTR the caller fills last. It keeps its return address elsewhere, for LR is one of them. Changes R3.
 */
hold_secret:
	mflr	%r3
	mtspr	SPR_SPRG0, %r14
	mtspr	SPR_SPRG1, %r15
	mtcrf	0xff, %r16
	lis	%r0, 0x600c		/* OV, CA, OV32, CA32 */
	ori	%r0, %r0, 0x7f		/* and the length of string instructions */
	and	%r0, %r0, %r17
	mtxer	%r0
	mr	%r8, %r14
	mr	%r9, %r15
	mr	%r10, %r16
	mr	%r11, %r17
	mr	%r12, %r14
	mtctr	%r3
	mtlr	%r15
	bctr

/*
 * Prints R29 characters from R28 on, with the secret in the registers meanwhile. What a hypercall keeps must still be
 * there after it. Changes R0, R3-R12, R28-R31, LR, CR, CTR, XER, SPRG0, SPRG1.
 */
print:
	mflr	%r30
1:	bl	hold_secret
	mr	%r31, %r28
	pack_characters into=%r6, pointer=%r31
	pack_characters into=%r7, pointer=%r31
	mtctr	%r16
	mr	%r0, %r17
	li	%r5, VTERM_CHARS
	li	%r3, H_PUT_TERM_CHAR
	lis	%r4, VTERM >> 16
	cmpd	%cr1, %r29, %r5
	bge	%cr1, 2f
	mr	%r5, %r29
2:	sc	1
	mflr	%r4
	xor	%r4, %r4, %r15
	or	%r19, %r19, %r4
	mfspr	%r4, SPR_SPRG0
	xor	%r4, %r4, %r14
	or	%r19, %r19, %r4
	mfspr	%r4, SPR_SPRG1
	xor	%r4, %r4, %r15
	or	%r19, %r19, %r4
	cmpdi	%r3, H_BUSY
	beq	1b
	addi	%r28, %r28, VTERM_CHARS
	addi	%r29, %r29, -VTERM_CHARS
	cmpdi	%r29, 0
	bgt	1b
	mtlr	%r30
	blr

	.section .rodata
text	asking, "normal: asking for secure mode\n"
text	staying_normal, "no secure mode here, staying normal\n"
text	made, "made a secret of 32 bytes\n"
text	made_from_clock, "made a secret of 32 bytes, from the clock\n"
text	mixed_16, "mixed 16 of 64 rounds\n"
text	mixed_32, "mixed 32 of 64 rounds\n"
text	mixed_48, "mixed 48 of 64 rounds\n"
text	mixed_64, "mixed 64 of 64 rounds\n"
text	intact, "secret intact\n"
text	damaged, "secret damaged\n"
text	ran_secure, "ran as a secure VM\n"
text	ran_normal, "ran as a normal VM\n"
	.skip	VTERM_CHARS		/* a call always reads whole registers of characters */

	.data
power_off_arguments:
	rtas_power_off_arguments

/* A page of its own (guest.ld begins .bss at one), so that it can leave the guest and come back without the code. */
	.bss
	.globl	secret
	.type	secret, @object
	.size	secret, 32
secret:
	.skip	PAGE_BYTES
