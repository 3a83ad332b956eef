/* A hash table with chains, 8 MiB of it: what a TLB and a cache are least good at. */
#include "kernel.h"

#define ENTRIES (1 << 18)
#define BUCKETS (1 << 17)
#define KEYS 300000
#define OPERATIONS 200000

struct entry {
  struct entry *next;
  u64 key, value;
};

static struct entry entries[ENTRIES];
static struct entry *buckets[BUCKETS];
static u32 used;

static inline u64 hash(u64 key)
{
  key ^= key >> 33;
  key *= 0xff51afd7ed558ccd;
  key ^= key >> 33;
  key *= 0xc4ceb9fe1a85ec53;
  return key ^ key >> 33;
}

static NOINLINE struct entry *find(u64 key)
{
  struct entry *entry = buckets[hash(key) % BUCKETS];
  while (entry && entry->key != key)
    entry = entry->next;
  return entry;
}

static NOINLINE struct entry *add(u64 key)
{
  struct entry **bucket = &buckets[hash(key) % BUCKETS];
  struct entry *entry = &entries[used++];
  entry->key = key;
  entry->value = 3 * key;
  entry->next = *bucket;
  *bucket = entry;
  return entry;
}

u64 kernel(void)
{
  u64 sum = 0;
  used = 0;
  for (u32 i = 0; i < BUCKETS; i++)
    buckets[i] = 0;
  for (u32 i = 0; i < OPERATIONS; i++) {
    u64 key = next_random() % KEYS;
    struct entry *entry = find(key);
    (entry ? entry : add(key))->value += i;
  }
  for (u32 i = 0; i < OPERATIONS; i++) {
    struct entry *entry = find(next_random() % KEYS);
    sum = sum * 31 + (entry ? entry->value : 7);
  }
  return sum;
}
