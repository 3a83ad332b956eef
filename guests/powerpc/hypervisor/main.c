/* The start: from the firmware's device tree to a guest that is ready to be entered. */
#include "hypervisor.h"

/* guest.dts, in guest_fdt.S */
extern const u8 guest_fdt[], guest_fdt_end[];

/* The text of RTAS, as QEMU's firmware has it: it becomes H_RTAS. */
static const u32 rtas_text[] = {0x7c641b78, 0x3c600000, 0x6063f000, 0x44000022, 0x4e800020};

static struct host host;

/* Puts a file below `top` in the guest's memory, in pages of its own. Gives where it begins. */
static u64 place(struct range file, u64 top)
{
  u64 bytes = file.end - file.start;
  if (bytes > top - KERNEL_BASE)
    panic("no room in the guest for a file, bytes", bytes);
  u64 gpa = (top - bytes) & -(u64)PAGE_BYTES;
  copy_to_guest(gpa, (const void *)file.start, bytes);
  return gpa;
}

static void load_guest(void)
{
  /* It lies in one page. */
  void *tree = (void *)gfn_readable_page(GUEST_FDT >> PAGE_ORDER);
  struct range kernel, initrd;
  guest_files(host.initrd, &kernel, &initrd);
  load_elf(kernel);
  copy_to_guest(GUEST_RTAS, rtas_text, sizeof rtas_text);
  copy_to_guest(GUEST_FDT, guest_fdt, guest_fdt_end - guest_fdt);
  u64 at = place(initrd, GUEST_BYTES);
  set_tree_number(tree, "linux,initrd-start", at);
  set_tree_number(tree, "linux,initrd-end", at + (initrd.end - initrd.start));
  if (host.esm_blob.end > host.esm_blob.start) {
    at = place(host.esm_blob, at);
    set_tree_number(tree, "linux,esm-blob-start", at);
    set_tree_number(tree, "linux,esm-blob-end", at + (host.esm_blob.end - host.esm_blob.start));
  } else {
    drop_tree_property(tree, "linux,esm-blob-start");
    drop_tree_property(tree, "linux,esm-blob-end");
  }
  if (host.bootargs)
    set_tree_string(tree, "bootargs", host.bootargs);
}

/*
 * Loads the guest and makes its registers those of a flat-tree start, as kexec has it: big-endian, 64-bit, real mode, R3 device
 * tree, R4 where the kernel lies, R5 zero. All its frames are normal.
 */
void start_guest(void)
{
  load_guest();
  for (u64 i = 0; i < sizeof vcpu / sizeof(u64); i++)
    ((u64 *)&vcpu)[i] = 0;
  vcpu.gpr[3] = GUEST_FDT;
  vcpu.gpr[4] = KERNEL_BASE;
  vcpu.hsrr0 = KERNEL_BASE;
  vcpu.hsrr1 = MSR_SF;
  partition_little_endian_interrupts(0);
}

void hypervisor_main(const void *fdt, u64 opal_base, u64 opal_entry)
{
  opal.base = opal_base;
  opal.entry = opal_entry;
  reserve(0, (u64)image_end);
  reserve(opal_base, opal_base + 1);
  reserve(opal_entry, opal_entry + 1);
  read_host_tree(fdt, &host);
  reserve(host.initrd.start, host.initrd.end);
  reserve(host.esm_blob.start, host.esm_blob.end);
  memory_init(host.memory);

  partition_init(host.has_ultravisor);
  for (u64 gfn = 0; gfn < GFNS; gfn++)
    gfn_set(gfn, GFN_NORMAL, allocate(PAGE_BYTES, PAGE_BYTES));
  start_guest();
}
