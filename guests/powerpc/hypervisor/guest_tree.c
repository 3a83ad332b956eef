/*
 * Completes the guest's device tree, which guest.dts has with every property in place: values are set, or properties
 * taken out. The blob has room at its end (guests/build.sh), and the strings follow the structure in it.
 */
#include "hypervisor.h"

enum { BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4, END = 9 };

struct header {
  u32 magic, totalsize, off_dt_struct, off_dt_strings, off_mem_rsvmap;
  u32 version, last_comp_version, boot_cpuid_phys, size_dt_strings, size_dt_struct;
};

static int equal(const char *a, const char *b)
{
  while (*a && *a == *b)
    a++, b++;
  return *a == *b;
}

/* Its token. All properties of /chosen and /rtas have names of their own, so the node need not be looked at. */
static u32 *find(void *tree, const char *name)
{
  struct header *header = tree;
  const char *strings = (const char *)tree + header->off_dt_strings;
  u32 *token = (u32 *)((u8 *)tree + header->off_dt_struct);
  while (*token != END) {
    u32 *at = token++;
    if (*at == BEGIN_NODE) {
      const char *text = (const char *)token;
      u32 length = 0;
      while (text[length])
        length++;
      token += length / 4 + 1;
    } else if (*at == PROPERTY) {
      if (equal(strings + token[1], name))
        return at;
      token += 2 + (token[0] + 3) / 4;
    }
  }
  panic("the guest's device tree lacks a property", 0);
}

void set_tree_number(void *tree, const char *name, u64 value)
{
  u32 *property = find(tree, name);
  property[3] = value >> 32;
  property[4] = value;
}

void drop_tree_property(void *tree, const char *name)
{
  u32 *property = find(tree, name);
  u32 words = 3 + (property[1] + 3) / 4;
  for (u32 i = 0; i < words; i++)
    property[i] = NOP;
}

/* The property is an empty string so far. */
void set_tree_string(void *tree, const char *name, const char *text)
{
  struct header *header = tree;
  u32 *property = find(tree, name);
  u32 length = 0;
  while (text[length])
    length++;
  length++;
  u32 grown = (length + 3) / 4 * 4 - 4;
  u8 *value = (u8 *)(property + 3);
  u8 *end = (u8 *)tree + header->off_dt_strings + header->size_dt_strings;
  if (grown > (u8 *)tree + header->totalsize - end)
    panic("the guest's command line is too long, bytes", length);
  for (u8 *at = end; at > value + 4;) {
    at--;
    at[grown] = *at;
  }
  for (u32 i = 0; i < grown + 4; i++)
    value[i] = i < length ? text[i] : 0;
  property[1] = length;
  header->off_dt_strings += grown;
  header->size_dt_struct += grown;
}
