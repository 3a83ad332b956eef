/* A driver for the virtio block device of a pseries machine: PCI without legacy interface, one request at a time. */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include "lib.h"

#define SECTOR_BYTES 512

#define VIRTIO_BLK_T_IN 0
#define VIRTIO_BLK_T_OUT 1
#define VIRTIO_BLK_T_FLUSH 4
#define VIRTIO_BLK_T_GET_ID 8

#define VIRTIO_BLK_S_OK 0
#define VIRTIO_BLK_S_IOERR 1
#define VIRTIO_BLK_S_UNSUPP 2
/* Ours: the device stopped and wants to be reset. */
#define VIRTIO_BLK_BROKEN 0xfd

/* Whether the registers are reached by loads and stores, in real mode, and not by H_LOGICAL_CI_LOAD and H_LOGICAL_CI_STORE. */
extern int registers_by_load;

/* Finds the device, and takes it into use with its queue in `page`, of 64 KiB, which the device can reach. 0, or a text of what failed. */
const char *virtio_blk_start(void *page);

u64 virtio_blk_sectors(void);
/* Whether the device goes through the I/O MMU. Then whatever it is to reach must be mapped: its queue is. */
int virtio_blk_is_behind_iommu(void);
/* Maps a page of 64 KiB for the device. */
void virtio_blk_map(const void *page);

/* A request of `bytes` at `data`, and its status. The data may lie in two pieces, the second from `split` on if that is not 0. */
u8 virtio_blk_request(u32 type, u64 sector, void *data, u32 bytes, u32 split);

/* Interrupts that the device raised. */
extern volatile u64 virtio_blk_interrupts;

#endif
