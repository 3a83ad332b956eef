/* Products of integer matrices. */
#include "kernel.h"

#define N 64
#define TURNS 8

static s32 a[N][N], b[N][N], product[N][N];

static NOINLINE void multiply(void)
{
  for (u32 row = 0; row < N; row++)
    for (u32 column = 0; column < N; column++) {
      s32 sum = 0;
      for (u32 k = 0; k < N; k++)
        sum += a[row][k] * b[k][column];
      product[row][column] = sum;
    }
}

u64 kernel(void)
{
  u64 sum = 0;
  for (u32 i = 0; i < N; i++)
    for (u32 k = 0; k < N; k++) {
      a[i][k] = next_random();
      b[i][k] = next_random();
    }
  for (u32 turn = 0; turn < TURNS; turn++) {
    multiply();
    for (u32 i = 0; i < N; i++)
      for (u32 k = 0; k < N; k++) {
        sum = sum * 3 + product[i][k];
        a[i][k] = product[i][k] >> 3;
      }
  }
  return sum;
}
