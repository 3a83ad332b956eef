/* Quicksort: recursion, and a callback that compares. */
#include "kernel.h"

#define NUMBERS 4096
#define TURNS 4
#define SMALL 8

typedef int (*comparison)(const u32 *, const u32 *);

static u32 numbers[NUMBERS];

static NOINLINE int ascending(const u32 *a, const u32 *b)
{
  return *a < *b ? -1 : *a > *b;
}

static NOINLINE int descending(const u32 *a, const u32 *b)
{
  return *a > *b ? -1 : *a < *b;
}

static NOINLINE void swap(u32 *a, u32 *b)
{
  u32 kept = *a;
  *a = *b;
  *b = kept;
}

static NOINLINE void insertion_sort(u32 *first, s64 count, comparison compare)
{
  for (s64 i = 1; i < count; i++)
    for (s64 k = i; k > 0 && compare(first + k - 1, first + k) > 0; k--)
      swap(first + k - 1, first + k);
}

/* The smaller part by recursion, the larger one in the loop. */
static NOINLINE void sort(u32 *first, s64 count, comparison compare)
{
  while (count > SMALL) {
    u32 *middle = first + count / 2, *left = first, *right = first + count - 1;
    if (compare(left, middle) > 0)
      swap(left, middle);
    if (compare(middle, right) > 0) {
      swap(middle, right);
      if (compare(left, middle) > 0)
        swap(left, middle);
    }
    u32 pivot = *middle;
    while (left <= right) {
      while (compare(left, &pivot) < 0)
        left++;
      while (compare(right, &pivot) > 0)
        right--;
      if (left <= right)
        swap(left++, right--);
    }
    s64 below = right - first + 1, above = count - (left - first);
    if (below < above) {
      sort(first, below, compare);
      first = left;
      count = above;
    } else {
      sort(left, above, compare);
      count = below;
    }
  }
  insertion_sort(first, count, compare);
}

u64 kernel(void)
{
  u64 sum = 0;
  for (u32 turn = 0; turn < TURNS; turn++) {
    for (u32 i = 0; i < NUMBERS; i++)
      numbers[i] = next_random();
    sort(numbers, NUMBERS, turn & 1 ? descending : ascending);
    for (u32 i = 0; i < NUMBERS; i += 64)
      sum = sum * 31 + numbers[i];
  }
  return sum;
}
