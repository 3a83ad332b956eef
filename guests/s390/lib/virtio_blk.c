/* virtio 1.2: 2.7 (split queues), 3.1 (initialization), 4.3 (channel I/O), 5.2 (block device). Rings are little-endian, control blocks big-endian. */
#include "virtio_blk.h"
#include "secure.h"

#define CONTROL_UNIT_VIRTIO 0x3832
#define MODEL_BLOCK 2

#define CCW_WRITE_FEATURES 0x11
#define CCW_READ_FEATURES 0x12
#define CCW_SET_QUEUE 0x13
#define CCW_READ_CONFIGURATION 0x22
#define CCW_WRITE_STATUS 0x31
#define CCW_READ_QUEUE 0x32
#define CCW_RESET 0x33
#define CCW_SET_INDICATORS 0x43
#define CCW_READ_STATUS 0x72
#define CCW_SET_ADAPTER_INDICATORS 0x73
#define CCW_SET_REVISION 0x83

#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8

#define FLUSH (1u << 9)
#define VERSION_1_HIGH 1
#define ACCESS_PLATFORM_HIGH 2

#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2
#define ENTRIES 8

static inline u16 le16(u16 value) { return __builtin_bswap16(value); }
static inline u32 le32(u32 value) { return __builtin_bswap32(value); }
static inline u64 le64(u64 value) { return __builtin_bswap64(value); }

static struct queue {
	struct descriptor {
		u64 address;
		u32 length;
		u16 flags, next;
	} descriptors[ENTRIES];
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
} queue SHARED __attribute__((aligned(4096)));
/* Where a protected guest's data is while the device has it. */
static u8 bounce[VIRTIO_BLK_MOST] SHARED __attribute__((aligned(4096)));

static struct {
	u64 descriptors;
	u32 reserved;
	u16 index, entries;
	u64 available, used;
} __attribute__((packed)) queue_block SHARED;

static struct {
	u64 summary, indicators, bit;
	u8 subclass;
} __attribute__((packed)) adapter_block SHARED;

static u64 indicators SHARED __attribute__((aligned(8)));
static u8 summary SHARED;
static u64 indicators_address SHARED;
static u8 data[64] SHARED __attribute__((aligned(8)));
static struct ccw ccw SHARED;
static u32 subchannel;
static enum indication chosen;

volatile u32 virtio_blk_interrupts;
s64 virtio_blk_cookie;

/* A program of one command. 0 if it ended without complaint. */
static int command(u8 code, void *at, u16 count)
{
	ccw = (struct ccw){ .command = code, .count = count, .data = (u32)(u64)at };
	struct irb irb;
	unsigned cc = run_channel_program(subchannel, &ccw, &irb);
	return cc != 0 || irb.scsw.device_status != 0x0c || irb.scsw.channel_status != 0;
}

static int set_status(u8 status)
{
	data[0] = status;
	return command(CCW_WRITE_STATUS, data, 1);
}

static u32 features(u8 half)
{
	memset(data, 0, 8);
	data[4] = half;
	if (command(CCW_READ_FEATURES, data, 5))
		return 0;
	return le32(*(u32 *)data);
}

static int accept(u8 half, u32 accepted)
{
	*(u32 *)data = le32(accepted);
	data[4] = half;
	return command(CCW_WRITE_FEATURES, data, 5);
}

/* A virtio block device among the subchannels; 0 if there is none. */
static u32 find(void)
{
	struct schib schib;
	for (u32 number = 0; stsch(SUBCHANNEL(number), &schib) == 0; number++) {
		subchannel = SUBCHANNEL(number);
		if (!(schib.pmcw.flags & PMCW_VALID) || enable_subchannel(subchannel) != 0)
			continue;
		ccw = (struct ccw){ .command = CCW_SENSE_ID, .flags = CCW_SHORT, .count = 32, .data = (u32)(u64)data };
		struct irb irb;
		if (run_channel_program(subchannel, &ccw, &irb) != 0 || data[0] != 0xff)
			continue;
		if (*(u16 *)(data + 1) == CONTROL_UNIT_VIRTIO && data[3] == MODEL_BLOCK)
			return subchannel;
	}
	return 0;
}

static int set_indicators(void)
{
	if (chosen == CLASSIC) {
		indicators_address = (u64)&indicators;
		return command(CCW_SET_INDICATORS, &indicators_address, 8);
	}
	adapter_block.summary = (u64)&summary;
	adapter_block.indicators = (u64)&indicators;
	adapter_block.bit = 5;
	adapter_block.subclass = SUBCLASS;
	return command(CCW_SET_ADAPTER_INDICATORS, &adapter_block, sizeof adapter_block);
}

static const char *start_queue(void)
{
	*(u32 *)data = 0;
	if (command(CCW_READ_QUEUE, data, 4) || *(u16 *)(data + 2) < ENTRIES)
		return "its queue is too short";
	memset(&queue, 0, sizeof queue);
	queue_block.descriptors = (u64)queue.descriptors;
	queue_block.index = 0;
	queue_block.entries = ENTRIES;
	queue_block.available = (u64)&queue.available;
	queue_block.used = (u64)&queue.used;
	if (command(CCW_SET_QUEUE, &queue_block, sizeof queue_block))
		return "it does not take the queue";
	return set_indicators() ? "it does not take the indicators" : 0;
}

const char *virtio_blk_start(enum indication indication)
{
	chosen = indication;
	if (!share_device_pages())
		return "the pages cannot be shared";
	if (!find())
		return "there is no disk";
	*(u32 *)data = 2 << 16;
	if (command(CCW_SET_REVISION, data, 4))
		return "it is of an old revision";
	if (command(CCW_RESET, 0, 0) || set_status(ACKNOWLEDGE | DRIVER))
		return "it does not reset";
	u32 high = features(1) & (VERSION_1_HIGH | ACCESS_PLATFORM_HIGH);
	if (!(high & VERSION_1_HIGH))
		return "it is of an old version";
	if (accept(0, features(0) & FLUSH) || accept(1, high) || set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK))
		return "it does not take these features";
	if (command(CCW_READ_STATUS, data, 1) || data[0] != (ACKNOWLEDGE | DRIVER | FEATURES_OK))
		return "it has another status";
	const char *failed = start_queue();
	if (failed)
		return failed;
	return set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK) ? "it does not start" : 0;
}

u32 virtio_blk_subchannel(void)
{
	return subchannel;
}

u64 virtio_blk_sectors(void)
{
	if (command(CCW_READ_CONFIGURATION, data, 8))
		return 0;
	return le64(*(u64 *)data);
}

static void notify(void)
{
	register u64 r1 asm("1") = 3;
	register u64 r2 asm("2") = subchannel;
	register u64 r3 asm("3") = 0;
	register u64 r4 asm("4") = virtio_blk_cookie;
	asm volatile("diag 2,4,0x500" : "+d"(r2) : "d"(r1), "d"(r3), "d"(r4) : "cc", "memory");
	virtio_blk_cookie = r2;
}

static void describe(u32 index, void *address, u32 length, u32 flags)
{
	struct descriptor *descriptor = &queue.descriptors[index];
	descriptor->address = le64((u64)address);
	descriptor->length = le32(length);
	descriptor->flags = le16(flags);
	descriptor->next = le16(index + 1);
}

/* Whether the device has told of a request in the way that was asked for; forgets it. */
static int was_told(u32 interrupts_before)
{
	volatile u64 *bits = &indicators;
	struct irb irb;
	if (channel_interrupts == interrupts_before)
		return 0;
	if (chosen == CLASSIC) {
		if (!(*bits & 1) || tsch(subchannel, &irb) != 0)
			return 0;
	} else if (!*(volatile u8 *)&summary || !(*bits >> (63 - 5) & 1)) {
		return 0;
	}
	*bits = 0;
	*(volatile u8 *)&summary = 0;
	return 1;
}

u8 virtio_blk_request(u32 type, u64 sector, void *at, u32 bytes, u32 split)
{
	if (!is_protected())
		return virtio_blk_request_at(type, sector, at, bytes, split);
	if (type == VIRTIO_BLK_T_OUT)
		memcpy(bounce, at, bytes);
	u8 status = virtio_blk_request_at(type, sector, bounce, bytes, split);
	if (type != VIRTIO_BLK_T_OUT)
		memcpy(at, bounce, bytes);
	return status;
}

u8 virtio_blk_request_at(u32 type, u64 sector, void *at, u32 bytes, u32 split)
{
	u32 direction = type == VIRTIO_BLK_T_OUT ? 0 : DESCRIPTOR_WRITE;
	u32 last = 0;
	u32 interrupts = channel_interrupts;
	volatile u16 *used = &queue.used.index;
	queue.header.type = le32(type);
	queue.header.sector = le64(sector);
	queue.status = 0xff;
	describe(last++, &queue.header, sizeof queue.header, DESCRIPTOR_NEXT);
	if (split)
		describe(last++, at, split, DESCRIPTOR_NEXT | direction);
	if (bytes)
		describe(last++, (u8 *)at + split, bytes - split, DESCRIPTOR_NEXT | direction);
	describe(last, &queue.status, 1, DESCRIPTOR_WRITE);

	u16 before = *used;
	u16 index = le16(queue.available.index);
	queue.available.ring[index % ENTRIES] = 0;
	__sync_synchronize();
	queue.available.index = le16(index + 1);
	notify();
	while (*used == before || channel_interrupts == interrupts)
		wait_for(PSW_IO);
	virtio_blk_interrupts += was_told(interrupts);
	__sync_synchronize();
	return queue.status;
}
