/* What assembly and C of the library must agree on. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define MOST_CPUS 4
#define STACK_BYTES 0x4000
#define INTERRUPT_STACK_BYTES 0x2000
/* The least that a caller leaves below R1 in the ELFv2 ABI */
#define FRAME_BYTES 32
#define SAVED_CR 8
#define SAVED_LR 16

/* struct boot */
#define BOOT_BASE 0
#define BOOT_CLIENT 8
#define BOOT_TREE 16

/* struct interrupt_frame, and what struct cpu has behind it */
#define FRAME_GPR(n) (8 * (n))
#define FRAME_LR 256
#define FRAME_CTR 264
#define FRAME_XER 272
#define FRAME_CR 280
#define FRAME_SRR0 288
#define FRAME_SRR1 296
#define FRAME_DAR 304
#define FRAME_DSISR 312
#define FRAME_VECTOR 320
#define CPU_ENTRY 328
#define CPU_STACK 336
#define CPU_TOC 344

/* Vectors are this far apart. The code that all of them share lies behind the last one. */
#define VECTOR_STEP 0x20
#define FIRST_VECTOR 0x100
#define SHARED_VECTOR_CODE 0x1800

#endif
