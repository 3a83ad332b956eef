/* What a compute kernel is: it defines `kernel`, and main.c runs it. */
#ifndef KERNEL_H
#define KERNEL_H

#include "lib.h"

/* One iteration: the same work each time, and a number that depends on all of it. */
u64 kernel(void);

/* Numbers that look random, the same in every run (xorshift64). */
static inline u64 next_random(void)
{
  static u64 state = 0x123456789abcdef;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
#endif
