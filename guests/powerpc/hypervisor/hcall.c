/* The hypercalls of the guest, and those of the Ultravisor in the guest's name. */
#include "cpu.h"

#define DARN_RETRIES 64
#define RTAS_HEADER_BYTES 12
#define RTAS_ARGUMENTS 16

/* Page-out as under memory pressure: after this many console calls of a secure guest, this page of it. */
#define PRESSURE_AFTER 3
#define PRESSURE_GPA (KERNEL_BASE + PAGE_BYTES)
/* One shared page of a secure guest moves elsewhere at each console call that this divides. */
#define MOVE_EVERY 4

struct rtas_arguments {
  u32 token, nargs, nret, args[RTAS_ARGUMENTS];
};

static int secure_console_calls;

/* A piece of guest memory that we may read and write, within one page; 0 if there is none. */
static void *guest_memory(u64 gpa, u64 bytes)
{
  u64 page = gfn_readable_page(gpa >> PAGE_ORDER);
  u64 offset = gpa % PAGE_BYTES;
  return page != 0 && offset + bytes <= PAGE_BYTES ? (void *)(page + offset) : 0;
}

static s64 put_term_char(struct vcpu *vcpu)
{
  u64 length = vcpu->gpr[5];
  if (vcpu->gpr[4] != VTERM || length > VTERM_CHARS)
    return H_PARAMETER;
  console_write(&vcpu->gpr[6], length); /* R6 and R7, as they lie in memory */
  if (!(vcpu->srr1 & MSR_S))
    return H_SUCCESS;
  if (++secure_console_calls == PRESSURE_AFTER)
    svm_page_out(PRESSURE_GPA, 0, PAGE_ORDER);
  if (secure_console_calls % MOVE_EVERY == 0)
    svm_move_shared_page();
  return H_SUCCESS;
}

static s64 random(struct vcpu *vcpu)
{
  for (int i = 0; i < DARN_RETRIES; i++) {
    u64 value = darn();
    if (value != ~0UL) {
      vcpu->gpr[4] = value;
      return H_SUCCESS;
    }
  }
  return H_HARDWARE;
}

/* The byte order of the guest's interrupts. The Ultravisor sees to that of a secure one itself. */
static s64 set_mode(const u64 *gpr)
{
  if (gpr[5] != H_SET_MODE_LE)
    return H_P2;
  if (gpr[6] != 0 || gpr[7] != 0)
    return gpr[6] != 0 ? H_P3 : H_P4;
  if (gpr[4] > H_SET_MODE_LITTLE)
    return H_UNSUPPORTED_FLAG_START;
  partition_little_endian_interrupts(gpr[4]);
  return H_SUCCESS;
}

/* The guest sleeps until its decrementer is due: it has nothing else to wait for. */
static s64 cede(struct vcpu *vcpu)
{
  while ((s64)mfspr(SPR_DEC) >= 0)
    ;
  vcpu->srr1 |= MSR_EE;
  return H_SUCCESS;
}

/* Power-off ends the machine, and reboot the guest. The Ultravisor stops a guest that it gives up by ibm,os-term. */
static s64 rtas(u64 gpa)
{
  struct rtas_arguments *block = guest_memory(gpa, RTAS_HEADER_BYTES);
  if (block == 0)
    return H_PARAMETER;
  u32 token = block->token, nargs = block->nargs, nret = block->nret;
  if (nret == 0 || nargs >= RTAS_ARGUMENTS || nret > RTAS_ARGUMENTS - nargs)
    return H_PARAMETER;
  if (guest_memory(gpa, RTAS_HEADER_BYTES + 4 * (nargs + nret)) == 0)
    return H_PARAMETER;
  if (token == RTAS_POWER_OFF || token == RTAS_SYSTEM_REBOOT || token == RTAS_OS_TERM) {
    u64 message = block->args[0];
    svm_off();
    if (token == RTAS_POWER_OFF)
      power_down();
    if (token == RTAS_OS_TERM)
      panic("the guest was stopped by ibm,os-term, message at", message);
    return REBOOT;
  }
  block->args[nargs] = RTAS_PARAMETER;
  return H_PARAMETER;
}

/* Calls that only the Ultravisor may make show its state at the exit. H_SVM_INIT_ABORT shows the guest's. */
static s64 ultravisor_call(struct vcpu *vcpu)
{
  const u64 *gpr = vcpu->gpr;
  if (!(vcpu->srr1 & MSR_S))
    return H_UNSUPPORTED;
  switch (gpr[3]) {
  case H_SVM_PAGE_IN:
    return svm_page_in(gpr[4], gpr[5], gpr[6]);
  case H_SVM_PAGE_OUT:
    return svm_page_out(gpr[4], gpr[5], gpr[6]);
  case H_SVM_INIT_START:
    return svm_init_start();
  default:
    return svm_init_done();
  }
}

/* R3 of the caller, or REBOOT. Other results are put into its registers. */
s64 hypercall(struct vcpu *vcpu)
{
  if (vcpu->srr1 & SRR1_LEV2)
    return U_FUNCTION; /* an ultracall, on a machine without an Ultravisor */
  if (vcpu->srr1 & MSR_PR)
    return H_PRIVILEGE;
  switch (vcpu->gpr[3]) {
  case H_PUT_TERM_CHAR:
    return put_term_char(vcpu);
  case H_CEDE:
    return cede(vcpu);
  case H_PROD:
    return vcpu->gpr[4] == 0 ? H_SUCCESS : H_PARAMETER;
  case H_SET_MODE:
    return set_mode(vcpu->gpr);
  case H_RANDOM:
    return random(vcpu);
  case H_RTAS:
    return rtas(vcpu->gpr[4]);
  case H_SVM_PAGE_IN:
  case H_SVM_PAGE_OUT:
  case H_SVM_INIT_START:
  case H_SVM_INIT_DONE:
    return ultravisor_call(vcpu);
  case H_SVM_INIT_ABORT:
    return svm_init_abort();
  default:
    return H_FUNCTION;
  }
}
