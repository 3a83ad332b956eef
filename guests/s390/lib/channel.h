/* The channel subsystem (Principles of Operation, chapters 13 to 16), as far as virtio-ccw needs it. */
#pragma once
#include "lib.h"

struct pmcw {
	u32 parameter;
	u16 flags, device;
	u8 lpm, pnom, lpum, pim;
	u16 measurement;
	u8 pom, pam, chpid[8];
	u32 characteristics;
} __attribute__((packed));

struct scsw {
	u16 flags, control;
	u32 address;
	u8 device_status, channel_status;
	u16 count;
} __attribute__((packed));

struct schib {
	struct pmcw pmcw;
	struct scsw scsw;
	u8 rest[12];
} __attribute__((packed, aligned(4)));

struct irb {
	struct scsw scsw;
	u32 esw[5], ecw[8], emw[8];
} __attribute__((packed, aligned(4)));

struct orb {
	u32 parameter;
	u16 flags;
	u8 lpm, control;
	u32 program;
	u8 rest[20];
} __attribute__((packed, aligned(4)));

/* A channel command word of format 1 */
struct ccw {
	u8 command, flags;
	u16 count;
	u32 data;
} __attribute__((packed, aligned(8)));

#define PMCW_ENABLED 0x80
#define PMCW_VALID 0x01
#define ORB_FORMAT_1 0x80
/* Format-2 indirect addresses: doublewords, each for 4 KiB */
#define ORB_FORMAT_2_IDA 0x02
#define CCW_CHAIN_DATA 0x80
#define CCW_CHAIN 0x40
#define CCW_SHORT 0x20
#define CCW_SUSPEND 0x02
#define CCW_IDA 0x04
#define CCW_NOOP 0x03
#define CCW_SENSE 0x04
#define CCW_TRANSFER 0x08
#define CCW_SENSE_ID 0xe4

#define SUBCHANNEL(number) (0x00010000u | (number))

/* Condition codes of the instructions. */
unsigned stsch(u32 subchannel, struct schib *schib);
unsigned msch(u32 subchannel, const struct schib *schib);
unsigned ssch(u32 subchannel, const struct orb *orb);
unsigned tsch(u32 subchannel, struct irb *irb);
/* Two words; with 0, three in the prefix area. */
unsigned tpi(u32 code[2]);
unsigned csch(u32 subchannel);
unsigned hsch(u32 subchannel);
unsigned xsch(u32 subchannel);
unsigned rsch(u32 subchannel);
unsigned stcrw(u32 *word);
unsigned chsc(void *block);

/* Subchannels are enabled on this interruption subclass: CR6 lets it through. */
#define SUBCLASS 3

/* Enables a subchannel; the condition code of what failed. */
unsigned enable_subchannel(u32 subchannel);
/*
 * Runs a channel program with format-1 CCWs and waits for the interruption that ends it. The condition code of SSCH or TSCH; with 0, `irb` says how
 * it went.
 */
unsigned run_channel_program(u32 subchannel, const struct ccw *program, struct irb *irb);
/* I/O interruptions of a subchannel since the last look. */
extern volatile u32 channel_interrupts;
