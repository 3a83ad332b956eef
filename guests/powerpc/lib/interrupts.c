/* The interrupt vectors, and the C functions behind them. */
#include "lib.h"
#include "layout.h"

struct cpu {
  struct interrupt_frame frame;
  u64 entry, stack, toc; /* what `interrupt_entry` goes on with */
};

#define OFFSET(member) __builtin_offsetof(struct cpu, member)
_Static_assert(OFFSET(frame.gpr[31]) == FRAME_GPR(31), "FRAME_GPR");
_Static_assert(OFFSET(frame.lr) == FRAME_LR && OFFSET(frame.ctr) == FRAME_CTR, "FRAME_LR, FRAME_CTR");
_Static_assert(OFFSET(frame.xer) == FRAME_XER && OFFSET(frame.cr) == FRAME_CR, "FRAME_XER, FRAME_CR");
_Static_assert(OFFSET(frame.srr0) == FRAME_SRR0 && OFFSET(frame.srr1) == FRAME_SRR1, "FRAME_SRR0, FRAME_SRR1");
_Static_assert(OFFSET(frame.dar) == FRAME_DAR && OFFSET(frame.dsisr) == FRAME_DSISR, "FRAME_DAR, FRAME_DSISR");
_Static_assert(OFFSET(frame.vector) == FRAME_VECTOR && OFFSET(entry) == CPU_ENTRY, "FRAME_VECTOR, CPU_ENTRY");
_Static_assert(OFFSET(stack) == CPU_STACK && OFFSET(toc) == CPU_TOC, "CPU_STACK, CPU_TOC");

extern const u32 vector_code[3], shared_vector_code[], shared_vector_code_end[];
void interrupt_entry(void);
void dispatch_interrupt(struct interrupt_frame *frame);

static struct cpu cpus[MOST_CPUS];
static u8 interrupt_stacks[MOST_CPUS][INTERRUPT_STACK_BYTES] __attribute__((aligned(16)));
static interrupt_handler handlers[SHARED_VECTOR_CODE / VECTOR_STEP];

void handle_interrupt(u64 vector, interrupt_handler handler)
{
  handlers[vector / VECTOR_STEP] = handler;
}

static void print_register(const char *name, u64 value)
{
  print(name);
  print_hexadecimal(value, 16);
}

void dispatch_interrupt(struct interrupt_frame *frame)
{
  interrupt_handler handler = handlers[frame->vector / VECTOR_STEP];
  if (handler) {
    handler(frame);
    return;
  }
  print_register("unexpected interrupt 0x", frame->vector);
  print_register(" at 0x", frame->srr0 - boot.base);
  print_register(" SRR1 0x", frame->srr1);
  print_register(" DAR 0x", frame->dar);
  print("\n");
  power_off();
}

/*
 * Where no Ultravisor takes `sc 2`, the hypervisor answers U_FUNCTION; QEMU's TCG raises a system call interrupt in the
 * guest instead, and this gives the same answer.
 */
static void answer_ultracall(struct interrupt_frame *frame)
{
  frame->gpr[3] = U_FUNCTION;
}

static u32 branch_and_link(u64 from, u64 to)
{
  return 0x48000001 | ((to - from) & 0x03fffffc);
}

static void fill_vectors(void)
{
  for (u64 vector = FIRST_VECTOR; vector < SHARED_VECTOR_CODE; vector += VECTOR_STEP) {
    u32 *code = (u32 *)vector;
    code[0] = vector_code[0];
    code[1] = vector_code[1];
    code[2] = branch_and_link(vector + 8, SHARED_VECTOR_CODE);
  }
  u32 *to = (u32 *)SHARED_VECTOR_CODE;
  for (const u32 *from = shared_vector_code; from < shared_vector_code_end; from++)
    *to++ = *from;
  synchronize_code((void *)FIRST_VECTOR, (u64)to - FIRST_VECTOR);
}

void install_interrupts(u64 index)
{
  struct cpu *cpu = &cpus[index];
  cpu->entry = (u64)interrupt_entry;
  cpu->stack = (u64)interrupt_stacks[index] + INTERRUPT_STACK_BYTES - FRAME_BYTES;
  asm volatile("mr %0,2" : "=r"(cpu->toc));
  mtspr(SPR_SPRG1, cpu);
  if (index > 0)
    return;
  boot.client = 0;
  if (handlers[VECTOR_SYSCALL / VECTOR_STEP] == 0)
    handle_interrupt(VECTOR_SYSCALL, answer_ultracall);
  fill_vectors();
  hypercall(H_SET_MODE, H_SET_MODE_LITTLE, H_SET_MODE_LE, 0, 0);
}
