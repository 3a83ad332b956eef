/*
 * u64 enter_client(u64 entry, u64 arguments): calls the Open Firmware client interface, which wants 32-bit big-endian
 * mode, and may leave of a register that it keeps only the lower half.
 */
#include "guest.h"
#include "layout.h"

#define CLIENT_FRAME (FRAME_BYTES + 8 * 20)
#define KEPT(n) (FRAME_BYTES + 8 * ((n) - 13))
#define KEPT_TOC (FRAME_BYTES + 8 * 19)

	.text
	.globl	enter_client
	.type	enter_client, @function
enter_client:
	mflr	%r0
	std	%r0, SAVED_LR(%r1)
	mfcr	%r0
	std	%r0, SAVED_CR(%r1)
	stdu	%r1, -CLIENT_FRAME(%r1)
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	std	\n, KEPT(\n)(%r1)
	.endr
	std	%r2, KEPT_TOC(%r1)

	mr	%r10, %r3
	mr	%r3, %r4
	bcl	20, 31, 1f
1:	mflr	%r11
	addi	%r11, %r11, 2f - 1b
	mtsrr0	%r11
	mfmsr	%r11
	rldicl	%r11, %r11, 0, 1	/* without SF */
	rldicr	%r11, %r11, 0, 62	/* without LE */
	mtsrr1	%r11
	rfid
2:	big_endian 0x7d4903a6		/* mtctr  r10 */
	big_endian 0x4e800421		/* bctrl */
	enter_little_endian_64

	clrldi	%r1, %r1, 32
	ld	%r2, KEPT_TOC(%r1)
	.irp	n, 13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	ld	\n, KEPT(\n)(%r1)
	.endr
	addi	%r1, %r1, CLIENT_FRAME
	ld	%r0, SAVED_CR(%r1)
	mtcr	%r0
	ld	%r0, SAVED_LR(%r1)
	mtlr	%r0
	blr
