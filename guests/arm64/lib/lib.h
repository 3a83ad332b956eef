/*
 * What our C guests for arm64 find: console, PSCI, further CPUs, and interrupts of the GICv3 and the virtual timer.
 */
#pragma once
#include <stdint.h>
#include "guest.h"

#define MAX_CPUS 8

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

static inline u32 be32(u32 value) { return __builtin_bswap32(value); }
static inline u64 be64(u64 value) { return __builtin_bswap64(value); }

#define NOINLINE __attribute__((noinline))
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define text_of(name) #name
#define read_register(name) \
	({ uint64_t value_; asm volatile("mrs %0, " text_of(name) : "=r"(value_) : : "memory"); value_; })
#define write_register(name, value) \
	asm volatile("msr " text_of(name) ", %x0\n\tisb" : : "rZ"((uint64_t)(value)) : "memory")

/* The GIC's CPU interface, by encodings that every assembler knows. */
#define ICC_PMR S3_0_C4_C6_0
#define ICC_IAR1 S3_0_C12_C12_0
#define ICC_EOIR1 S3_0_C12_C12_1
#define ICC_BPR1 S3_0_C12_C12_3
#define ICC_CTLR S3_0_C12_C12_4
#define ICC_SRE S3_0_C12_C12_5
#define ICC_IGRPEN1 S3_0_C12_C12_7
#define ICC_SGI1R S3_0_C12_C11_5
#define ICC_RPR S3_0_C12_C11_3
#define ICC_HPPIR1 S3_0_C12_C12_2
#define ICC_DIR S3_0_C12_C11_1

#define GICD_BASE 0x08000000ul
#define GICR_BASE 0x080a0000ul
#define GICR_BYTES 0x20000ul
#define GICR_SGI 0x10000ul
#define VIRTUAL_TIMER 27

/*
 * Device registers, by instructions that a hypervisor can complete: a load or store of one register that does not change its address register. Of others the
 * syndrome says nothing (ESR_EL2.ISV is 0), and no hypervisor of Linux's takes them.
 */
static inline uint32_t read32(uintptr_t at)
{
	uint32_t value;
	asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(at) : "memory");
	return value;
}
static inline void write32(uintptr_t at, uint32_t value) { asm volatile("str %w0, [%1]" : : "rZ"(value), "r"(at) : "memory"); }
static inline void write8(uintptr_t at, uint8_t value) { asm volatile("strb %w0, [%1]" : : "rZ"(value), "r"(at) : "memory"); }
static inline void write64(uintptr_t at, uint64_t value) { asm volatile("str %x0, [%1]" : : "rZ"(value), "r"(at) : "memory"); }

void put(const char *text);
void put_number(uint64_t value);
void put_hex(uint64_t value, unsigned digits);
/* text, number, newline */
void say(const char *text, uint64_t value);

/* A number that is all of the command line, or `otherwise` (the device tree of an ELF file lies at the start of RAM). */
u64 command_line_number(u64 otherwise);

void *memcpy(void *to, const void *from, unsigned long bytes);
void *memset(void *at, int value, unsigned long bytes);

int64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c);
_Noreturn void power_off(void);

/* Starts a CPU that calls main_of(its number); it is off again when that returns. */
int64_t start_cpu(unsigned cpu, void (*main_of)(unsigned));

/* Distributor on, affinity routing, group 1. Once. */
void gic_start(void);
/* This CPU's redistributor and CPU interface: SGIs and the timer in group 1, enabled. */
void gic_start_cpu(unsigned cpu);
/* Called with the INTID between acknowledge and end. */
extern void (*volatile interrupt_handler)(unsigned intid);
static inline void unmask(void) { asm volatile("msr daifclr, #2" : : : "memory"); }
static inline void mask(void) { asm volatile("msr daifset, #2" : : : "memory"); }

void guest_main(void);
