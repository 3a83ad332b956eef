/* What kernels/main.c needs, for a Linux program: the argument is the number of iterations, output goes to descriptor 1. */
#include "lib.h"

#define SYS_WRITE 64
#define SYS_EXIT 93

static const char *argument;

static u64 system_call(u64 number, u64 a, u64 b, u64 c)
{
	register u64 x8 asm("x8") = number;
	register u64 x0 asm("x0") = a;
	register u64 x1 asm("x1") = b;
	register u64 x2 asm("x2") = c;
	asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
}

void put(const char *text)
{
	u64 length = 0;
	while (text[length])
		length++;
	system_call(SYS_WRITE, 1, (u64)text, length);
}

void put_hex(u64 value, unsigned digits)
{
	char text[17];
	for (unsigned i = 0; i < digits; i++)
		text[i] = "0123456789abcdef"[(value >> (4 * (digits - 1 - i))) & 15];
	text[digits] = 0;
	put(text);
}

u64 command_line_number(u64 otherwise)
{
	u64 value = 0;
	if (!argument)
		return otherwise;
	for (const char *at = argument; *at >= '0' && *at <= '9'; at++)
		value = 10 * value + (*at - '0');
	return value;
}

/* The stack holds argc, then the pointers of argv. */
__attribute__((used)) static void begin(char **stack)
{
	argument = (u64)stack[0] > 1 ? stack[2] : 0;
	guest_main();
	system_call(SYS_EXIT, 0, 0, 0);
}

asm(".globl _start\n_start: mov x0, sp\n\tbl begin\n");
