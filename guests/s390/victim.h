/* What victim.c and victim_registers.S must agree on: the registers of `struct registers`, as offsets in bytes, and what is kept in the prefix area. */
#pragma once

#define REGISTERS_GR 0
#define REGISTERS_FPR 128
#define REGISTERS_CR 256
#define REGISTERS_AR 384
#define REGISTERS_FPC 448
#define REGISTERS_PREFIX 452
#define REGISTERS_MASK 456
#define REGISTERS_COMPARATOR 464
#define REGISTERS_BYTES 472

#define LC_KEPT_GR 0x400
#define LC_KEPT_CR 0x480
#define LC_GR 0x500
#define LC_MASK 0x580
#define LC_FOUND 0x588
#define LC_STRAYED 0x590
/* Interruptions of a class that was masked */
#define LC_MASKED_INTERRUPTS 0x598
