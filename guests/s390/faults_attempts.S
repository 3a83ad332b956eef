/*
 * The attempts of faults.c. Each begins with the instruction that is to fault; if none does, it ends with a supervisor call, which brings it back as well:
 * from problem state there is no other way.
 */
#include "guest.h"
#include "faults.h"

	.text
/*
 * void run_attempt(attempted *code, u64 argument, u64 mask)
 * The attempt finds its argument in R3. Where it ends, its registers 0 to 15 are at LC_REGISTERS.
 */
	.globl	run_attempt
	.type	run_attempt, @function
run_attempt:
	stmg	%r6, %r15, 48(%r15)
	stg	%r15, LC_STACK
	epsw	%r0, %r1
	sllg	%r0, %r0, 32
	lr	%r0, %r1
	/* Condition code 0, no program mask, as it was else. */
	nihh	%r0, 0xffff
	nihl	%r0, 0x00ff
	stg	%r0, LC_RESUME
	larl	%r1, 1f
	stg	%r1, LC_RESUME + 8
	xc	LC_SVC_SEEN(8), LC_SVC_SEEN
	stg	%r4, LC_ATTEMPT
	stg	%r2, LC_ATTEMPT + 8
	lpswe	LC_ATTEMPT
1:	stmg	%r0, %r15, LC_REGISTERS
	lg	%r15, LC_STACK
	lmg	%r6, %r15, 48(%r15)
	br	%r14

	.globl	attempt_svc
attempt_svc:
	mvi	LC_SVC_SEEN, 1
	lpswe	LC_RESUME

	.macro attempt name:req, instruction:req
	.globl	\name
	.type	\name, @function
	.balign	8
\name:	\instruction
	svc	7
	.endm

attempt try_operation,		".short 0x0000"
attempt try_no_such,		".long 0xb9ff0000"
attempt try_six_bytes,		".short 0xe3ff, 0x0000, 0x00ff"
attempt try_svc,		"nopr"
attempt try_stosm,		"stosm 0(%r3), 0"
attempt try_stidp,		"stidp 0(%r3)"
attempt try_spka,		"spka 0x10"
attempt try_lctl,		"lctl %c0, %c0, 0(%r3)"
attempt try_load,		"lg %r5, 0(%r3)"
attempt try_store,		"stg %r5, 0(%r3)"
attempt try_load_far,		"l %r5, 0(%r3)"
attempt try_execute,		"ex %r0, 0(%r3)"
attempt try_lpswe_odd,		"lpswe 4(%r3)"
attempt try_odd_pair,		".short 0x1c36"	/* mr 3,6 */
attempt try_csg_odd,		"csg %r4, %r5, 4(%r3)"
attempt try_divide,		"dsgr %r4, %r3"
attempt try_divide_overflow,	"dr %r4, %r3"
attempt try_add_overflow,	"agr %r3, %r3"
attempt try_float,		"adbr %f1, %f1"
attempt try_monitor,		"mc 0x123(%r3), 5"
attempt try_multiple_load,	"lmg %r4, %r9, 0(%r3)"
attempt try_multiple_store,	"stmg %r4, %r9, 0(%r3)"
attempt try_move,		"mvc 0(16,%r3), 0x400(%r3)"
attempt try_move_from,		"mvc 0x400(16,%r3), 0(%r3)"
attempt try_test_under,		"tm 0(%r3), 1"
attempt try_convert,		"cvd %r5, 0(%r3)"

	.globl	try_executed_store, try_long_move, try_compare, try_loop, try_unmap_in_loop
/* An EXECUTE whose target faults: the length is that of the EXECUTE. */
	.balign	8
try_executed_store:
	exrl	%r0, 1f
	svc	7
1:	stg	%r5, 0(%r3)

/* MOVE LONG EXTENDED of 0x1800 bytes, again while there is more to do: to a page that is there, and the next. */
	.balign	8
try_long_move:
	lgr	%r4, %r3
	lghi	%r5, 0x1800
	larl	%r6, run_attempt
	lghi	%r7, 0
	mvcle	%r4, %r6, 0x5a
	jo	.-4
	svc	7

/* COMPARE LOGICAL STRING: as far as the next page, which is not there. */
	.balign	8
try_compare:
	lghi	%r0, 0
	lgr	%r4, %r3
	lgr	%r5, %r3
	clst	%r4, %r5
	jo	.-4
	svc	7

/* Stores and loads 4096 times in the half page from R3 on, and then on behind it with the same instructions, which are translated code by then. */
	.balign	8
try_loop:
	lghi	%r9, 0
	lghi	%r10, 0x7f8
	lghi	%r6, 4096
1:	stg	%r6, 0(%r9,%r3)
	lg	%r8, 0(%r9,%r3)
	aghi	%r9, 8
	ngr	%r9, %r10
	brctg	%r6, 1b
	cghi	%r10, -1
	lghi	%r10, -1
	lghi	%r6, 1000
	jne	1b
	svc	7

/* Stores 5000 times at R3. With 2000 to go it invalidates the page's entry, of which the table is at LC_UNMAP. */
	.balign	8
try_unmap_in_loop:
	lg	%r9, LC_UNMAP
	lghi	%r6, 5000
1:	stg	%r6, 0(%r3)
	cghi	%r6, 2000
	jne	2f
	ipte	%r9, %r3
2:	brctg	%r6, 1b
	svc	7

	.section .note.GNU-stack, "", @progbits
