/*
 * Memory that is given out once, from low addresses to high ones, around what is in use already; and single pages that
 * come back, with what is in them.
 */
#include "hypervisor.h"

#define MOST_RESERVED 32
#define MOST_FREE (2 * GFNS)

static struct range reserved[MOST_RESERVED];
static u64 reserved_count;
static u64 next, end;
static u64 free_pages[MOST_FREE];
static u64 free_count;

void memory_init(struct range all)
{
  next = all.start;
  end = all.end;
}

/* What nobody may be given, rounded to whole pages. */
void reserve(u64 start, u64 stop)
{
  if (reserved_count == MOST_RESERVED)
    panic("too many reserved ranges:", reserved_count);
  reserved[reserved_count].start = start & -(u64)PAGE_BYTES;
  reserved[reserved_count].end = (stop + PAGE_BYTES - 1) & -(u64)PAGE_BYTES;
  reserved_count++;
}

static const struct range *collision(u64 start, u64 stop)
{
  for (u64 i = 0; i < reserved_count; i++)
    if (start < reserved[i].end && reserved[i].start < stop)
      return &reserved[i];
  return 0;
}

/* Whole pages. */
void clear(u64 start, u64 stop)
{
  for (u64 *word = (u64 *)start; word < (u64 *)stop; word += 4)
    word[0] = word[1] = word[2] = word[3] = 0;
}

/* Whole pages, which are zero. `alignment` is a power of two. */
u64 allocate(u64 bytes, u64 alignment)
{
  const struct range *hit;
  u64 start = next;
  do {
    start = (start + alignment - 1) & -alignment;
    if (start + bytes > end)
      panic("out of memory:", bytes);
    hit = collision(start, start + bytes);
    if (hit)
      start = hit->end;
  } while (hit);
  next = start + bytes;
  clear(start, next);
  return start;
}

u64 allocate_page(void)
{
  return free_count > 0 ? free_pages[--free_count] : allocate(PAGE_BYTES, PAGE_BYTES);
}

u64 allocate_zero_page(void)
{
  u64 ra = allocate_page();
  clear(ra, ra + PAGE_BYTES);
  return ra;
}

void free_page(u64 ra)
{
  if (free_count == MOST_FREE)
    panic("a page was freed twice:", ra);
  free_pages[free_count++] = ra;
}
