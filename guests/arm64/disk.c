/*
 * A guest with a disk (virtio-mmio). As a plain guest it has the device read and write where the data is. As a protected one it names its devices' pages (MMIO
 * guard), shares two pages with the host, for the queue and to bounce everything through, and tries what the device makes of a page that it has not shared. What it
 * says until then is the same, and so is what is on the disk.
 */
#include "lib.h"

#define PAGE_BYTES 4096
#define SECTOR_BYTES 512
#define CHUNK 4
#define CHUNK_BYTES (CHUNK * SECTOR_BYTES)
#define WRITTEN_FROM 8
#define WRITTEN 8

#define TRANSPORTS 0x0a000000ul
#define TRANSPORT_BYTES 0x200
#define TRANSPORT_COUNT 32
#define FIRST_INTID 48

#define KVM_FEATURES 0x86000000ul
#define MEM_SHARE 0xc6000003ul
#define MMIO_GUARD_ENROLL 0xc6000006ul
#define MMIO_GUARD_MAP 0xc6000007ul
#define FEATURE_MEM_SHARE (1 << 3)

/* Registers of the transport (virtio 1.2, 4.2.2). */
#define MAGIC 0x000
#define VERSION 0x004
#define DEVICE_ID 0x008
#define DEVICE_FEATURES 0x010
#define DEVICE_FEATURES_SEL 0x014
#define DRIVER_FEATURES 0x020
#define DRIVER_FEATURES_SEL 0x024
#define QUEUE_SEL 0x030
#define QUEUE_NUM_MAX 0x034
#define QUEUE_NUM 0x038
#define QUEUE_READY 0x044
#define QUEUE_NOTIFY 0x050
#define INTERRUPT_STATUS 0x060
#define INTERRUPT_ACK 0x064
#define STATUS 0x070
#define QUEUE_DESC 0x080
#define QUEUE_DRIVER 0x090
#define QUEUE_DEVICE 0x0a0
#define CONFIG_CAPACITY 0x100

#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8
/* In the upper word of the features. */
#define F_VERSION_1 1
#define F_ACCESS_PLATFORM 2

#define QUEUE_SIZE 8
#define NEXT 1
#define WRITE 2
#define T_IN 0
#define T_OUT 1
#define T_FLUSH 4

struct descriptor {
	u64 address;
	u32 length;
	u16 flags, next;
};

/* All that the device ever sees of a protected guest: the queue with a request's header and status, and the page behind it. */
static struct shared {
	struct descriptor table[QUEUE_SIZE];
	struct { u16 flags, index, ring[QUEUE_SIZE], event; } available;
	struct { u16 flags, index; struct { u32 id, length; } ring[QUEUE_SIZE]; u16 event; } used __attribute__((aligned(4)));
	struct { u32 type, reserved; u64 sector; } header __attribute__((aligned(16)));
	volatile u8 status;
	u8 bounce[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
} shared __attribute__((aligned(PAGE_BYTES)));

static u8 own[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
static uintptr_t transport;
static unsigned intid;
static volatile unsigned interrupts;
static int protected;

static int is_protected(void)
{
	s64 features = psci(KVM_FEATURES, 0, 0, 0);
	return features > 0 && (features & FEATURE_MEM_SHARE);
}

static void guard(uintptr_t base, unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		if (psci(MMIO_GUARD_MAP, base + i * PAGE_BYTES, 0, 0) != 0)
			power_off();
}

static void take(unsigned taken)
{
	if (taken != intid) {
		say("unexpected interrupt ", taken);
		return;
	}
	write32(transport + INTERRUPT_ACK, read32(transport + INTERRUPT_STATUS));
	interrupts++;
}

static void write_address(unsigned at, const volatile void *address)
{
	write32(transport + at, (uintptr_t)address);
	write32(transport + at + 4, (uintptr_t)address >> 32);
}

static const char *start_device(void)
{
	for (unsigned i = 0; i < TRANSPORT_COUNT && !transport; i++) {
		uintptr_t at = TRANSPORTS + i * TRANSPORT_BYTES;
		if (read32(at + MAGIC) == 0x74726976 && read32(at + VERSION) == 2 && read32(at + DEVICE_ID) == 2) {
			transport = at;
			intid = FIRST_INTID + i;
		}
	}
	if (!transport)
		return "no disk";
	write32(transport + STATUS, 0);
	write32(transport + STATUS, ACKNOWLEDGE | DRIVER);
	write32(transport + DEVICE_FEATURES_SEL, 1);
	u32 offered = read32(transport + DEVICE_FEATURES);
	write32(transport + DRIVER_FEATURES_SEL, 0);
	write32(transport + DRIVER_FEATURES, 0);
	write32(transport + DRIVER_FEATURES_SEL, 1);
	write32(transport + DRIVER_FEATURES, offered & (F_VERSION_1 | F_ACCESS_PLATFORM));
	write32(transport + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	if (!(read32(transport + STATUS) & FEATURES_OK))
		return "the features were refused";
	write32(transport + QUEUE_SEL, 0);
	if (read32(transport + QUEUE_NUM_MAX) < QUEUE_SIZE)
		return "the queue is too small";
	write32(transport + QUEUE_NUM, QUEUE_SIZE);
	write_address(QUEUE_DESC, shared.table);
	write_address(QUEUE_DRIVER, &shared.available);
	write_address(QUEUE_DEVICE, &shared.used);
	write32(transport + QUEUE_READY, 1);
	write32(transport + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	return 0;
}

static u8 request(u32 type, u64 sector, void *data, u32 bytes)
{
	static u16 made;
	unsigned before = interrupts, last = bytes ? 2 : 1;
	shared.header.type = type;
	shared.header.sector = sector;
	shared.status = 0xff;
	shared.table[0] = (struct descriptor){(uintptr_t)&shared.header, 16, NEXT, 1};
	if (bytes)
		shared.table[1] = (struct descriptor){(uintptr_t)data, bytes, NEXT | (type == T_IN ? WRITE : 0), 2};
	shared.table[last] = (struct descriptor){(uintptr_t)&shared.status, 1, WRITE, 0};
	shared.available.ring[made++ % QUEUE_SIZE] = 0;
	asm volatile("dmb sy" : : : "memory");
	*(volatile u16 *)&shared.available.index = made;
	asm volatile("dmb sy" : : : "memory");
	write32(transport + QUEUE_NOTIFY, 0);
	while (interrupts == before) {
		asm volatile("wfi");
		unmask();
		mask();
	}
	return *(volatile u16 *)&shared.used.index == made ? shared.status : 0xfe;
}

/* A request whose data is the guest's own. */
static u8 transfer(u32 type, u64 sector, u8 *data, u32 bytes)
{
	if (!protected)
		return request(type, sector, data, bytes);
	if (type == T_OUT)
		memcpy(shared.bounce, data, bytes);
	u8 status = request(type, sector, shared.bounce, bytes);
	if (type == T_IN)
		memcpy(data, shared.bounce, bytes);
	return status;
}

static void report(const char *what, u8 status)
{
	put(what);
	put(status == 0 ? ": ok\n" : status == 1 ? ": I/O error\n" : status == 2 ? ": unsupported\n" : ": no status\n");
}

static u64 sectors(void)
{
	return read32(transport + CONFIG_CAPACITY) | (u64)read32(transport + CONFIG_CAPACITY + 4) << 32;
}

static void read_all(void)
{
	u64 sum = 0xcbf29ce484222325;
	for (u64 sector = 0; sector + CHUNK <= sectors(); sector += CHUNK) {
		if (transfer(T_IN, sector, own, CHUNK_BYTES) != 0) {
			put("cannot be read\n");
			return;
		}
		for (u32 i = 0; i < CHUNK_BYTES; i++)
			sum = (sum ^ own[i]) * 0x100000001b3;
	}
	put("contents ");
	put_hex(sum, 16);
	put("\n");
}

static void write_some(void)
{
	u8 worst = 0;
	for (u64 sector = WRITTEN_FROM; sector < WRITTEN_FROM + WRITTEN; sector += CHUNK) {
		for (u32 i = 0; i < CHUNK_BYTES; i++)
			own[i] = sector + 7 * i + (i >> 8);
		worst |= transfer(T_OUT, sector, own, CHUNK_BYTES);
	}
	report("write", worst);
	report("flush", request(T_FLUSH, 0, 0, 0));
}

/* A protected guest points the device at a page that it has not shared. */
static void reach_for_secrets(void)
{
	memset(own, 0x5e, PAGE_BYTES);
	report("write from a page that is not shared", request(T_OUT, 0, own, CHUNK_BYTES));
	report("read into a page that is not shared", request(T_IN, 0, own, CHUNK_BYTES));
	u32 changed = 0;
	for (u32 i = 0; i < PAGE_BYTES; i++)
		changed += own[i] != 0x5e;
	put(changed ? "the page was changed\n" : "the page is as it was\n");
	read_all();
}

void guest_main(void)
{
	protected = is_protected();
	if (protected) {
		/* Where memory alone is protected there is no guard. */
		if (psci(MMIO_GUARD_ENROLL, 0, 0, 0) == 0) {
			guard(UART_BASE, 1);
			guard(GICD_BASE, 0x10000 / PAGE_BYTES);
			guard(GICR_BASE, GICR_BYTES / PAGE_BYTES);
			guard(TRANSPORTS, TRANSPORT_COUNT * TRANSPORT_BYTES / PAGE_BYTES);
		}
		if (psci(MEM_SHARE, (uintptr_t)&shared, 0, 0) || psci(MEM_SHARE, (uintptr_t)shared.bounce, 0, 0)) {
			put("the pages cannot be shared\n");
			return;
		}
	}
	interrupt_handler = take;
	gic_start();
	gic_start_cpu(0);
	const char *failed = start_device();
	if (failed) {
		put(failed);
		put("\n");
		return;
	}
	unsigned word = intid / 32 * 4;
	write32(GICD_BASE + 0x80 + word, 1u << intid % 32);
	write8(GICD_BASE + 0x400 + intid, 0xa0);
	write64(GICD_BASE + 0x6000 + 8 * intid, 0);
	/* As the device tree says: an edge. */
	write32(GICD_BASE + 0xc00 + intid / 16 * 4, 2u << intid % 16 * 2);
	write32(GICD_BASE + 0x100 + word, 1u << intid % 32);
	put("disk at ");
	put_hex(transport, 8);
	say(", sectors ", sectors());
	read_all();
	write_some();
	read_all();
	report("beyond the end", transfer(T_IN, sectors() - 1, own, CHUNK_BYTES));
	report("unknown request", transfer(77, 0, own, SECTOR_BYTES));
	if (protected)
		reach_for_secrets();
}
