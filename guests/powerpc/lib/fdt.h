/* The flat device tree format, version 17: big-endian words. */
#ifndef FDT_H
#define FDT_H

#include "lib.h"

enum { FDT_MAGIC = 0xd00dfeed, FDT_VERSION = 17, FDT_OLDEST_VERSION = 16 };
enum { FDT_BEGIN_NODE = 1, FDT_END_NODE = 2, FDT_PROP = 3, FDT_NOP = 4, FDT_END = 9 };

struct fdt_header {
  u32 magic, totalsize, structure, strings, reservations;
  u32 version, oldest_version, boot_cpu, strings_bytes, structure_bytes;
};
#endif
