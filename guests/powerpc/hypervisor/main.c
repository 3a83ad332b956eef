/* The start: from the firmware's device tree to a guest that is ready to be entered. */
#include "hypervisor.h"

/* guest.dts, in guest_fdt.S */
extern const u8 guest_fdt[], guest_fdt_end[];

static u64 create_guest(struct range file)
{
  u64 memory = allocate(GUEST_BYTES, PAGE_BYTES);
  load_elf(file, memory);
  for (const u8 *byte = guest_fdt; byte < guest_fdt_end; byte++)
    ((u8 *)memory)[GUEST_FDT + (byte - guest_fdt)] = *byte;
  return memory;
}

/* Flat-tree start, as kexec has it: big-endian, 64-bit, real mode, R3 device tree, R4 where the kernel lies, R5 zero. */
static void enter_at_start(struct vcpu *vcpu)
{
  vcpu->gpr[3] = GUEST_FDT;
  vcpu->gpr[4] = KERNEL_BASE;
  vcpu->gpr[5] = 0;
  vcpu->hsrr0 = KERNEL_BASE;
  vcpu->hsrr1 = MSR_SF;
}

void hypervisor_main(const void *fdt, u64 opal_base, u64 opal_entry)
{
  struct host host = {0};
  opal.base = opal_base;
  opal.entry = opal_entry;
  reserve(0, (u64)image_end);
  reserve(opal_base, opal_base + 1);
  reserve(opal_entry, opal_entry + 1);
  read_host_tree(fdt, &host);
  reserve(host.initrd.start, host.initrd.end);
  memory_init(host.memory);

  partition_init(host.has_ultravisor);
  u64 memory = create_guest(host.initrd);
  for (u64 gfn = 0; gfn < GFNS; gfn++)
    gfn_init(gfn, memory + (gfn << PAGE_ORDER));
  enter_at_start(&vcpu);
}
