/* Reads the host's flattened device tree (Devicetree Specification 0.3, chapter 5). All its numbers are big-endian. */
#include "hypervisor.h"

enum { FDT_MAGIC = 0xd00dfeed, BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4, END = 9 };

struct header {
  u32 magic, totalsize, off_dt_struct, off_dt_strings, off_mem_rsvmap;
};

static int equal(const char *a, const char *b)
{
  while (*a && *a == *b)
    a++, b++;
  return *a == *b;
}

static int begins_with(const char *text, const char *start)
{
  while (*start && *text == *start)
    text++, start++;
  return *start == 0;
}

/* A property of one or two cells, which are only aligned to four bytes. */
static u64 number(const u32 *cells, u32 bytes)
{
  return bytes == 4 ? cells[0] : (u64)cells[0] << 32 | cells[1];
}

/* A property of a node right below the root. Memory has two address and two size cells there, and begins at 0. */
static void property(struct host *host, const char *node, const char *name, const u32 *cells, u32 bytes)
{
  if (equal(node, "chosen") && equal(name, "linux,initrd-start"))
    host->initrd.start = number(cells, bytes);
  if (equal(node, "chosen") && equal(name, "linux,initrd-end"))
    host->initrd.end = number(cells, bytes);
  if (equal(node, "chosen") && equal(name, "linux,esm-blob-start"))
    host->esm_blob.start = number(cells, bytes);
  if (equal(node, "chosen") && equal(name, "linux,esm-blob-end"))
    host->esm_blob.end = number(cells, bytes);
  if (equal(node, "chosen") && equal(name, "bootargs"))
    host->bootargs = (const char *)cells;
  if (begins_with(node, "memory@") && equal(name, "reg") && bytes >= 16 && number(cells, 8) == 0)
    host->memory.end = number(cells + 2, 8);
}

static void reserve_listed(const u64 *entry)
{
  for (; entry[1] != 0; entry += 2)
    reserve(entry[0], entry[0] + entry[1]);
}

void read_host_tree(const void *fdt, struct host *host)
{
  const struct header *header = fdt;
  if (header->magic != FDT_MAGIC)
    panic("no device tree at", (u64)fdt);
  const u8 *base = fdt;
  const u32 *token = (const u32 *)(base + header->off_dt_struct);
  const char *strings = (const char *)base + header->off_dt_strings;
  const char *node = "";
  u32 depth = 0;
  reserve((u64)base, (u64)base + header->totalsize);
  reserve_listed((const u64 *)(base + header->off_mem_rsvmap));
  while (*token != END) {
    switch (*token++) {
    case BEGIN_NODE: {
      const char *name = (const char *)token;
      u32 length = 0;
      while (name[length])
        length++;
      token += length / 4 + 1;
      if (++depth == 2) {
        node = name;
        host->has_ultravisor |= equal(node, "ibm,ultravisor");
      }
      break;
    }
    case END_NODE:
      depth--;
      break;
    case PROPERTY: {
      u32 bytes = token[0];
      if (depth == 2)
        property(host, node, strings + token[1], token + 2, bytes);
      token += 2 + (bytes + 3) / 4;
      break;
    }
    case NOP:
      break;
    default:
      panic("bad device tree at", (u64)(token - 1));
    }
  }
}
