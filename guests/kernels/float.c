/* Floating point: bodies that attract each other, and a system of linear equations. Scalar double precision. */
#include "kernel.h"

#define BODIES 8
#define STEPS 200
#define STEP 0.01
#define N 24

struct body {
  double position[3], velocity[3], mass;
};

static struct body bodies[BODIES];
static double matrix[N][N], right[N];

/* From 0 to 1. */
static double random_fraction(void)
{
  return (double)(next_random() >> 12) * (1.0 / (1UL << 52));
}

static NOINLINE void attract(struct body *a, struct body *b)
{
  double d[3], square = 0.001;
  for (u32 i = 0; i < 3; i++) {
    d[i] = a->position[i] - b->position[i];
    square += d[i] * d[i];
  }
  double magnitude = STEP / (square * __builtin_sqrt(square));
  for (u32 i = 0; i < 3; i++) {
    a->velocity[i] -= d[i] * b->mass * magnitude;
    b->velocity[i] += d[i] * a->mass * magnitude;
  }
}

static NOINLINE void advance(void)
{
  for (u32 i = 0; i < BODIES; i++)
    for (u32 k = i + 1; k < BODIES; k++)
      attract(&bodies[i], &bodies[k]);
  for (u32 i = 0; i < BODIES; i++)
    for (u32 k = 0; k < 3; k++)
      bodies[i].position[k] += STEP * bodies[i].velocity[k];
}

/* Gaussian elimination with the largest pivot; the solution is in `right`. */
static NOINLINE void solve(void)
{
  for (u32 column = 0; column < N; column++) {
    u32 pivot = column;
    for (u32 row = column + 1; row < N; row++)
      if (__builtin_fabs(matrix[row][column]) > __builtin_fabs(matrix[pivot][column]))
        pivot = row;
    for (u32 k = 0; k < N; k++) {
      double kept = matrix[column][k];
      matrix[column][k] = matrix[pivot][k];
      matrix[pivot][k] = kept;
    }
    double kept = right[column];
    right[column] = right[pivot];
    right[pivot] = kept;
    for (u32 row = 0; row < N; row++) {
      if (row == column)
        continue;
      double factor = matrix[row][column] / matrix[column][column];
      for (u32 k = column; k < N; k++)
        matrix[row][k] -= factor * matrix[column][k];
      right[row] -= factor * right[column];
    }
  }
  for (u32 i = 0; i < N; i++)
    right[i] /= matrix[i][i];
}

static u64 bits(double value)
{
  union {
    double value;
    u64 bits;
  } both = {value};
  return both.bits;
}

u64 kernel(void)
{
  u64 sum = 0;
  for (u32 i = 0; i < BODIES; i++) {
    for (u32 k = 0; k < 3; k++) {
      bodies[i].position[k] = 10 * random_fraction() - 5;
      bodies[i].velocity[k] = random_fraction() - 0.5;
    }
    bodies[i].mass = random_fraction();
  }
  for (u32 step = 0; step < STEPS; step++)
    advance();
  for (u32 i = 0; i < BODIES; i++)
    for (u32 k = 0; k < 3; k++)
      sum = sum * 31 + bits(bodies[i].position[k]);

  for (u32 row = 0; row < N; row++) {
    right[row] = random_fraction();
    for (u32 column = 0; column < N; column++)
      matrix[row][column] = random_fraction() - 0.5;
  }
  solve();
  for (u32 i = 0; i < N; i++)
    sum = sum * 31 + bits(right[i]);
  return sum;
}
