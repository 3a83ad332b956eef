/*
 * What our s390 guests find on QEMU's `s390-ccw-virtio` machine: numbers for C and for the assembler (z/Architecture Principles of Operation,
 * chapters 3 and 4; s390-pv.md section 8).
 */
#define LOAD_ADDRESS 0x10000

/* PSW: first doubleword */
#define PSW_DAT 0x0400000000000000
#define PSW_IO 0x0200000000000000
#define PSW_EXTERNAL 0x0100000000000000
#define PSW_MACHINE_CHECK 0x0004000000000000
#define PSW_WAIT 0x0002000000000000
#define PSW_PROBLEM 0x0001000000000000
#define PSW_64 0x0000000180000000

/* The address of a disabled wait that says what went wrong. */
#define WAIT_CRASH 0xdead

/* CR0 */
#define CR0_AFP 0x40000
#define CR0_MALFUNCTION_ALERT 0x8000
#define CR0_EMERGENCY_SIGNAL 0x4000
#define CR0_EXTERNAL_CALL 0x2000
#define CR0_CLOCK_COMPARATOR 0x800
#define CR0_CPU_TIMER 0x400
#define CR0_SERVICE_SIGNAL 0x200

/* Offsets in the prefix area */
#define LC_RESTART_OLD 0x120
#define LC_EXTERNAL_OLD 0x130
#define LC_PROGRAM_OLD 0x150
#define LC_MACHINE_CHECK_OLD 0x160
#define LC_IO_OLD 0x170
/* Where interrupt handlers keep registers: left to programs. */
#define LC_SAVE_EXTERNAL 0x200
#define LC_SAVE_IO 0x280
/* The PSW with which a program that expects a program interruption wants to go on: mask, 0 for the same as it had; address, 0 if it expects none. */
#define LC_RESUME 0x310
#define LC_SAVE_PROGRAM 0x320
/* The old PSW of that interruption */
#define LC_PROGRAM_SEEN 0x330

#define EXTERNAL_CLOCK_COMPARATOR 0x1004
#define EXTERNAL_CPU_TIMER 0x1005
#define EXTERNAL_EMERGENCY_SIGNAL 0x1201
#define EXTERNAL_CALL 0x1202
#define EXTERNAL_SERVICE_SIGNAL 0x2401

#define SIGP_SENSE 1
#define SIGP_EXTERNAL_CALL 2
#define SIGP_EMERGENCY_SIGNAL 3
#define SIGP_START 4
#define SIGP_STOP 5
#define SIGP_RESTART 6
#define SIGP_INITIAL_CPU_RESET 11
#define SIGP_SET_PREFIX 13

#define SCLP_READ_SCP_INFO 0x00020001
#define SCLP_READ_CPU_INFO 0x00010001
#define SCLP_READ_EVENT_DATA 0x00770005
#define SCLP_WRITE_EVENT_DATA 0x00760005
#define SCLP_WRITE_EVENT_MASK 0x00780005
/* Event types, and their bits in masks of four bytes */
#define EVENT_OPERATOR_COMMAND 1
#define EVENT_MESSAGE 2
#define EVENT_ASCII 0x1a
#define EVENT_MASK(type) (1u << (32 - (type)))
#define EVENT_MASK_ASCII 0x40
