/* A linked list: reversed, searched, and merge-sorted with a callback that compares. */
#include "kernel.h"

#define NODES 2000
#define TURNS 10
#define SEARCHES 60

struct node {
  struct node *next;
  s32 value, index;
};

typedef s32 (*comparison)(const struct node *, const struct node *);

static struct node nodes[NODES];

static NOINLINE s32 by_value(const struct node *a, const struct node *b)
{
  return a->value - b->value;
}

static NOINLINE s32 by_index(const struct node *a, const struct node *b)
{
  return a->index - b->index;
}

static NOINLINE struct node *reverse(struct node *list)
{
  struct node *reversed = 0;
  while (list) {
    struct node *rest = list->next;
    list->next = reversed;
    reversed = list;
    list = rest;
  }
  return reversed;
}

static NOINLINE struct node *find(struct node *list, s32 value)
{
  while (list && list->value != value)
    list = list->next;
  return list;
}

static struct node *merge(struct node *a, struct node *b, comparison compare)
{
  struct node head, *tail = &head;
  while (a && b) {
    struct node **lower = compare(a, b) <= 0 ? &a : &b;
    tail->next = *lower;
    tail = *lower;
    *lower = tail->next;
  }
  tail->next = a ? a : b;
  return head.next;
}

static NOINLINE struct node *sort(struct node *list, comparison compare)
{
  if (!list || !list->next)
    return list;
  struct node *middle = list;
  for (struct node *end = list->next; end && end->next; end = end->next->next)
    middle = middle->next;
  struct node *second = middle->next;
  middle->next = 0;
  return merge(sort(list, compare), sort(second, compare), compare);
}

u64 kernel(void)
{
  u64 sum = 0;
  for (s32 i = 0; i < NODES; i++) {
    nodes[i].value = next_random() & 0xffff;
    nodes[i].index = i;
    nodes[i].next = i < NODES - 1 ? &nodes[i + 1] : 0;
  }
  struct node *list = nodes;
  for (u32 turn = 0; turn < TURNS; turn++) {
    list = reverse(list);
    for (u32 k = 0; k < SEARCHES; k++)
      sum += find(list, nodes[(k * 37 + turn) % NODES].value)->index;
    list = sort(list, turn & 1 ? by_value : by_index);
    sum = sum * 31 + list->value;
  }
  return sum;
}
