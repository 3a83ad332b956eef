/* RTAS calls, as the hypercall that they end in; CPUs that are started and stopped. */
#include "lib.h"

#define MOST_CELLS 16

void secondary_start(void);

s64 rtas(u32 token, u32 nargs, u32 nret, const u32 *args, u32 *results)
{
  u32 block[3 + MOST_CELLS] = {be32(token), be32(nargs), be32(nret)};
  for (u32 i = 0; i < nargs; i++)
    block[3 + i] = be32(args[i]);
  asm volatile("" : : "r"(block) : "memory");
  s64 status = hypercall(H_RTAS, (u64)block, 0, 0, 0);
  asm volatile("" : : "r"(block) : "memory");
  if (status != H_SUCCESS)
    return status;
  for (u32 i = 1; i < nret; i++)
    results[i - 1] = be32(block[3 + nargs + i]);
  return (s32)be32(block[3 + nargs]);
}

void power_off(void)
{
  u32 args[2] = {0, 0};
  flush_console();
  for (;;)
    rtas(RTAS_POWER_OFF, 2, 1, args, 0);
}

s64 start_cpu(u32 id, u32 index)
{
  u32 args[3] = {id, (u32)(u64)secondary_start, index};
  return rtas(RTAS_START_CPU, 3, 1, args, 0);
}

void stop_self(void)
{
  for (;;)
    rtas(RTAS_STOP_SELF, 0, 1, 0, 0);
}
