/*
 * Numbers of the Power architecture and of PEF that our guests need, for C and for the assembler: plain constants only.
 * Sources: Power ISA 3.0B (registers), "Ultravisor API" of the Linux kernel documentation (ultracalls), PAPR (hypercalls),
 * skiboot's OPAL API (OPAL calls).
 */
#ifndef PEF_H
#define PEF_H

/* MSR */
#define MSR_SF 0x8000000000000000
#define MSR_HV 0x1000000000000000
#define MSR_S 0x400000
#define MSR_EE 0x8000
#define MSR_PR 0x4000
#define MSR_FP 0x2000
#define MSR_ME 0x1000
#define MSR_IR 0x20
#define MSR_DR 0x10
#define MSR_LE 0x1
/* The bits of SRR1 and HSRR1 in which an interrupt reports something; in all others they hold the interrupted MSR. */
#define SRR1_STATUS 0x783F0000
/* The level of a system call; not promised without PEF. */
#define SRR1_LEV2 0x200000

/* Special purpose registers */
#define SPR_DSCR 17
#define SPR_DSISR 18
#define SPR_DAR 19
#define SPR_DEC 22
#define SPR_SRR0 26
#define SPR_SRR1 27
#define SPR_AMR 29
#define SPR_PIDR 48
#define SPR_FSCR 153
#define SPR_VRSAVE 256
#define SPR_TB 268
#define SPR_SPRG0 272
#define SPR_SPRG1 273
#define SPR_SPRG2 274
#define SPR_SPRG3 275
#define SPR_HSPRG0 304
#define SPR_HSPRG1 305
#define SPR_HDSISR 306
#define SPR_HDAR 307
#define SPR_HDEC 310
#define SPR_HSRR0 314
#define SPR_HSRR1 315
#define SPR_LPCR 318
#define SPR_LPIDR 319
#define SPR_PTCR 464
#define SPR_MMCR2 785
#define SPR_EBBHR 804
#define SPR_EBBRR 805
#define SPR_TAR 815
#define SPR_ASDR 816

/* LPCR */
#define LPCR_LPES 0x8
#define LPCR_GTSE 0x400
#define LPCR_LD 0x20000
#define LPCR_HR 0x100000
#define LPCR_UPRT 0x400000
#define LPCR_ILE 0x2000000

/* Interrupt vectors */
#define VECTOR_DATA_STORAGE 0x300
#define VECTOR_INSTRUCTION_STORAGE 0x400
#define VECTOR_EXTERNAL 0x500
#define VECTOR_ALIGNMENT 0x600
#define VECTOR_PROGRAM 0x700
#define VECTOR_DECREMENTER 0x900
#define VECTOR_HDEC 0x980
#define VECTOR_PRIVILEGED_DOORBELL 0xA00
#define VECTOR_SYSCALL 0xC00
#define VECTOR_HV_DATA_STORAGE 0xE00

/* Partition table entry and radix tree; doublewords are big-endian in memory. */
#define PATE_HR 0x8000000000000000
#define PATE_GR 0x8000000000000000
#define RADIX_RTS_52 0x40000000000000A0
#define RADIX_VALID 0x8000000000000000
#define RADIX_LEAF 0x4000000000000000
#define RADIX_REFERENCED 0x100
#define RADIX_CHANGED 0x80
#define RADIX_READ_WRITE_EXECUTE 0x7

/* The Ultravisor's page */
#define PAGE_ORDER 16
#define PAGE_BYTES 0x10000

/* Ultracalls (sc 2): number in R3 */
#define UV_WRITE_PATE 0xF104
#define UV_ESM 0xF110
#define UV_RETURN 0xF11C
#define UV_REGISTER_MEM_SLOT 0xF120
#define UV_UNREGISTER_MEM_SLOT 0xF124
#define UV_PAGE_IN 0xF128
#define UV_PAGE_OUT 0xF12C
#define UV_SHARE_PAGE 0xF130
#define UV_UNSHARE_PAGE 0xF134
#define UV_PAGE_INVAL 0xF138
#define UV_SVM_TERMINATE 0xF13C
#define UV_ESMB_GET_FILE 0xF14C
#define U_SUCCESS 0
#define U_FUNCTION (-2)
#define U_PARAMETER (-4)

/* Hypercalls (sc 1): number in R3 */
#define H_PUT_TCE 0x20
#define H_LOGICAL_CI_LOAD 0x3C
#define H_LOGICAL_CI_STORE 0x40
#define H_GET_TERM_CHAR 0x54
#define H_PUT_TERM_CHAR 0x58
#define H_EOI 0x64
#define H_CPPR 0x68
#define H_XIRR 0x74
#define H_CEDE 0xE0
#define H_PROD 0xE8
#define H_RANDOM 0x300
#define H_SET_MODE 0x31C
#define H_REGISTER_PROC_TBL 0x37C
#define H_SVM_PAGE_IN 0xEF00
#define H_SVM_PAGE_OUT 0xEF04
#define H_SVM_INIT_START 0xEF08
#define H_SVM_INIT_DONE 0xEF0C
#define H_SVM_INIT_ABORT 0xEF14
#define H_RTAS 0xF000
#define H_PAGE_IN_SHARED 1
/* H_SET_MODE: which resource, and the value of this one */
#define H_SET_MODE_LE 4
#define H_SET_MODE_LITTLE 1
/* H_REGISTER_PROC_TBL: a new table, of a radix tree, with tlbie allowed to the guest */
#define PROC_TBL_NEW 0x18
#define PROC_TBL_RADIX 0x4
#define PROC_TBL_GTSE 0x1
#define H_SUCCESS 0
#define H_BUSY 1
#define H_HARDWARE (-1)
#define H_FUNCTION (-2)
#define H_PRIVILEGE (-3)
#define H_PARAMETER (-4)
#define H_P2 (-55)
#define H_P3 (-56)
#define H_P4 (-57)
#define H_UNSUPPORTED_FLAG_START (-256)
#define H_UNSUPPORTED (-67)
#define H_STATE (-75)

/* The first console of a pseries machine, and the most characters that one call moves */
#define VTERM 0x71000000
#define VTERM_CHARS 16

/* RTAS tokens as QEMU's pseries machine numbers them, and RTAS status words */
#define RTAS_POWER_OFF 0x2003
#define RTAS_SYSTEM_REBOOT 0x2004
#define RTAS_QUERY_CPU_STOPPED 0x2005
#define RTAS_START_CPU 0x2006
#define RTAS_STOP_SELF 0x2007
#define RTAS_SET_XIVE 0x200A
#define RTAS_READ_PCI_CONFIG 0x2016
#define RTAS_WRITE_PCI_CONFIG 0x2017
#define RTAS_OS_TERM 0x201F
#define RTAS_PARAMETER (-3)

/* Where a pseries machine places a kernel: here plus its physical address modulo 256 MiB */
#define KERNEL_BASE 0x400000
#define KERNEL_ADDRESS_MASK 0x0FFFFFFF

/* OPAL calls: token in R0 */
#define OPAL_CONSOLE_WRITE 1
#define OPAL_CEC_POWER_DOWN 5
#define OPAL_POLL_EVENTS 10
#define OPAL_SUCCESS 0
#define OPAL_BUSY (-2)
#define OPAL_BUSY_EVENT (-12)

#endif
