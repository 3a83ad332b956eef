/*
 * The boot loaders of a Secure Execution image (s390-pv.md 6.1, 6.3). stage3a lies in the clear, where the machine starts the image, and asks
 * the hypervisor to go protected. stage3b is a component: the Ultravisor has verified it and starts it, and it puts the kernel where it belongs.
 */
#ifndef LOADER_H
#define LOADER_H

#define STAGE3A_ADDRESS 0x10000
/* What writes a command line and the like for Linux writes before this. */
#define STAGE3A_ENTRY 0x11000
#define STAGE3B_ADDRESS 0xa000
#define STACK_END 0x10000
/* A page for service calls, which neither loader occupies. */
#define SCCB_ADDRESS 0x2000

/* Where Linux has what a loader tells it. */
#define KERNEL_ADDRESS 0x10000
#define INITRD_ADDRESS_AT 0x10408
#define INITRD_SIZE_AT 0x10410
#define COMMAND_LINE_SIZE_AT 0x10430
#define COMMAND_LINE_AT 0x10480
/* Of a kernel that does not say how long its command line may be. */
#define COMMAND_LINE_SIZE 896

#define PROGRAM_NEW_PSW 0x1d0
#define PSW_64 0x0000000180000000
#define PSW_WAIT 0x0002000180000000
/* Addresses of the disabled waits that end in failure, as those of s390-tools. */
#define WAIT_NO_UNPACK 0x4607
#define WAIT_NOT_PROTECTED 0x4608
#define WAIT_IMAGE 0x4511

#ifndef __ASSEMBLER__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* A line on the ASCII console. */
void print(const char *line);
/* The same with a number in hexadecimal digits behind it. */
void print_number(const char *line, u64 number);
/* Stops for good: a disabled wait at an address that says why. */
_Noreturn void stop(u64 address);
#endif
#endif
