/* What a protected guest (Secure Execution) asks of the Ultravisor, and nothing where there is none (s390-pv.md 2.16). */
#pragma once
#include "lib.h"

#define PAGE_BYTES 4096

/* For what devices are to reach, in pages of its own. No initial value. */
#define SHARED __attribute__((section(".bss.shared")))
/* For what the host may page, one by one. */
#define WHOLE_PAGES __attribute__((aligned(PAGE_BYTES)))

/* Facility 158, and SET and REMOVE SHARED ACCESS among the calls: so says the Ultravisor to a protected guest, and nobody to a normal one. */
int is_protected(void);

/* A call with a block of `length` bytes and one operand: its response code, whatever the condition code. */
u16 ultravisor_call(u16 command, u16 length, u64 page);
#define UV_EXECUTED 0x0001
#define UV_INVALID_COMMAND 0x0002
#define UV_INVALID_LENGTH 0x0005
#define UV_INVALID_ADDRESS 0x0101
#define UVC_QUERY 0x0001
#define UVC_SET_SHARED 0x1000
#define UVC_REMOVE_SHARED 0x1001
#define UVC_SHARE_LENGTH 0x30

/* 1 if it is done, and where there is nothing to do: nobody is protected from the host there. */
int share_page(const volatile void *page);
int unshare_page(const volatile void *page);
/* All that is SHARED. */
int share_device_pages(void);

/* The secret of a protected guest is what its owner put into the image: SHA-256 of the command line; without one, of the clock. */
void make_secret(u8 secret[32]);
