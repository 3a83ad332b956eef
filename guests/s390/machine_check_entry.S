/* Machine checks of machine_check.c. */
#include "guest.h"
#include "machine_check.h"

	.text
	.globl	machine_check_entry
machine_check_entry:
	stmg	%r0, %r15, LC_GR
	stctg	%c0, %c15, LC_CR
	agsi	LC_CHECKS, 1
	lpswe	LC_MACHINE_CHECK_OLD

/*
 * Open for machine checks (R2 = 1) or not (0), with something in each register that a machine check saves; and then with what is at R3 in control
 * register 14.
 */
	.globl	open_for_checks
	.type	open_for_checks, @function
open_for_checks:
	stmg	%r6, %r15, 48(%r15)
	.irp	n, 6,7,8,9,10,11,12,13
	llilf	%r\n, 0x11110000 + \n
	.endr
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	ldgr	%f\n, %r8
	sar	%a\n, %r9
	.endr
	larl	%r5, masks
	sllg	%r2, %r2, 4
	la	%r5, 0(%r2,%r5)
	lpswe	0(%r5)
1:	lctlg	%c14, %c14, 0(%r3)
	lmg	%r6, %r15, 48(%r15)
	br	%r14

	.balign	8
masks:	.quad	PSW_64, 1b
	.quad	PSW_64 | PSW_MACHINE_CHECK, 1b

	.section .note.GNU-stack, "", @progbits
