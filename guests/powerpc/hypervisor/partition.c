/*
 * The guest's partition: its entry in the partition table, and the partition-scoped radix tree below it. The tree spans 52
 * bits as Linux builds it, with index widths 13, 9, 9 and 5 and leaves of 64 KiB. The guest is small enough for one table
 * in each of the upper levels. A secure guest runs on the Ultravisor's tree, and this one waits.
 */
#include "cpu.h"

#define ROOT_BITS 13
#define MIDDLE_BITS 9
#define LEAF_BITS 5
#define LEAF_TABLES (GFNS >> LEAF_BITS)

/* hypervisor.ld aligns it to its size. */
static u64 root[1 << ROOT_BITS] __attribute__((section(".bss.first")));
static u64 upper[1 << MIDDLE_BITS] __attribute__((aligned(4096)));
static u64 middle[1 << MIDDLE_BITS] __attribute__((aligned(4096)));
static u64 leaves[LEAF_TABLES][1 << LEAF_BITS] __attribute__((aligned(256)));

/* Two doublewords for each LPID. Used only where no Ultravisor keeps the table; the smallest one has 4 KiB. */
static u64 partition_table[512] __attribute__((aligned(4096)));

static int ultravisor;
static u64 lpcr = LPCR_HR | LPCR_UPRT | LPCR_GTSE | LPCR_LPES | LPCR_LD;

static u64 directory(const u64 *table, u64 bits)
{
  return RADIX_VALID | (u64)table | bits;
}

/* The entry of the guest. Once it was secure, it is no more. */
void partition_write(void)
{
  u64 dw0 = PATE_HR | RADIX_RTS_52 | (u64)root | ROOT_BITS;
  u64 dw1 = PATE_GR;
  if (ultravisor) {
    s64 status = ultracall(UV_WRITE_PATE, GUEST_LPID, dw0, dw1, 0, 0);
    if (status != U_SUCCESS)
      panic("UV_WRITE_PATE answered", status);
  } else {
    partition_table[2 * GUEST_LPID] = dw0;
    partition_table[2 * GUEST_LPID + 1] = dw1;
    mtspr(SPR_PTCR, partition_table);
  }
}

void partition_init(int has_ultravisor)
{
  ultravisor = has_ultravisor;
  root[0] = directory(upper, MIDDLE_BITS);
  upper[0] = directory(middle, MIDDLE_BITS);
  for (u64 i = 0; i < LEAF_TABLES; i++)
    middle[i] = directory(leaves[i], LEAF_BITS);

  partition_write();
  mtspr(SPR_LPIDR, GUEST_LPID);
  mtspr(SPR_PIDR, 0);
  mtspr(SPR_LPCR, lpcr);
  isync();
  tlbie_lpid(GUEST_LPID);
}

/* Byte order of interrupts that the guest takes (LPCR[ILE]). */
void partition_little_endian_interrupts(int on)
{
  lpcr = on ? lpcr | LPCR_ILE : lpcr & ~(u64)LPCR_ILE;
  mtspr(SPR_LPCR, lpcr);
  isync();
}

static void set_leaf(u64 gfn, u64 leaf)
{
  leaves[gfn >> LEAF_BITS][gfn & ((1 << LEAF_BITS) - 1)] = leaf;
}

void partition_map(u64 gfn, u64 ra)
{
  set_leaf(gfn, RADIX_VALID | RADIX_LEAF | ra | RADIX_REFERENCED | RADIX_CHANGED | RADIX_READ_WRITE_EXECUTE);
}

void partition_unmap(u64 gfn)
{
  set_leaf(gfn, 0);
  tlbie_lpid(GUEST_LPID);
}
