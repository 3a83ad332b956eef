/*
 * What our assembly guests have in common. Each macro names the registers that it changes.
 */
#ifndef GUEST_H
#define GUEST_H

#include "pef.h"

/* An instruction word as a big-endian CPU reads it. */
.macro big_endian word:req
	.byte	((\word) >> 24) & 0xff, ((\word) >> 16) & 0xff, ((\word) >> 8) & 0xff, (\word) & 0xff
.endm

/*
 * One word with two meanings. Little-endian it is `tdi 0,0,0x48`, a trap that never happens; read in the other order its
 * bytes are `b .+8`. So what stands behind the next instruction is reached by a big-endian CPU only.
 */
.macro skip_next_if_big_endian
	tdi	0, 0, 0x48
.endm

/*
 * The first instructions of a guest. It may be entered in either byte order, in 32-bit or 64-bit mode; it goes on in
 * 64-bit little-endian mode, with the rest of its MSR and R0-R10 as they were. Changes R11, R12, LR.
 */
.macro enter_little_endian_64
	skip_next_if_big_endian
	b	.Llittle_endian\@
	big_endian 0x7d6000a6		/* mfmsr  r11 */
	big_endian 0x616b0001		/* ori    r11,r11,MSR_LE */
	big_endian 0x429f0005		/* bcl    20,31,.+4 */
	big_endian 0x7d8802a6		/* mflr   r12: the address of this very instruction */
	big_endian 0x398c0014		/* addi   r12,r12,0x14: the address behind rfid */
	big_endian 0x7d9a03a6		/* mtsrr0 r12 */
	big_endian 0x7d7b03a6		/* mtsrr1 r11 */
	big_endian 0x4c000024		/* rfid */
.Llittle_endian\@:
	mfmsr	%r11
	li	%r12, 1
	sldi	%r12, %r12, 63
	or	%r11, %r11, %r12
	mtmsrd	%r11
.endm

/* The address that the symbol `start` has where the image lies now. Changes LR. */
.macro load_base register:req
	bcl	20, 31, .Lhere\@
.Lhere\@:
	mflr	\register
	addi	\register, \register, start - .Lhere\@
.endm

/*
 * The next eight characters as H_PUT_TERM_CHAR takes them: the first in the most significant byte. `pointer` moves on.
 * Changes R0, CTR.
 */
.macro pack_characters into:req, pointer:req
	li	%r0, 8
	mtctr	%r0
	li	\into, 0
.Lpack\@:
	lbz	%r0, 0(\pointer)
	addi	\pointer, \pointer, 1
	sldi	\into, \into, 8
	or	\into, \into, %r0
	bdnz	.Lpack\@
.endm

/* The argument block of RTAS power-off: token, nargs, nret, two arguments, room for the status; big-endian words. */
.macro rtas_power_off_arguments
	big_endian RTAS_POWER_OFF
	big_endian 2
	big_endian 1
	big_endian 0
	big_endian 0
	big_endian 0
.endm
#endif
