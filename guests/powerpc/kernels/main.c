/*
 * Runs a kernel between two lines of output: `start`, and a checksum of all iterations. Whoever measures takes the time
 * between them. A number as the command line says how many iterations, instead of ITERATIONS.
 */
#include "kernel.h"

int main(void)
{
  u64 left = command_line_number(ITERATIONS);
  u64 checksum = 0;
#ifndef _SOFT_FLOAT
  mtmsrd(mfmsr() | MSR_FP);
#endif
  print("start\n");
  while (left-- > 0)
    checksum = checksum * 0x9e3779b97f4a7c15 + kernel();
  print_hexadecimal(checksum, 16);
  print("\n");
  return 0;
}
