/*
 * The smallest guest: it prints one line and powers off. It never asks to be secure.
 */
#include "guest.h"

/* R18 base of the image, R28 next character, R29 characters left */

	.text
	.globl	start
start:
	enter_little_endian_64
	load_base %r18
	addi	%r28, %r18, hello - start
	li	%r29, hello_end - hello

print:
	mr	%r9, %r28
	pack_characters into=%r6, pointer=%r9
	pack_characters into=%r7, pointer=%r9
	li	%r5, VTERM_CHARS
	cmpd	%r29, %r5
	bge	1f
	mr	%r5, %r29
1:	li	%r3, H_PUT_TERM_CHAR
	lis	%r4, VTERM >> 16
	sc	1
	cmpdi	%r3, H_BUSY
	beq	print
	addi	%r28, %r28, VTERM_CHARS
	addi	%r29, %r29, -VTERM_CHARS
	cmpdi	%r29, 0
	bgt	print

	li	%r3, 0
	ori	%r3, %r3, H_RTAS
	addi	%r4, %r18, power_off_arguments - start
	sc	1
	b	.

	.section .rodata
hello:
	.ascii	"hello from ppc64le\n"
hello_end:
	.balign	VTERM_CHARS		/* a call always reads whole registers of characters */

	.data
power_off_arguments:
	rtas_power_off_arguments
