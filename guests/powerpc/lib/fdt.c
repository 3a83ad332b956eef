/* Reads the flat device tree. */
#include "fdt.h"

#define DEEPEST 8

struct walk {
  const u8 *at;
  const char *strings;
  /* The last token */
  u32 token;
  const char *name;
  struct property property;
};

static u32 next_word(struct walk *walk)
{
  u32 word = be32(*(const u32 *)walk->at);
  walk->at += 4;
  return word;
}

static void align(struct walk *walk)
{
  walk->at = (const u8 *)(((u64)walk->at + 3) & ~3UL);
}

static struct walk begin(void)
{
  const struct fdt_header *header = (const struct fdt_header *)boot.tree;
  struct walk walk = {.at = (const u8 *)"\0\0\0\t", .strings = ""}; /* FDT_END, for who has no tree */
  if (header && be32(header->magic) == FDT_MAGIC) {
    walk.at = (const u8 *)header + be32(header->structure);
    walk.strings = (const char *)header + be32(header->strings);
  }
  return walk;
}

static u32 step(struct walk *walk)
{
  do
    walk->token = next_word(walk);
  while (walk->token == FDT_NOP);
  if (walk->token == FDT_BEGIN_NODE) {
    walk->name = (const char *)walk->at;
    walk->at += text_length(walk->name) + 1;
  } else if (walk->token == FDT_PROP) {
    walk->property.length = next_word(walk);
    walk->name = walk->strings + next_word(walk);
    walk->property.value = walk->at;
    walk->at += walk->property.length;
  }
  align(walk);
  return walk->token;
}

/* Whether the part of a path up to the next slash is this name, whose unit address may be left out. */
static int names_part(const char *part, const char *name)
{
  while (*part && *part != '/' && *part == *name)
    part++, name++;
  return (*part == 0 || *part == '/') && (*name == 0 || *name == '@');
}

struct property tree_property(const char *path, const char *name)
{
  struct walk walk = begin();
  const char *parts[DEEPEST] = {path};
  u32 depth = 0, matched = 0;
  while (step(&walk) != FDT_END) {
    if (walk.token == FDT_BEGIN_NODE) {
      if (depth == matched && depth > 0 && depth < DEEPEST && *parts[depth - 1] == '/' &&
          names_part(parts[depth - 1] + 1, walk.name)) {
        const char *rest = parts[depth - 1] + 1;
        while (*rest && *rest != '/')
          rest++;
        parts[depth] = rest;
        matched++;
      } else if (depth == 0) {
        matched++;
      }
      depth++;
    } else if (walk.token == FDT_END_NODE) {
      depth--;
      if (matched > depth)
        matched = depth;
    } else if (depth == matched && depth > 0 && depth <= DEEPEST && *parts[depth - 1] == 0 && same_text(walk.name, name)) {
      return walk.property;
    }
  }
  return (struct property){0, 0};
}

u32 tree_cpus(u32 *ids, u32 room)
{
  struct walk walk = begin();
  u32 depth = 0, count = 0;
  int in_cpus = 0;
  while (step(&walk) != FDT_END) {
    if (walk.token == FDT_BEGIN_NODE) {
      if (depth == 1)
        in_cpus = same_text(walk.name, "cpus");
      depth++;
    } else if (walk.token == FDT_END_NODE) {
      depth--;
    } else if (in_cpus && depth == 3 && same_text(walk.name, "reg")) {
      if (count < room)
        ids[count] = be32(*(const u32 *)walk.property.value);
      count++;
    }
  }
  return count;
}
