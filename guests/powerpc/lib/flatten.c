/*
 * The flattener: walks the device tree through the client interface and writes it as a flat tree into guest memory, as
 * Linux's prom_init does. UV_ESM takes a flat tree only.
 */
#include "fdt.h"

#define TREE_BYTES PAGE_BYTES
#define STRINGS_BYTES 0x2000
#define NAME_BYTES 64
#define PATH_BYTES 256

/* A secure guest is entered with the address of the tree that it gave. */
static u8 tree[TREE_BYTES] KEPT_PAGES;
static u8 *next;
static char strings[STRINGS_BYTES];
static u32 strings_bytes;

static void put_word(u32 word)
{
  *(u32 *)next = be32(word);
  next += 4;
}

/* Bytes that lie at `next` already. */
static void keep_bytes(u64 bytes)
{
  while (bytes % 4 != 0)
    next[bytes++] = 0;
  next += bytes;
}

static void put_text(const char *text)
{
  u64 bytes = text_length(text) + 1;
  memcpy(next, text, bytes);
  keep_bytes(bytes);
}

/* The offset of a property's name among the strings, each of which is there once. */
static u32 string_offset(const char *name)
{
  u32 offset = 0;
  while (offset < strings_bytes && !same_text(strings + offset, name))
    offset += text_length(strings + offset) + 1;
  if (offset == strings_bytes) {
    u64 bytes = text_length(name) + 1;
    memcpy(strings + offset, name, bytes);
    strings_bytes += bytes;
  }
  return offset;
}

static void flatten_properties(u64 node)
{
  static char name[NAME_BYTES], previous[NAME_BYTES];
  previous[0] = 0;
  while (client_call("nextprop", 3, 1, node, previous, name) == 1) {
    memcpy(previous, name, NAME_BYTES);
    if (same_text(name, "name"))
      continue; /* The node's name says it. */
    u32 length = client_call("getproplen", 2, 1, node, name);
    if (length == ~0u)
      continue;
    put_word(FDT_PROP);
    put_word(length);
    put_word(string_offset(name));
    client_call("getprop", 4, 1, node, name, next, (u64)length);
    keep_bytes(length);
  }
}

/* The last part of the node's path. */
static const char *node_name(u64 node)
{
  static char path[PATH_BYTES];
  u32 length = client_call("package-to-path", 3, 1, node, path, PATH_BYTES - 1UL);
  path[length < PATH_BYTES ? length : 0] = 0;
  const char *name = path;
  for (const char *at = path; *at; at++)
    if (*at == '/')
      name = at + 1;
  return name;
}

static void flatten_node(u64 node)
{
  put_word(FDT_BEGIN_NODE);
  put_text(node_name(node));
  flatten_properties(node);
  for (u64 child = client_call("child", 1, 1, node); child != 0 && child != ~0u;
       child = client_call("peer", 1, 1, child))
    flatten_node(child);
  put_word(FDT_END_NODE);
}

void flatten_tree(void)
{
  struct fdt_header *header = (struct fdt_header *)tree;
  if (boot.tree)
    return;
  u64 *reservations = (u64 *)(tree + ((sizeof *header + 7) & ~7UL));
  reservations[0] = reservations[1] = 0;
  u8 *structure = (u8 *)(reservations + 2);
  next = structure;
  strings_bytes = 0;
  flatten_node(client_call("peer", 1, 1, 0UL));
  put_word(FDT_END);
  u8 *end = next;
  memcpy(end, strings, strings_bytes);
  header->magic = be32(FDT_MAGIC);
  header->totalsize = be32(TREE_BYTES); /* with room for the Ultravisor's reservations */
  header->structure = be32(structure - tree);
  header->strings = be32(end - tree);
  header->reservations = be32((u8 *)reservations - tree);
  header->version = be32(FDT_VERSION);
  header->oldest_version = be32(FDT_OLDEST_VERSION);
  header->boot_cpu = 0;
  header->strings_bytes = be32(strings_bytes);
  header->structure_bytes = be32(end - structure);
  boot.tree = (u64)tree;
}
