/* What victim.c and victim_registers.S must agree on: the registers of `struct registers`, as offsets in bytes. */
#ifndef VICTIM_H
#define VICTIM_H

#define REGISTERS_GPR(n) (8 * (n))
#define REGISTERS_FPR(n) (256 + 8 * (n))
#define REGISTERS_CR 512
#define REGISTERS_LR 520
#define REGISTERS_CTR 528
#define REGISTERS_XER 536
#define REGISTERS_FPSCR 544
#define REGISTERS_MSR 552
#define REGISTERS_SPR(n) (560 + 8 * (n))

/* How many special purpose registers; which ones stands in victim_registers.S. None has an effect on what the victim does. */
#define VICTIM_SPRS 9

#endif
