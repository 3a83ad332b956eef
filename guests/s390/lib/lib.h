/*
 * What our C guests for s390 find: consoles of SCLP, further CPUs, interrupts, and the channel subsystem.
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

/* Kernels write words in big-endian order with these. */
static inline u32 be32(u32 value) { return value; }
static inline u64 be64(u64 value) { return value; }

#define NOINLINE __attribute__((noinline))
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct psw {
	u64 mask, address;
};

/* The prefix area as real addresses show it: that of the CPU at hand. */
struct lowcore {
	u8 pad_0[0x80];
	u32 external_parameter;
	u16 external_cpu, external_code;
	u16 svc_length, svc_code;
	u16 program_length, program_code;
	u32 data_exception_code;
	u8 pad_94[0xa8 - 0x94];
	u64 translation_exception;
	u8 pad_b0[0xb8 - 0xb0];
	u16 subchannel_id, subchannel_number;
	u32 io_parameter, io_word;
	u8 pad_c4[0x120 - 0xc4];
	struct psw restart_old, external_old, svc_old, program_old, machine_check_old, io_old;
	u8 pad_180[0x1a0 - 0x180];
	struct psw restart_new, external_new, svc_new, program_new, machine_check_new, io_new;
	u8 pad_200[0x300 - 0x200];
	/* ours */
	u64 stack, number;
	struct psw resume;
	u64 saved, pad_328;
	struct psw program_seen;
	u8 pad_340[0x2000 - 0x340];
};
extern volatile struct lowcore lowcore;
/* What else is there. */
#define LOWCORE(type, offset) (*(volatile type *)((volatile u8 *)&lowcore + (offset)))

#define read_cr(number) \
	({ u64 value_; asm volatile("stctg " #number "," #number ",%0" : "=Q"(value_) : : "memory"); value_; })
#define write_cr(number, value) \
	({ u64 value_ = (value); asm volatile("lctlg " #number "," #number ",%0" : : "Q"(value_) : "memory"); })

/*
 * Executes an instruction that may end in a program interruption, of which the code is the answer, 0 for none. Operands as in `asm`, of which the
 * first is %0; registers 0 and 1 are not for them.
 */
#define program_code_of(instruction, ...) \
	({ \
		lowcore.program_code = 0; \
		asm volatile("larl 1,1f\n\tstg 1,0x318\n\t" instruction "\n1:\txc 0x318(8),0x318" : : __VA_ARGS__ : "0", "1", "cc", "memory"); \
		lowcore.program_code; \
	})

/* ---- console (sclp.c, console.c) ---- */

/* Issues a command and waits for the service signal. The condition code, or the response code of the block. */
u32 sclp(u32 command, void *block);
/* Which consoles there are: bits of EVENT_MASK that SCLP receives. */
u32 sclp_receives(void);
/* What SCLP sends, and this guest wants: from now on its service signals tell of them. */
void sclp_listen(u32 events);
/* Reads one SCCB full of events into `block`, of 4096 bytes; 0, or the response code. */
u32 sclp_read_events(u8 *block);
/* Service signals that told of events. */
extern volatile u32 sclp_events_pending;

void put(const char *text);
void put_number(u64 value);
void put_hex(u64 value, unsigned digits);
/* text, number, newline */
void say(const char *text, u64 value);
/* One line on the operator's console, in line mode. The response code. */
u32 put_operator(const char *text);
u8 to_ebcdic(char character);
char from_ebcdic(u8 character);

/* The command line; a number that is all of it, or `otherwise`. */
extern const char loaded_command_line[];
extern const u64 initrd_address, initrd_size;
u64 command_line_number(u64 otherwise);

void *memcpy(void *to, const void *from, unsigned long bytes);
void *memset(void *at, int value, unsigned long bytes);

/* ---- CPUs (cpu.c) ---- */

_Noreturn void power_off(void);
_Noreturn void crash(void);
/* The condition code; with 1, *status has the status. */
unsigned sigp(unsigned cpu, unsigned order, u64 parameter, u32 *status);
unsigned cpu_address(void);
void prepare_cpu(unsigned number);
/* Gives a CPU a prefix area and restarts it in main_of(its number); it stops when that returns. 0, or a condition code. */
unsigned start_cpu(unsigned cpu, void (*main_of)(unsigned));
_Noreturn void stop_self(void);

/* ---- interrupts (cpu.c) ---- */

/* What external and I/O interrupts do beside what the library does. */
extern void (*volatile external_handler)(u16 code);
extern void (*volatile io_handler)(u16 subchannel);
/* Enabled for `classes` (PSW_EXTERNAL, PSW_IO) until one interrupt has been taken. */
void wait_for(u64 classes);
static inline void enable(u64 classes)
{
	u8 mask = 3 & (classes >> 56);
	asm volatile("ssm %0" : : "Q"(mask) : "memory");
}
static inline void disable(void) { enable(0); }

static inline u64 tod(void)
{
	u64 value;
	asm volatile("stck %0" : "=Q"(value) : : "cc");
	return value;
}
static inline void set_clock_comparator(u64 value) { asm volatile("sckc %0" : : "Q"(value)); }
static inline void set_cpu_timer(u64 value) { asm volatile("spt %0" : : "Q"(value)); }

void guest_main(void);
