/* The instructions that C has no words for. */
#ifndef CPU_H
#define CPU_H

#include "hypervisor.h"

#define mtspr(spr, value) asm volatile("mtspr %0,%1" : : "i"(spr), "r"((u64)(value)) : "memory")

#define mfspr(spr)                                                                                                     \
  ({                                                                                                                   \
    u64 value_;                                                                                                        \
    asm volatile("mfspr %0,%1" : "=r"(value_) : "i"(spr) : "memory");                                                  \
    value_;                                                                                                            \
  })

/* 64 bits of the hardware's random numbers; all ones where it had none to give. */
static inline u64 darn(void)
{
  u64 value;
  asm volatile("darn %0,1" : "=r"(value));
  return value;
}

/* Forgets every translation of one partition: RIC=2 (all caches), IS=2 (this LPID), R=1, first PRS=0, then PRS=1. */
static inline void tlbie_lpid(u64 lpid)
{
  asm volatile("ptesync\n\t"
               "tlbie %0,%1,2,0,1\n\t"
               "tlbie %0,%1,2,1,1\n\t"
               "eieio\n\t"
               "tlbsync\n\t"
               "ptesync"
               : : "r"(0x800UL), "r"(lpid << 32 | lpid) : "memory");
}

static inline void isync(void)
{
  asm volatile("isync" : : : "memory");
}

#endif
