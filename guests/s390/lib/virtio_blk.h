/* A driver for the virtio block device of an s390-ccw-virtio machine, one request at a time. */
#pragma once
#include "channel.h"

#define SECTOR_BYTES 512
/* Bytes in one request */
#define VIRTIO_BLK_MOST 4096

#define VIRTIO_BLK_T_IN 0
#define VIRTIO_BLK_T_OUT 1
#define VIRTIO_BLK_T_FLUSH 4
#define VIRTIO_BLK_T_GET_ID 8

#define VIRTIO_BLK_S_OK 0
#define VIRTIO_BLK_S_IOERR 1
#define VIRTIO_BLK_S_UNSUPP 2

/* How the device tells of what it has done: by bits in storage and an interruption of its subchannel, or of an adapter. */
enum indication { CLASSIC, ADAPTER };

/* Finds the device and takes it into use. 0, or a text of what failed. */
const char *virtio_blk_start(enum indication indication);
u32 virtio_blk_subchannel(void);
u64 virtio_blk_sectors(void);
/*
 * A request of `bytes` at `data`, and its status. The data may lie in two pieces, the second from `split` on if that is not 0. A protected guest's data
 * goes through a page that it shares.
 */
u8 virtio_blk_request(u32 type, u64 sector, void *data, u32 bytes, u32 split);
/* The same, and the device is to reach the data where it is. */
u8 virtio_blk_request_at(u32 type, u64 sector, void *data, u32 bytes, u32 split);
/* Interruptions by which the device told of a request. */
extern volatile u32 virtio_blk_interrupts;
/* What DIAGNOSE 0x500 answered last. */
extern s64 virtio_blk_cookie;
