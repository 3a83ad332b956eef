#ifndef PCI_H
#define PCI_H

#include "lib.h"

extern int registers_by_load;

/* 0 if the machine has no host bridge. */
int pci_find_bridge(void);
/* The number by which its I/O MMU is named in hypercalls. */
u32 pci_iommu(void);
/* All ones where there is no function. */
u32 pci_read(u32 slot, u32 offset, u32 bytes);
void pci_write(u32 slot, u32 offset, u32 bytes, u32 value);
u64 mmio_read(u64 address, u32 bytes);
void mmio_write(u64 address, u32 bytes, u64 value);

#endif
