/*
 * The files that the firmware hands over for the guest: an ELF file alone, or a cpio archive in the format "newc" with
 * the members "kernel" and, if there is one, "initrd".
 */
#include "hypervisor.h"

enum { HEADER_BYTES = 110, MAGIC_BYTES = 6, FIELD_BYTES = 8, FILESIZE = 6, NAMESIZE = 11 };

static int equal(const u8 *at, const char *text, u64 bytes)
{
  for (u64 i = 0; i < bytes; i++)
    if (at[i] != (u8)text[i])
      return 0;
  return 1;
}

static u64 field(const u8 *header, int index)
{
  const u8 *digits = header + MAGIC_BYTES + index * FIELD_BYTES;
  u64 value = 0;
  for (int i = 0; i < FIELD_BYTES; i++) {
    u8 c = digits[i] | 0x20;
    if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
      panic("no number in a header of the guest's archive at", (u64)digits);
    value = value << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return value;
}

static u64 align(u64 offset)
{
  return (offset + 3) & ~3UL;
}

static int is_archive(struct range file)
{
  return file.end - file.start >= HEADER_BYTES && equal((const u8 *)file.start, "070701", MAGIC_BYTES);
}

/* The member's contents, an empty range if there is none. `name_bytes` counts the final NUL. */
static struct range member(struct range file, const char *name, u64 name_bytes)
{
  const u8 *base = (const u8 *)file.start;
  u64 bytes = file.end - file.start;
  u64 at = 0;
  struct range none = {0, 0};
  while (bytes - at >= HEADER_BYTES && equal(base + at, "070701", MAGIC_BYTES)) {
    u64 size = field(base + at, FILESIZE), length = field(base + at, NAMESIZE);
    u64 contents = align(at + HEADER_BYTES + length);
    if (contents > bytes || size > bytes - contents)
      panic("a member of the guest's archive passes its end, offset", at);
    if (length == name_bytes && equal(base + at + HEADER_BYTES, name, name_bytes)) {
      struct range found = {file.start + contents, file.start + contents + size};
      return found;
    }
    at = align(contents + size);
    if (at > bytes)
      break;
  }
  return none;
}

void guest_files(struct range file, struct range *kernel, struct range *initrd)
{
  struct range none = {0, 0};
  *kernel = file;
  *initrd = none;
  if (is_archive(file)) {
    *kernel = member(file, "kernel", sizeof "kernel");
    *initrd = member(file, "initrd", sizeof "initrd");
  }
}
