/*
 * Calls out of the guest. A hypercall takes its arguments where a C function has them, in R3 and up, and keeps LR and
 * what a C function keeps, but of CR nothing is promised.
 */
#include "layout.h"

	.text
	.globl	hypercall
	.type	hypercall, @function
hypercall:
	mfcr	%r0
	std	%r0, SAVED_CR(%r1)
	sc	1
	ld	%r0, SAVED_CR(%r1)
	mtcr	%r0
	blr

	.globl	ultracall
	.type	ultracall, @function
ultracall:
	mfcr	%r0
	std	%r0, SAVED_CR(%r1)
	sc	2
	ld	%r0, SAVED_CR(%r1)
	mtcr	%r0
	blr

/* Gives R3-R12 of an array to a call, and puts there what the call left in them. */
.macro registers_call name:req, level:req
	.globl	\name
	.type	\name, @function
\name:
	mfcr	%r0
	std	%r0, SAVED_CR(%r1)
	std	%r31, -8(%r1)
	mr	%r31, %r3
	ld	%r3, 0(%r31)
	ld	%r4, 8(%r31)
	ld	%r5, 16(%r31)
	ld	%r6, 24(%r31)
	ld	%r7, 32(%r31)
	ld	%r8, 40(%r31)
	ld	%r9, 48(%r31)
	ld	%r10, 56(%r31)
	ld	%r11, 64(%r31)
	ld	%r12, 72(%r31)
	sc	\level
	std	%r3, 0(%r31)
	std	%r4, 8(%r31)
	std	%r5, 16(%r31)
	std	%r6, 24(%r31)
	std	%r7, 32(%r31)
	std	%r8, 40(%r31)
	std	%r9, 48(%r31)
	std	%r10, 56(%r31)
	std	%r11, 64(%r31)
	std	%r12, 72(%r31)
	ld	%r31, -8(%r1)
	ld	%r0, SAVED_CR(%r1)
	mtcr	%r0
	blr
.endm

	registers_call hypercall_registers, 1

/* Few guests need it. */
	.section .text.ultracall_registers, "ax"
	registers_call ultracall_registers, 2
