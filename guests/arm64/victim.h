/* What victim.c and victim_registers.S must agree on: the registers of `struct registers`, as offsets in bytes. */
#ifndef VICTIM_H
#define VICTIM_H

#define REGISTERS_X(n) (8 * (n))
#define REGISTERS_NZCV 248
#define REGISTERS_V(n) (256 + 16 * (n))
#define REGISTERS_SYSTEM(n) (768 + 8 * (n))

/* How many system registers; which ones stands in victim_registers.S. With the MMU off none has an effect on what the victim does. */
#define VICTIM_SYSTEM_REGISTERS 13

#endif
