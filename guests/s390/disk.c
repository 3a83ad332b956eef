/*
 * A guest with a disk: reads all of it, writes some of it and reads it again; a protected one also tries what the device makes of a page that is not
 * shared; and channel programs that go wrong, of which it says how. The number that
 * the command line is, if any, is the number of sectors to write; `adapter` in place of it asks for adapter interruptions.
 */
#include "virtio_blk.h"
#include "secure.h"

#define CHUNK 8
#define WRITTEN_FROM 16
#define WRITTEN 24
#define CHUNK_BYTES (CHUNK * SECTOR_BYTES)

static u8 buffer[CHUNK_BYTES] __attribute__((aligned(4096)));
static u64 written_sectors;

static u64 checksum(const u8 *bytes, u32 count)
{
	u64 sum = 0xcbf29ce484222325;
	for (u32 i = 0; i < count; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

static void report(const char *what, u8 status)
{
	put(what);
	put(status == VIRTIO_BLK_S_OK ? ": ok\n"
	    : status == VIRTIO_BLK_S_IOERR ? ": I/O error\n"
	    : status == VIRTIO_BLK_S_UNSUPP ? ": unsupported\n" : ": no status\n");
}

static void read_all(void)
{
	u64 sum = 0;
	u64 sectors = virtio_blk_sectors();
	for (u64 sector = 0; sector + CHUNK <= sectors; sector += CHUNK) {
		if (virtio_blk_request(VIRTIO_BLK_T_IN, sector, buffer, CHUNK_BYTES, (sector % 3) * 700) != VIRTIO_BLK_S_OK) {
			put("cannot be read\n");
			return;
		}
		sum = (sum << 1 | sum >> 63) ^ checksum(buffer, CHUNK_BYTES);
	}
	put("contents ");
	put_hex(sum, 16);
	put("\n");
}

static void write_some(void)
{
	u8 worst = 0;
	for (u64 sector = WRITTEN_FROM; sector < WRITTEN_FROM + written_sectors; sector += CHUNK) {
		for (u32 i = 0; i < CHUNK_BYTES; i++)
			buffer[i] = sector + 7 * i + (i >> 8);
		worst |= virtio_blk_request(VIRTIO_BLK_T_OUT, sector, buffer, CHUNK_BYTES, (sector % 2) * 1024);
	}
	report("write", worst);
	report("flush", virtio_blk_request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0));
}

static void fields(const char *what, unsigned cc, const struct irb *irb)
{
	put(what);
	put(": ");
	put_number(cc);
	if (cc == 0) {
		put(" flags ");
		put_hex(irb->scsw.flags, 4);
		put(" control ");
		put_hex(irb->scsw.control, 4);
		put(" status ");
		put_hex(irb->scsw.device_status, 2);
		put_hex(irb->scsw.channel_status, 2);
		put(" count ");
		put_number(irb->scsw.count);
		put(" sense ");
		put_hex(irb->ecw[0], 8);
	}
	put("\n");
}

/* What the channel subsystem says of programs that are odd or wrong. `at` are offsets in the program at which it ended. */
static void try(const char *what, const struct ccw *program)
{
	static struct irb irb;
	memset(&irb, 0, sizeof irb);
	unsigned cc = run_channel_program(virtio_blk_subchannel(), program, &irb);
	fields(what, cc, &irb);
	if (cc == 0)
		say("  ended behind ", irb.scsw.address - (u32)(u64)program);
}

static void odd_programs(void)
{
	static u8 where[256] SHARED __attribute__((aligned(8)));
	u32 data = (u32)(u64)where;
	static struct ccw program[8] SHARED;
	/* Doublewords: QEMU 7.2 takes words for something else where its host is little-endian. */
	static volatile u64 idaws[2] SHARED __attribute__((aligned(8)));

#define TRY(what, ...) do { \
		static const struct ccw source[] = { __VA_ARGS__ }; \
		memset(program, 0, sizeof program); \
		memcpy(program, source, sizeof source); \
		for (unsigned i = 0; i < COUNT(source); i++) \
			program[i].data = source[i].data == 1 ? data : source[i].data == 2 ? (u32)(u64)(program + 2) \
				: source[i].data == 3 ? (u32)(u64)idaws : source[i].data; \
		try(what, program); \
	} while (0)

	idaws[0] = data;
	TRY("no-operation", { CCW_NOOP, 0, 1, 0 });
	TRY("chain", { CCW_NOOP, CCW_CHAIN | CCW_SHORT, 1, 0 }, { CCW_SENSE_ID, CCW_SHORT, 64, 1 });
	put_hex(*(u64 *)where, 16);
	put("\n");
	TRY("transfer", { CCW_NOOP, CCW_CHAIN, 1, 0 }, { CCW_TRANSFER, 0, 0, 2 }, { CCW_SENSE_ID, CCW_SHORT, 8, 1 });
	TRY("length that does not fit", { CCW_SENSE_ID, 0, 100, 1 });
	TRY("sense without cause", { CCW_SENSE, 0, 32, 1 });
	TRY("unknown command", { 0x5b, 0, 8, 1 });
	TRY("sense with cause", { CCW_SENSE, 0, 32, 1 });
	put_hex(*(u32 *)where, 8);
	put("\n");
	TRY("command of zeros", { 0, 0, 8, 1 });
	TRY("transfer of all", { CCW_NOOP, CCW_CHAIN, 1, 0 }, { CCW_TRANSFER, 0, 0, 2 }, { CCW_TRANSFER, 0, 0, 2 });
	memset(where, 0x55, 16);
	TRY("indirect", { CCW_SENSE_ID, CCW_IDA | CCW_SHORT, 8, 3 });
	put_hex(*(u64 *)where, 16);
	put("\n");
}

static void instructions(void)
{
	struct schib schib;
	struct irb irb;
	u32 subchannel = virtio_blk_subchannel();
	u32 word, code[2];
	say("test of an idle subchannel ", tsch(subchannel, &irb));
	say("cancel ", xsch(subchannel));
	say("resume ", rsch(subchannel));
	say("no such subchannel ", stsch(SUBCHANNEL(0xfff0), &schib));
	say("nothing pending ", tpi(code));
	say("channel reports ", stcrw(&word));
	say("clear ", csch(subchannel));
	say("pending ", tpi(code));
	put("  tells ");
	put_hex(code[0] & 0xffff0000, 8);
	put(code[0] == subchannel && code[1] == subchannel ? " rightly\n" : " wrongly\n");
	fields("  status", tsch(subchannel, &irb), &irb);
	say("halt ", hsch(subchannel));
	say("pending ", tpi(0));
	put("  in the prefix area ");
	put_hex(lowcore.subchannel_id, 4);
	put(lowcore.subchannel_number == (u16)subchannel && lowcore.io_parameter == subchannel ? " rightly" : " wrongly");
	put(" of subclass ");
	put_hex(lowcore.io_word, 8);
	put("\n");
	fields("  status", tsch(subchannel, &irb), &irb);
	stsch(subchannel, &schib);
	put("path ");
	put_hex(schib.pmcw.flags, 4);
	put(" lpm ");
	put_hex(schib.pmcw.lpm, 2);
	put(" pim ");
	put_hex(schib.pmcw.pim, 2);
	put(" pom ");
	put_hex(schib.pmcw.pom, 2);
	put(" pam ");
	put_hex(schib.pmcw.pam, 2);
	put(" lpum ");
	put_hex(schib.pmcw.lpum, 2);
	put("\n");
	schib.pmcw.flags &= ~PMCW_ENABLED;
	say("disabled ", msch(subchannel, &schib));
	struct orb orb = { .flags = ORB_FORMAT_1, .lpm = 0xff };
	say("then start ", ssch(subchannel, &orb));
}

static int is_adapter(void)
{
	return loaded_command_line[0] == 'a';
}

/* A protected guest points the device at a page that it has not shared. */
static void reach_for_secrets(void)
{
	memset(buffer, 0x5e, CHUNK_BYTES);
	report("write from a page that is not shared", virtio_blk_request_at(VIRTIO_BLK_T_OUT, 0, buffer, CHUNK_BYTES, 0));
	report("read into a page that is not shared", virtio_blk_request_at(VIRTIO_BLK_T_IN, 0, buffer, CHUNK_BYTES, 0));
	u32 changed = 0;
	for (u32 i = 0; i < CHUNK_BYTES; i++)
		changed += buffer[i] != 0x5e;
	put(changed ? "the page was changed\n" : "the page is as it was\n");
	read_all();
}

void guest_main(void)
{
	const char *failed = virtio_blk_start(is_adapter() ? ADAPTER : CLASSIC);
	if (failed) {
		put(failed);
		put("\n");
		return;
	}
	written_sectors = command_line_number(WRITTEN);
	say("sectors ", virtio_blk_sectors());
	read_all();
	write_some();
	read_all();
	report("unknown request", virtio_blk_request(99, 0, 0, 0, 0));
	report("behind the end", virtio_blk_request(VIRTIO_BLK_T_IN, 1ul << 40, buffer, CHUNK_BYTES, 0));
	put(virtio_blk_interrupts ? "told by interruptions\n" : "not told\n");
	put(virtio_blk_cookie < 0 ? "no cookie\n" : "with a cookie\n");
	if (is_protected())
		reach_for_secrets();
	odd_programs();
	instructions();
}
