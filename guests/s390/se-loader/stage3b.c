/* Puts the parts of the image where a kernel expects them, and starts it. The Ultravisor has verified all of them. */
#include "loader.h"

struct part {
	u64 address, bytes;
};

extern volatile struct {
	struct part kernel, command_line, initrd;
	u64 psw[2];
} arguments;

_Noreturn void load_psw(const void *psw);

/* Downwards, or where the two do not overlap. */
static void move(u64 to, u64 from, u64 bytes)
{
	register u64 target asm("2") = to, target_bytes asm("3") = bytes;
	register u64 source asm("4") = from, source_bytes asm("5") = bytes;
	asm volatile("0:\tmvcle %0,%2,0\n\tjo 0b"
		     : "+d"(target), "+d"(target_bytes), "+d"(source), "+d"(source_bytes) : : "cc", "memory");
}

_Noreturn static void refuse(const char *why)
{
	print(why);
	stop(WAIT_IMAGE);
}

_Noreturn void place_kernel(void)
{
	struct part kernel = arguments.kernel, command_line = arguments.command_line, initrd = arguments.initrd;
	if (kernel.bytes < KERNEL_ADDRESS)
		refuse("Secure Execution: the kernel is too small");
	move(KERNEL_ADDRESS, kernel.address + KERNEL_ADDRESS, kernel.bytes - KERNEL_ADDRESS);
	u64 limit = *(volatile u64 *)COMMAND_LINE_SIZE_AT;
	if (command_line.bytes > (limit ? limit : COMMAND_LINE_SIZE))
		refuse("Secure Execution: the command line is too long for the kernel");
	if (command_line.bytes) {
		if (*(volatile u8 *)(command_line.address + command_line.bytes - 1))
			refuse("Secure Execution: the command line does not end");
		move(COMMAND_LINE_AT, command_line.address, command_line.bytes);
	}
	if (initrd.bytes) {
		*(volatile u64 *)INITRD_ADDRESS_AT = initrd.address;
		*(volatile u64 *)INITRD_SIZE_AT = initrd.bytes;
	}
	load_psw((void *)arguments.psw);
}
