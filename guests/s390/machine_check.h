/* What machine_check.c and machine_check_entry.S keep in the prefix area. */
#pragma once

#define LC_CHECKS 0x400
#define LC_GR 0x480
#define LC_CR 0x500
/* Where a machine check saves registers */
#define SAVED_FPR 0x1200
#define SAVED_GR 0x1280
#define SAVED_FPC 0x131c
#define SAVED_CPU_TIMER 0x1328
#define SAVED_COMPARATOR 0x1330
#define SAVED_AR 0x1340
#define SAVED_CR 0x1380
