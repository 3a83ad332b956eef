/*
 * What the parts of the hypervisor know of each other. It runs one guest with one virtual CPU and 16 MiB of memory, in
 * real mode, big-endian, at HV=1, S=0. It never enables interrupts for itself, and works only when the guest has exited.
 */
#ifndef HYPERVISOR_H
#define HYPERVISOR_H

#include "pef.h"

/* Offsets in `struct vcpu`, for the assembler; exit.c checks them. */
#define VCPU_GPR(n) ((n) * 8)
#define VCPU_LR 256
#define VCPU_CTR 264
#define VCPU_XER 272
#define VCPU_CR 280
#define VCPU_SRR0 288
#define VCPU_SRR1 296
#define VCPU_HSRR0 304
#define VCPU_HSRR1 312
#define VCPU_VECTOR 320

#define LEAVE_BY_HRFID 0
#define LEAVE_BY_UV_RETURN 1

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

#define GUEST_LPID 1
#define GUEST_BYTES 0x1000000
#define GUEST_FDT 0x100000
#define GUEST_RTAS 0x110000
#define GFNS (GUEST_BYTES / PAGE_BYTES)

/* The registers of the guest while the hypervisor runs: what it found at the exit, and what it will leave with. */
struct vcpu {
  u64 gpr[32];
  u64 lr, ctr, xer, cr;
  u64 srr0, srr1, hsrr0, hsrr1;
  u64 vector;
};

/* Real addresses from `start` up to, but not including, `end`. */
struct range {
  u64 start, end;
};

/* What the host's device tree says. */
struct host {
  struct range memory;
  struct range initrd;
  /* The ESM blob of the guest; empty if there is none. */
  struct range esm_blob;
  const char *bootargs;
  int has_ultravisor;
};

/* entry.S */
struct opal {
  u64 base, entry;
};
extern struct opal opal;
extern struct vcpu vcpu;
extern u8 image_end[];
s64 opal_call(u64 token, u64 r3, u64 r4, u64 r5);
s64 ultracall(u64 number, u64 r4, u64 r5, u64 r6, u64 r7, u64 r8);

/* opal.c */
void console_write(const void *characters, u64 length);
void power_down(void) __attribute__((noreturn));
void panic(const char *reason, u64 number) __attribute__((noreturn));

/* memory.c */
void memory_init(struct range all);
void clear(u64 start, u64 end);
void reserve(u64 start, u64 end);
u64 allocate(u64 bytes, u64 alignment);
u64 allocate_page(void);
u64 allocate_zero_page(void);
void free_page(u64 ra);

/* fdt.c */
void read_host_tree(const void *fdt, struct host *host);

/* archive.c */
void guest_files(struct range file, struct range *kernel, struct range *initrd);

/* guest_tree.c */
void set_tree_number(void *tree, const char *name, u64 value);
void set_tree_string(void *tree, const char *name, const char *text);
void drop_tree_property(void *tree, const char *name);

/* elf.c */
void load_elf(struct range file);

/* partition.c */
void partition_init(int has_ultravisor);
void partition_write(void);
void partition_little_endian_interrupts(int on);
void partition_map(u64 gfn, u64 ra);
void partition_unmap(u64 gfn);

/* gfn.c */
enum gfn_state {
  GFN_NORMAL,    /* in our page, readable by us */
  GFN_SECURE,    /* the Ultravisor has it, and we have no page for it */
  GFN_PAGED_OUT, /* the Ultravisor's too, but our page keeps the ciphertext */
  GFN_SHARED,    /* in our page, by the guest's leave */
};
enum gfn_state gfn_state(u64 gfn);
u64 gfn_page(u64 gfn);
void gfn_set(u64 gfn, enum gfn_state state, u64 ra);
u64 gfn_readable_page(u64 gfn);
void copy_to_guest(u64 gpa, const void *from, u64 bytes);

/* svm.c */
s64 svm_page_in(u64 gpa, u64 flags, u64 order);
s64 svm_page_out(u64 gpa, u64 flags, u64 order);
s64 svm_init_start(void);
s64 svm_init_done(void);
s64 svm_init_abort(void);
int svm_shared_fault(u64 gpa);
void svm_move_shared_page(void);
void svm_off(void);

/* main.c */
void start_guest(void);

/* hcall.c; REBOOT is no status of a hypercall: the guest is to begin anew */
#define REBOOT 0x100000000
s64 hypercall(struct vcpu *vcpu);

/* Called by entry.S: main.c, exit.c. `handle_exit` gives one of LEAVE_BY_... */
void hypervisor_main(const void *fdt, u64 opal_base, u64 opal_entry);
int handle_exit(struct vcpu *vcpu);
void uv_return_refused(s64 status) __attribute__((noreturn));

#endif
#endif
