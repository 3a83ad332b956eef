/*
 * What our C guests stand on: a start in either byte order, console, hypercalls, interrupts, the device tree.
 * A guest defines `main` and is turned off when it returns.
 */
#ifndef LIB_H
#define LIB_H

#include "pef.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed int s32;
typedef signed long s64;

#define NOINLINE __attribute__((noinline))
#define NORETURN __attribute__((noreturn))
/* For an object of as many bytes as whole 64 KiB pages have: lib.ld gives it pages of its own. */
#define WHOLE_PAGES __attribute__((section(".bss.page")))
/* The same for what a guest must find again when it begins anew as a secure one. */
#define KEPT_PAGES __attribute__((section(".bss.kept")))
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* How the guest was started; filled before `main` (entry.S relies on the order). */
struct boot {
  u64 base;   /* where the image lies */
  u64 client; /* the Open Firmware client interface, or 0 */
  u64 tree;   /* the flat device tree, or 0 */
};
extern struct boot boot;

int main(void);

/* ---- registers ---- */

#define mfspr(number) ({ u64 value_; asm volatile("mfspr %0,%1" : "=r"(value_) : "i"(number)); value_; })
#define mtspr(number, value) asm volatile("mtspr %0,%1" : : "i"(number), "r"(value) : "memory")

static inline u64 mfmsr(void)
{
  u64 value;
  asm volatile("mfmsr %0" : "=r"(value));
  return value;
}

static inline void mtmsrd(u64 value)
{
  asm volatile("mtmsrd %0\n\tisync" : : "r"(value) : "memory");
}

static inline int is_secure(void)
{
  return (mfmsr() & MSR_S) != 0;
}

/* ---- big-endian words ---- */

static inline u32 be32(u32 value)
{
  return __builtin_bswap32(value);
}

static inline u64 be64(u64 value)
{
  return __builtin_bswap64(value);
}

/* ---- calls (calls.S, rtas.c) ---- */

/* The answer is R3. */
s64 hypercall(u64 number, u64 r4, u64 r5, u64 r6, u64 r7);
/* Gives R3-R12 to a hypercall and has what it left there in their place. */
void hypercall_registers(u64 registers[10]);
s64 ultracall(u64 number, u64 r4, u64 r5);
/* The same for an ultracall. */
void ultracall_registers(u64 registers[10]);

/* ---- the files of the ESM blob (esmb_file.c) ---- */

/*
 * The file of that name of the blob which the guest was started from: up to `room` bytes of it go to `data`. How many it
 * has, or the negative code of UV_ESMB_GET_FILE. It can be read once.
 */
s64 esmb_file(const char *name, void *data, u64 room);

/* The status. Results after it go to `results`, of which there is room for nret - 1. */
s64 rtas(u32 token, u32 nargs, u32 nret, const u32 *args, u32 *results);
NORETURN void power_off(void);

/* Starts a CPU in `secondary_main`, with a stack of its own; `index` counts from 1 to MOST_CPUS - 1. */
s64 start_cpu(u32 id, u32 index);
NORETURN void stop_self(void);
void secondary_main(u64 index);

/* ---- console (console.c) ---- */

void put_character(char character);
void flush_console(void);
void print(const char *text);
void print_decimal(s64 number);
/* `digits` of them, the most significant first. */
void print_hexadecimal(u64 number, u32 digits);

/* ---- memory (memory.c) ---- */

void *memcpy(void *to, const void *from, u64 bytes);
void *memset(void *at, int value, u64 bytes);
int memcmp(const void *a, const void *b, u64 bytes);
u64 text_length(const char *text);
int same_text(const char *a, const char *b);

/* Makes the instructions in a range of memory visible to instruction fetch. */
void synchronize_code(const void *start, u64 bytes);

/* ---- interrupts (interrupts.c, vectors.S) ---- */

/* The interrupted state. A handler may change it. vectors.S knows the layout. */
struct interrupt_frame {
  u64 gpr[32];
  u64 lr, ctr, xer, cr;
  u64 srr0, srr1, dar, dsisr;
  u64 vector;
};

typedef void (*interrupt_handler)(struct interrupt_frame *frame);

/*
 * Asks for interrupts in little-endian mode and fills the vectors of guest memory. The client interface lies there too,
 * and is gone from then on. `index` is the CPU's; the first call must be CPU 0's.
 */
void install_interrupts(u64 index);
void handle_interrupt(u64 vector, interrupt_handler handler);

/* ---- secure.c ---- */

/*
 * Installs the interrupts and asks for secure mode, with the device tree of either start. Where it is granted, the guest
 * begins anew, comes here a second time, and goes on; where it is not, it goes on as a normal VM. The answer is that of
 * UV_ESM, U_SUCCESS in a secure VM.
 */
s64 become_secure(void);

/* ---- device tree (open_firmware.c, flatten.c, fdt.c) ---- */

/* A call of the client interface, with nargs 32-bit arguments behind nret. The first result, ~0u for an error. */
u32 client_call(const char *service, u32 nargs, u32 nret, ...);
/* RTAS in memory, as Linux's prom_init has it done, so that the flat tree tells of it. */
void instantiate_rtas(void);
/* The tree of the client interface as a flat tree: `boot.tree` from then on. Nothing to do where there is one already. */
void flatten_tree(void);

struct property {
  const u8 *value; /* 0 if there is none */
  u32 length;
};
struct property tree_property(const char *path, const char *name);
/* The number that the command line begins with, or `otherwise`. */
u64 command_line_number(u64 otherwise);
/* Numbers of the CPUs, in the order of the tree: how many there are, and up to `room` of them. */
u32 tree_cpus(u32 *ids, u32 room);
/* The command line: from the client interface if that is still there, else from the flat tree. Not longer than `room` - 1. */
void command_line(char *text, u32 room);

#endif
