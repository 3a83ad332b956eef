/*
 * DIAGNOSE 0x500 with a value of the victim's in every register: R2 = what to put there, R3 = where to store what is there afterwards. Gives 0, or 1 if it
 * went on at another address than behind the instruction. Registers 1 to 4 are its operands, of which 2 comes back; it needs none for itself: what it must
 * remember is in the prefix area.
 */
#include "guest.h"
#include "victim.h"

	.macro each_fpr operation:req, base:req
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	\operation %f\n, REGISTERS_FPR+8*\n(\base)
	.endr
	.endm

	.text
	.globl	diagnose_with_all_registers
	.type	diagnose_with_all_registers, @function
diagnose_with_all_registers:
	stmg	%r0, %r15, LC_KEPT_GR
	stctg	%c0, %c15, LC_KEPT_CR
	stg	%r3, LC_FOUND
	mvi	LC_STRAYED, 0
	each_fpr ld, %r2
	lfpc	REGISTERS_FPC(%r2)
	lam	%a0, %a15, REGISTERS_AR(%r2)
	/* All but those that say what interruptions there are. */
	lctlg	%c1, %c5, REGISTERS_CR+8(%r2)
	lctlg	%c7, %c13, REGISTERS_CR+8*7(%r2)
	lctlg	%c15, %c15, REGISTERS_CR+8*15(%r2)
	sckc	REGISTERS_COMPARATOR(%r2)
	/* Should the host end the instruction with a program interruption, it goes on behind it. */
	larl	%r1, 1f
	stg	%r1, LC_RESUME + 8
	mvc	LC_GR(128), REGISTERS_GR(%r2)
	/* Condition code and program mask. */
	l	%r0, REGISTERS_MASK(%r2)
	sllg	%r0, %r0, 16
	spm	%r0
	lmg	%r0, %r15, LC_GR
	diag	%r2, %r4, 0x500
	j	1f
	/* Nobody comes here who was resumed where he stopped. */
	mvi	LC_STRAYED, 1

1:	stmg	%r0, %r15, LC_GR
	epsw	%r0, %r1
	st	%r0, LC_MASK
	st	%r1, LC_MASK + 4
	lg	%r2, LC_FOUND
	xc	LC_RESUME(16), LC_RESUME
	mvc	REGISTERS_GR(128,%r2), LC_GR
	mvc	REGISTERS_MASK(8,%r2), LC_MASK
	each_fpr std, %r2
	stfpc	REGISTERS_FPC(%r2)
	stam	%a0, %a15, REGISTERS_AR(%r2)
	stctg	%c0, %c15, REGISTERS_CR(%r2)
	stpx	REGISTERS_PREFIX(%r2)
	stckc	REGISTERS_COMPARATOR(%r2)
	lctlg	%c0, %c15, LC_KEPT_CR
	lghi	%r0, 0
	spm	%r0
	lmg	%r0, %r15, LC_KEPT_GR
	llgc	%r2, LC_STRAYED
	br	%r14

/* Interruptions: of I/O, machine checks and restarts there are none; external ones only while the victim waits for the service signal. */
	.globl	victim_io, victim_machine_check, victim_restart, victim_external
victim_io:
	agsi	LC_MASKED_INTERRUPTS, 1
	lpswe	LC_IO_OLD
victim_machine_check:
	agsi	LC_MASKED_INTERRUPTS, 1
	lpswe	LC_MACHINE_CHECK_OLD
victim_restart:
	agsi	LC_MASKED_INTERRUPTS, 1
	lpswe	LC_RESTART_OLD
victim_external:
	tm	LC_EXTERNAL_OLD, PSW_EXTERNAL >> 56
	jo	external_entry
	agsi	LC_MASKED_INTERRUPTS, 1
	lpswe	LC_EXTERNAL_OLD

	.section .note.GNU-stack, "", @progbits
