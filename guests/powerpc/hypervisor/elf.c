/* Loads the guest, an ELF64 file of either byte order, as QEMU's pseries machine would place it. */
#include "hypervisor.h"

enum { ELFCLASS64 = 2, ELFDATA2LSB = 1, EM_PPC64 = 21, PT_LOAD = 1 };
enum { E_MACHINE = 18, E_PHOFF = 32, E_PHENTSIZE = 54, E_PHNUM = 56, E_BYTES = 64 };
enum { P_TYPE = 0, P_OFFSET = 8, P_PADDR = 24, P_FILESZ = 32, P_MEMSZ = 40, P_BYTES = 56 };

static u64 field(const u8 *at, int bytes, int little_endian)
{
  u64 value = 0;
  for (int i = 0; i < bytes; i++)
    value = value << 8 | at[little_endian ? bytes - 1 - i : i];
  return value;
}

static void load_segment(const u8 *file, u64 file_bytes, const u8 *segment, int le)
{
  u64 offset = field(segment + P_OFFSET, 8, le);
  u64 filesz = field(segment + P_FILESZ, 8, le);
  u64 memsz = field(segment + P_MEMSZ, 8, le);
  u64 gpa = KERNEL_BASE + (field(segment + P_PADDR, 8, le) & KERNEL_ADDRESS_MASK);
  if (filesz > memsz || offset > file_bytes || filesz > file_bytes - offset)
    panic("a segment of the guest passes the end of its file, offset", offset);
  if (gpa > GUEST_BYTES || memsz > GUEST_BYTES - gpa)
    panic("a segment of the guest passes the end of its memory, address", gpa);
  copy_to_guest(gpa, file + offset, filesz);
}

/* What is to be zero behind a segment is so already where the guest starts for the first time, or after it was secure. */
void load_elf(struct range range)
{
  const u8 *file = (const u8 *)range.start;
  u64 bytes = range.end - range.start;
  if (bytes < E_BYTES || field(file, 4, 0) != 0x7f454c46 || file[4] != ELFCLASS64)
    panic("no ELF64 file for the guest at", range.start);
  int le = file[5] == ELFDATA2LSB;
  u64 phoff = field(file + E_PHOFF, 8, le);
  u64 phnum = field(file + E_PHNUM, 2, le);
  u64 phentsize = field(file + E_PHENTSIZE, 2, le);
  if (field(file + E_MACHINE, 2, le) != EM_PPC64)
    panic("the guest is not for this machine, but for", field(file + E_MACHINE, 2, le));
  if (phentsize < P_BYTES || phoff > bytes || phnum * phentsize > bytes - phoff)
    panic("the guest's program headers pass the end of its file, offset", phoff);
  for (u64 i = 0; i < phnum; i++) {
    const u8 *segment = file + phoff + i * phentsize;
    if (field(segment + P_TYPE, 4, le) == PT_LOAD)
      load_segment(file, bytes, segment, le);
  }
}
