/*
 * A guest with a disk. As a normal VM it has the device read and write where the data is; as a secure one it shares one
 * page with the host and has everything bounce through that. What it says is the same, and so is what is on the disk
 * afterwards. The number that the command line begins with, if any, is the number of sectors to write.
 */
#include "lib/virtio_blk.h"

#define CHUNK 8
#define WRITTEN_FROM 16
#define WRITTEN 24
#define QUEUE_PART 0x4000
#define CHUNK_BYTES (CHUNK * SECTOR_BYTES)

/* In a secure guest, all that the device ever sees. */
static u8 shared[PAGE_BYTES] WHOLE_PAGES;
static u8 own[PAGE_BYTES] WHOLE_PAGES;

static u64 written_sectors;

static u8 *bounce_buffer(void)
{
  return shared + QUEUE_PART;
}

/* A request whose data is the guest's own. */
static u8 transfer(u32 type, u64 sector, u8 *data, u32 bytes, u32 split)
{
  if (!is_secure())
    return virtio_blk_request(type, sector, data, bytes, split);
  u8 *bounce = bounce_buffer();
  if (type == VIRTIO_BLK_T_OUT)
    memcpy(bounce, data, bytes);
  u8 status = virtio_blk_request(type, sector, bounce, bytes, split);
  if (type != VIRTIO_BLK_T_OUT)
    memcpy(data, bounce, bytes);
  return status;
}

static u64 checksum(const u8 *data, u32 bytes)
{
  u64 sum = 0xcbf29ce484222325;
  for (u32 i = 0; i < bytes; i++)
    sum = (sum ^ data[i]) * 0x100000001b3;
  return sum;
}

static void report(const char *what, u8 status)
{
  print(what);
  print(status == VIRTIO_BLK_S_OK ? ": ok\n"
        : status == VIRTIO_BLK_S_IOERR ? ": I/O error\n"
        : status == VIRTIO_BLK_S_UNSUPP ? ": unsupported\n"
        : status == VIRTIO_BLK_BROKEN ? ": device stopped\n" : ": no status\n");
}

static void read_all(void)
{
  u64 sum = 0;
  for (u64 sector = 0; sector + CHUNK <= virtio_blk_sectors(); sector += CHUNK) {
    if (transfer(VIRTIO_BLK_T_IN, sector, own, CHUNK_BYTES, (sector % 3) * 700) != VIRTIO_BLK_S_OK) {
      print("cannot be read\n");
      return;
    }
    sum = (sum << 1 | sum >> 63) ^ checksum(own, CHUNK_BYTES);
  }
  print("contents ");
  print_hexadecimal(sum, 16);
  print("\n");
}

static void write_some(void)
{
  u8 worst = 0;
  for (u64 sector = WRITTEN_FROM; sector < WRITTEN_FROM + written_sectors; sector += CHUNK) {
    for (u32 i = 0; i < CHUNK_BYTES; i++)
      own[i] = sector + 7 * i + (i >> 8);
    worst |= transfer(VIRTIO_BLK_T_OUT, sector, own, CHUNK_BYTES, (sector % 2) * 1024);
  }
  report("write", worst);
  report("flush", virtio_blk_request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0));
}

/* A secure guest points the device at a page that it has not shared. */
static void reach_for_secrets(void)
{
  virtio_blk_map(own);
  memset(own, 0x5e, PAGE_BYTES);
  report("write from a page that is not shared", virtio_blk_request(VIRTIO_BLK_T_OUT, 0, own, CHUNK_BYTES, 0));
  report("read into a page that is not shared", virtio_blk_request(VIRTIO_BLK_T_IN, 0, own, CHUNK_BYTES, 0));
  u32 changed = 0;
  for (u32 i = 0; i < PAGE_BYTES; i++)
    changed += own[i] != 0x5e;
  print(changed ? "the page was changed\n" : "the page is as it was\n");
}

static int start(void)
{
  if (is_secure() && ultracall(UV_SHARE_PAGE, (u64)shared / PAGE_BYTES, 1) != U_SUCCESS) {
    print("the page cannot be shared\n");
    return 0;
  }
  const char *failed = virtio_blk_start(shared);
  if (failed) {
    print(failed);
    print("\n");
    return 0;
  }
  if (!is_secure())
    virtio_blk_map(own);
  return 1;
}

int main(void)
{
  written_sectors = command_line_number(WRITTEN);
  become_secure();
  if (!start())
    return 0;
  print_decimal(virtio_blk_sectors());
  print(" sectors\n");
  read_all();
  write_some();
  read_all();
  report("beyond the end", transfer(VIRTIO_BLK_T_IN, virtio_blk_sectors() - 1, own, CHUNK_BYTES, 0));
  report("half a sector", transfer(VIRTIO_BLK_T_IN, 0, own, SECTOR_BYTES / 2, 0));
  report("unknown request", transfer(77, 0, own, SECTOR_BYTES, 0));
  u64 interrupts = virtio_blk_interrupts;
  report("identity", transfer(VIRTIO_BLK_T_GET_ID, 0, own, 20, 0));
  print(virtio_blk_interrupts == interrupts + 1 ? "one interrupt\n" : "not one interrupt\n");
  if (!is_secure()) {
    registers_by_load = 1;
    print_decimal(virtio_blk_sectors());
    print(" sectors, by load\n");
    read_all();
  } else {
    reach_for_secrets();
    read_all();
  }
  return 0;
}
