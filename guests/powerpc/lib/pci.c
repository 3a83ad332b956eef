/* The PCI host bridge: configuration registers by RTAS, memory by hypercalls or by loads and stores. */
#include "pci.h"

int registers_by_load;

static u32 unit[2];
static const char *const BRIDGE = "/pci";

int pci_find_bridge(void)
{
  struct property reg = tree_property(BRIDGE, "reg");
  if (reg.length < 8)
    return 0;
  unit[0] = be32(((const u32 *)reg.value)[0]);
  unit[1] = be32(((const u32 *)reg.value)[1]);
  return 1;
}

u32 pci_iommu(void)
{
  struct property window = tree_property(BRIDGE, "ibm,dma-window");
  return window.length < 4 ? 0 : be32(*(const u32 *)window.value);
}

u32 pci_read(u32 slot, u32 offset, u32 bytes)
{
  u32 args[4] = {slot << 11 | offset, unit[0], unit[1], bytes}, value = 0;
  return rtas(RTAS_READ_PCI_CONFIG, 4, 2, args, &value) == 0 ? value : ~0u;
}

void pci_write(u32 slot, u32 offset, u32 bytes, u32 value)
{
  u32 args[5] = {slot << 11 | offset, unit[0], unit[1], bytes, value};
  rtas(RTAS_WRITE_PCI_CONFIG, 5, 1, args, 0);
}

/* Registers of PCI are little-endian; the hypercalls take them for big-endian numbers. */
static u64 turned(u64 value, u32 bytes)
{
  return __builtin_bswap64(value) >> (64 - 8 * bytes);
}

u64 mmio_read(u64 address, u32 bytes)
{
  if (registers_by_load)
    switch (bytes) {
    case 1:
      return *(volatile u8 *)address;
    case 2:
      return *(volatile u16 *)address;
    case 4:
      return *(volatile u32 *)address;
    default:
      return *(volatile u64 *)address;
    }
  u64 registers[10] = {H_LOGICAL_CI_LOAD, bytes, address};
  hypercall_registers(registers);
  return turned(registers[1], bytes);
}

void mmio_write(u64 address, u32 bytes, u64 value)
{
  asm volatile("sync" : : : "memory");
  if (!registers_by_load) {
    hypercall(H_LOGICAL_CI_STORE, bytes, address, turned(value, bytes), 0);
    return;
  }
  switch (bytes) {
  case 1:
    *(volatile u8 *)address = value;
    break;
  case 2:
    *(volatile u16 *)address = value;
    break;
  default:
    *(volatile u32 *)address = value;
    break;
  }
}
