/*
 * Runs a kernel between two lines of output: `start`, and a checksum of all iterations. Whoever measures takes the time
 * between them. A number as the command line says how many iterations, instead of ITERATIONS; " secure" behind it, to
 * become a secure VM first, and to say whether that went well.
 */
#include "kernel.h"

static int asks_for_secure_mode(void)
{
  char text[32];
  command_line(text, sizeof text);
  const char *word = text;
  while (*word >= '0' && *word <= '9')
    word++;
  for (const char *wanted = " secure"; *wanted != 0; wanted++, word++)
    if (*word != *wanted)
      return 0;
  return *word == 0;
}

int main(void)
{
  u64 left = command_line_number(ITERATIONS);
  u64 checksum = 0;
  if (asks_for_secure_mode()) {
    become_secure();
    print(is_secure() ? "secure\n" : "normal\n");
  }
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
