/*
 * A store to a device with a value of the victim's in every register: X0 = what to put there, X1 = where to store what is there afterwards. Gives 0, or 1
 * if it went on at another address than behind the store.
 *
 * SP is the one register that it needs itself; the store takes W0 and X1.
 */
#include "guest.h"
#include "victim.h"

#define FRAME 160
#define STORE_TO 96
#define STRAYED 104
#define KEPT_X0 112

	.macro each_system_register operation:req
	\operation tpidr_el0, 0
	\operation tpidrro_el0, 1
	\operation tpidr_el1, 2
	\operation contextidr_el1, 3
	\operation far_el1, 4
	\operation esr_el1, 5
	\operation par_el1, 6
	\operation mair_el1, 7
	\operation ttbr0_el1, 8
	\operation ttbr1_el1, 9
	\operation elr_el1, 10
	\operation spsr_el1, 11
	\operation sp_el0, 12
	.endm

	.macro put_system name:req, at:req
	ldr	x2, [x0, #REGISTERS_SYSTEM(\at)]
	msr	\name, x2
	.endm

	.macro take_system name:req, at:req
	mrs	x1, \name
	str	x1, [x0, #REGISTERS_SYSTEM(\at)]
	.endm

	/* Which bits there are differs from CPU to CPU: as many of them as it keeps. */
	.macro keep_system name:req, at:req
	ldr	x2, [x0, #REGISTERS_SYSTEM(\at)]
	msr	\name, x2
	isb
	mrs	x2, \name
	str	x2, [x0, #REGISTERS_SYSTEM(\at)]
	.endm

	.macro each_vector operation:req, base:req
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	\operation q\n, [\base, #REGISTERS_V(\n)]
	.endr
	.endm

	.text
	.globl	keep_what_there_is
	.type	keep_what_there_is, %function
keep_what_there_is:
	each_system_register keep_system
	ret

	.globl	store_with_all_registers
	.type	store_with_all_registers, %function
store_with_all_registers:
	sub	sp, sp, #FRAME
	stp	x19, x20, [sp]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	x1, xzr, [sp, #STORE_TO]

	each_system_register put_system
	isb
	each_vector ldr, x0
	ldr	x2, [x0, #REGISTERS_NZCV]
	msr	nzcv, x2
	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	ldr	x\n, [x0, #REGISTERS_X(\n)]
	.endr
	ldr	x0, [x0, #REGISTERS_X(0)]
	str	w0, [x1]
	b	1f
	/* Only who goes on further than it should comes here. */
	stp	x0, x1, [sp, #KEPT_X0]
	mov	x0, #1
	str	x0, [sp, #STRAYED]
	ldp	x0, x1, [sp, #KEPT_X0]

1:	stp	x0, x1, [sp, #KEPT_X0]
	ldr	x0, [sp, #STORE_TO]
	.irp	n, 2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
	str	x\n, [x0, #REGISTERS_X(\n)]
	.endr
	ldp	x1, x2, [sp, #KEPT_X0]
	stp	x1, x2, [x0, #REGISTERS_X(0)]
	mrs	x1, nzcv
	str	x1, [x0, #REGISTERS_NZCV]
	each_vector str, x0
	each_system_register take_system
	ldr	x0, [sp, #STRAYED]
	ldp	x19, x20, [sp]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	add	sp, sp, #FRAME
	ret

	/* Interrupts are masked all the time: whatever comes through these vectors must not. */
	.macro	counted
	.balign	128
	stp	x0, x1, [sp, #-16]!
	ldr	x0, =masked_interrupts
	ldr	x1, [x0]
	add	x1, x1, #1
	str	x1, [x0]
	ldp	x0, x1, [sp], #16
	eret
	.endm

	.macro	uncounted number
	.balign	128
	mov	x0, #\number
	b	unexpected_exception
	.endm

	.balign	2048
	.globl	victim_vectors
victim_vectors:
	.irp	number, 0, 4, 8, 12
	uncounted \number
	counted
	counted
	counted
	.endr
