/*
 * Many small hypercalls, for whoever measures what one costs: H_PROD, which wakes a CPU that is awake, between the lines
 * `start` and `done`. The guest asks to become secure first, so the calls are reflected where there is an Ultravisor. A
 * number as the command line says how many.
 */
#include "lib/lib.h"

#define CALLS 1000

int main(void)
{
  u64 left = command_line_number(CALLS);
  u64 failed = 0;
  become_secure();
  print(is_secure() ? "secure\n" : "normal\n");
  print("start\n");
  while (left-- > 0)
    failed += hypercall(H_PROD, 0, 0, 0, 0) != H_SUCCESS;
  print(failed ? "failed\n" : "done\n");
  return 0;
}
