/* What smc.c cannot say in C. */
#include "guest.h"

	.text
/*
 * u64 sum_with_patch(u64 turns, u64 patch_at): adds 1 in each turn, and 5 from the turn on in which it has rewritten the
 * `addi` itself.
 */
	.globl	sum_with_patch
	.type	sum_with_patch, @function
sum_with_patch:
	mflr	%r0
	bcl	20, 31, 1f
1:	mflr	%r9
	addi	%r9, %r9, patched_instruction - 1b
	mtlr	%r0
	lwz	%r10, new_instruction - patched_instruction(%r9)
	mtctr	%r3
	li	%r3, 0
2:	cmpld	%r4, %r3
	bne	patched_instruction
	stw	%r10, 0(%r9)
	dcbst	0, %r9
	sync
	icbi	0, %r9
	isync
patched_instruction:
	addi	%r3, %r3, 1
	bdnz	2b
	blr
new_instruction:
	addi	%r3, %r3, 5

/* u64 count_in_own_page(u64 turns): counts in a doubleword between its own instructions. */
	.globl	count_in_own_page
	.type	count_in_own_page, @function
count_in_own_page:
	mflr	%r0
	bcl	20, 31, 1f
1:	mflr	%r9
	addi	%r9, %r9, count_beside_code - 1b
	mtlr	%r0
	mtctr	%r3
	li	%r3, 0
	b	2f
	.balign	8
	.globl	count_beside_code
	.hidden	count_beside_code
count_beside_code:
	.quad	0
2:	ld	%r10, 0(%r9)
	addi	%r10, %r10, 3
	std	%r10, 0(%r9)
	add	%r3, %r3, %r10
	bdnz	2b
	blr

.macro enter_big_endian
	bcl	20, 31, .Lenter\@
.Lenter\@:
	mflr	%r11
	addi	%r11, %r11, .Lbig\@ - .Lenter\@
	mtsrr0	%r11
	mfmsr	%r11
	rldicr	%r11, %r11, 0, 62
	mtsrr1	%r11
	rfid
.Lbig\@:
.endm

/* u64 read_big_endian(const void *at): ld in big-endian mode. */
	.globl	read_big_endian
	.type	read_big_endian, @function
read_big_endian:
	mflr	%r10
	enter_big_endian
	big_endian 0xe8630000		/* ld     r3,0(r3) */
	enter_little_endian_64
	mtlr	%r10
	blr

/* void write_big_endian(void *at, u64 value): std in big-endian mode. */
	.globl	write_big_endian
	.type	write_big_endian, @function
write_big_endian:
	mflr	%r10
	enter_big_endian
	big_endian 0xf8830000		/* std    r4,0(r3) */
	enter_little_endian_64
	mtlr	%r10
	blr
