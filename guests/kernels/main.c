/*
 * Runs a kernel between two lines of output: `start`, and a checksum of all iterations. A number as the command line says how many iterations,
 * instead of ITERATIONS.
 */
#include "kernel.h"

void guest_main(void)
{
	u64 left = command_line_number(ITERATIONS);
	u64 checksum = 0;
	put("start\n");
	while (left-- > 0)
		checksum = checksum * 0x9e3779b97f4a7c15 + kernel();
	put_hex(checksum, 16);
	put("\n");
}
