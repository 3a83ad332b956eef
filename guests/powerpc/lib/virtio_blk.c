/* virtio 1.2: 2.7 (split queues), 3.1 (initialization), 4.1 (PCI), 5.2 (block device). */
#include "virtio_blk.h"
#include "pci.h"

#define SLOTS 32
#define IDENTITY 0x10421af4u
#define COMMAND_MEMORY_AND_MASTER 6
#define VENDOR_CAPABILITY 9
#define INTERRUPT 0x1200
#define INTERRUPT_PRIORITY 5
#define MASK_NONE 0xff

/* High memory of the host bridge, where nothing else is: an address on the bus and in the guest. */
#define REGISTERS 0x210000000000

enum structure { COMMON = 1, NOTIFY, ISR, DEVICE };

/* Common configuration */
#define DEVICE_FEATURE_SELECT 0
#define DEVICE_FEATURE 4
#define DRIVER_FEATURE_SELECT 8
#define DRIVER_FEATURE 12
#define STATUS 20
#define QUEUE_SELECT 22
#define QUEUE_SIZE 24
#define QUEUE_ENABLE 28
#define QUEUE_NOTIFY_OFFSET 30
#define QUEUE_DESCRIPTORS 32
#define QUEUE_AVAILABLE 40
#define QUEUE_USED 48

#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8
#define NEEDS_RESET 0x40

#define FLUSH (1u << 9)
#define VERSION_1_HIGH 1
#define ACCESS_PLATFORM_HIGH 2

#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2

#define ENTRIES 8
#define TCE_PAGE 4096
#define TCE_READ_WRITE 3

struct descriptor {
  u64 address;
  u32 length;
  u16 flags, next;
};

/* What lies in the page that the device reaches. */
struct queue {
  struct descriptor descriptors[ENTRIES];
  struct {
    u16 flags, index, ring[ENTRIES], used_event;
  } available;
  u8 gap[0x200];
  struct {
    u16 flags, index;
    struct {
      u32 id, length;
    } ring[ENTRIES];
    u16 available_event;
  } used;
  u8 gap_too[0x200];
  struct {
    u32 type, reserved;
    u64 sector;
  } header;
  u8 status;
};

volatile u64 virtio_blk_interrupts;

static struct queue *queue;
static u64 structures[5];
static u64 notify;
static int behind_iommu;

static void take_interrupt(struct interrupt_frame *frame)
{
  (void)frame;
  u64 registers[10] = {H_XIRR};
  hypercall_registers(registers);
  /* Reading it lowers the line. */
  if (mmio_read(structures[ISR], 1) != 0)
    virtio_blk_interrupts++;
  hypercall(H_EOI, registers[1], 0, 0, 0);
}

/* Where the structures are: all in one BAR, which is given its address. */
static int find_structures(u32 slot)
{
  u32 bar = ~0u;
  for (u32 at = pci_read(slot, 0x34, 1); at != 0; at = pci_read(slot, at + 1, 1)) {
    u32 type = pci_read(slot, at + 3, 1);
    if (pci_read(slot, at, 1) != VENDOR_CAPABILITY || type < COMMON || type > DEVICE)
      continue;
    bar = pci_read(slot, at + 4, 1);
    structures[type] = REGISTERS + pci_read(slot, at + 8, 4);
    if (type == NOTIFY)
      notify = pci_read(slot, at + 16, 4);
  }
  if (bar == ~0u || !structures[COMMON] || !structures[NOTIFY] || !structures[ISR] || !structures[DEVICE])
    return 0;
  pci_write(slot, 0x10 + 4 * bar, 4, (u32)REGISTERS);
  pci_write(slot, 0x14 + 4 * bar, 4, REGISTERS >> 32);
  pci_write(slot, 4, 2, COMMAND_MEMORY_AND_MASTER);
  return 1;
}

static void write_address(u32 offset, const void *address)
{
  mmio_write(structures[COMMON] + offset, 4, (u32)(u64)address);
  mmio_write(structures[COMMON] + offset + 4, 4, (u64)address >> 32);
}

static u32 offered(u32 half)
{
  mmio_write(structures[COMMON] + DEVICE_FEATURE_SELECT, 4, half);
  return mmio_read(structures[COMMON] + DEVICE_FEATURE, 4);
}

static void accept(u32 half, u32 features)
{
  mmio_write(structures[COMMON] + DRIVER_FEATURE_SELECT, 4, half);
  mmio_write(structures[COMMON] + DRIVER_FEATURE, 4, features);
}

static void set_status(u32 status)
{
  mmio_write(structures[COMMON] + STATUS, 1, status);
}

void virtio_blk_map(const void *page)
{
  if (!behind_iommu)
    return;
  for (u64 address = (u64)page; address < (u64)page + PAGE_BYTES; address += TCE_PAGE)
    hypercall(H_PUT_TCE, pci_iommu(), address, address | TCE_READ_WRITE, 0);
}

static const char *start_queue(void)
{
  u64 common = structures[COMMON];
  mmio_write(common + QUEUE_SELECT, 2, 0);
  if (mmio_read(common + QUEUE_SIZE, 2) < ENTRIES)
    return "its queue is too short";
  mmio_write(common + QUEUE_SIZE, 2, ENTRIES);
  write_address(QUEUE_DESCRIPTORS, queue->descriptors);
  write_address(QUEUE_AVAILABLE, &queue->available);
  write_address(QUEUE_USED, &queue->used);
  notify = structures[NOTIFY] + notify * mmio_read(common + QUEUE_NOTIFY_OFFSET, 2);
  mmio_write(common + QUEUE_ENABLE, 2, 1);
  return 0;
}

const char *virtio_blk_start(void *page)
{
  u32 slot = 0;
  if (!pci_find_bridge())
    return "there is no PCI";
  while (slot < SLOTS && pci_read(slot, 0, 4) != IDENTITY)
    slot++;
  if (slot == SLOTS)
    return "there is no disk";
  if (!find_structures(slot))
    return "its registers cannot be found";
  queue = page;
  memset(queue, 0, sizeof *queue);

  set_status(0);
  while (mmio_read(structures[COMMON] + STATUS, 1) != 0)
    ;
  set_status(ACKNOWLEDGE | DRIVER);
  u32 platform = offered(1) & ACCESS_PLATFORM_HIGH;
  behind_iommu = platform != 0;
  if (!(offered(1) & VERSION_1_HIGH))
    return "it is of an old version";
  accept(0, offered(0) & FLUSH);
  accept(1, VERSION_1_HIGH | platform);
  set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  if (!(mmio_read(structures[COMMON] + STATUS, 1) & FEATURES_OK))
    return "it does not take these features";
  virtio_blk_map(page);
  const char *failed = start_queue();
  if (failed)
    return failed;

  u32 args[3] = {INTERRUPT + slot % 4, 0, INTERRUPT_PRIORITY};
  handle_interrupt(VECTOR_EXTERNAL, take_interrupt);
  hypercall(H_CPPR, MASK_NONE, 0, 0, 0);
  if (rtas(RTAS_SET_XIVE, 3, 1, args, 0) != 0)
    return "it has no interrupt";
  set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  return 0;
}

u64 virtio_blk_sectors(void)
{
  return mmio_read(structures[DEVICE], 4) | mmio_read(structures[DEVICE] + 4, 4) << 32;
}

int virtio_blk_is_behind_iommu(void)
{
  return behind_iommu;
}

static void describe(u32 index, void *address, u32 length, u32 flags)
{
  struct descriptor *descriptor = &queue->descriptors[index];
  descriptor->address = (u64)address;
  descriptor->length = length;
  descriptor->flags = flags;
  descriptor->next = index + 1;
}

u8 virtio_blk_request(u32 type, u64 sector, void *data, u32 bytes, u32 split)
{
  u32 direction = type == VIRTIO_BLK_T_OUT ? 0 : DESCRIPTOR_WRITE;
  u32 last = 0;
  volatile u16 *used = &queue->used.index;
  queue->header.type = type;
  queue->header.sector = sector;
  queue->status = 0xff;
  describe(last++, &queue->header, sizeof queue->header, DESCRIPTOR_NEXT);
  if (split)
    describe(last++, data, split, DESCRIPTOR_NEXT | direction);
  if (bytes)
    describe(last++, (u8 *)data + split, bytes - split, DESCRIPTOR_NEXT | direction);
  describe(last, &queue->status, 1, DESCRIPTOR_WRITE);

  u16 before = *used;
  queue->available.ring[queue->available.index % ENTRIES] = 0;
  asm volatile("sync" : : : "memory");
  queue->available.index++;
  mmio_write(notify, 2, 0);
  while (*used == before) {
    /* It wakes up by the interrupt, which is taken when it does: H_CEDE enables them. */
    hypercall(H_CEDE, 0, 0, 0, 0);
    mtmsrd(mfmsr() & ~(u64)MSR_EE);
    if (mmio_read(structures[COMMON] + STATUS, 1) & NEEDS_RESET)
      return VIRTIO_BLK_BROKEN;
  }
  asm volatile("sync" : : : "memory");
  /* The interrupt of a request that was done at once. */
  mtmsrd(mfmsr() | MSR_EE);
  mtmsrd(mfmsr() & ~(u64)MSR_EE);
  return queue->status;
}
