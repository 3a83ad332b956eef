/* Exits of the guest: from the interrupt to the way back. */
#include "cpu.h"

_Static_assert(__builtin_offsetof(struct vcpu, gpr[31]) == VCPU_GPR(31), "VCPU_GPR");
_Static_assert(__builtin_offsetof(struct vcpu, lr) == VCPU_LR, "VCPU_LR");
_Static_assert(__builtin_offsetof(struct vcpu, ctr) == VCPU_CTR, "VCPU_CTR");
_Static_assert(__builtin_offsetof(struct vcpu, xer) == VCPU_XER, "VCPU_XER");
_Static_assert(__builtin_offsetof(struct vcpu, cr) == VCPU_CR, "VCPU_CR");
_Static_assert(__builtin_offsetof(struct vcpu, srr0) == VCPU_SRR0, "VCPU_SRR0");
_Static_assert(__builtin_offsetof(struct vcpu, srr1) == VCPU_SRR1, "VCPU_SRR1");
_Static_assert(__builtin_offsetof(struct vcpu, hsrr0) == VCPU_HSRR0, "VCPU_HSRR0");
_Static_assert(__builtin_offsetof(struct vcpu, hsrr1) == VCPU_HSRR1, "VCPU_HSRR1");
_Static_assert(__builtin_offsetof(struct vcpu, vector) == VCPU_VECTOR, "VCPU_VECTOR");

/* What of ASDR is an address; the rest is that of the page. */
#define ASDR_ADDRESS 0x0ffffffffffff000

/* Whether an interrupt says in HSRR0 and HSRR1, and not in SRR0 and SRR1, what it interrupted. */
static int uses_hsrr(u64 vector)
{
  return vector == VECTOR_EXTERNAL || vector == VECTOR_HDEC || (vector >= 0xe00 && vector < 0xf00) || vector == 0xf80 ||
         vector == 0x1500;
}

/*
 * A secure guest is resumed by the Ultravisor, which knows it by the cookie in R31, and by HSRR0 still being as it was
 * that nothing is to be injected. Only the Ultravisor can set MSR[S].
 */
static int leave_secure(struct vcpu *vcpu, s64 result)
{
  vcpu->gpr[0] = result;
  vcpu->gpr[2] = 0;
  vcpu->gpr[3] = UV_RETURN;
  return LEAVE_BY_UV_RETURN;
}

static int leave_normal(struct vcpu *vcpu, u64 nia, u64 msr)
{
  vcpu->hsrr0 = nia;
  vcpu->hsrr1 = msr & ~(u64)SRR1_STATUS;
  return LEAVE_BY_HRFID;
}

/* LPES=1 and HDICE=0 keep these two from us; should one come, there is nothing to do but to go on. */
static int ignore(struct vcpu *vcpu)
{
  if (vcpu->vector == VECTOR_HDEC)
    mtspr(SPR_HDEC, 0x7fffffff);
  return vcpu->hsrr1 & MSR_S ? leave_secure(vcpu, 0) : leave_normal(vcpu, vcpu->hsrr0, vcpu->hsrr1);
}

/* A secure guest touched a page that it shared, and that moved. Only that brings one here. */
static int storage_fault(struct vcpu *vcpu)
{
  u64 gpa = mfspr(SPR_ASDR) & ASDR_ADDRESS;
  if (!(vcpu->hsrr1 & MSR_S) || !svm_shared_fault(gpa))
    panic("unexpected storage fault, guest address", gpa);
  return leave_secure(vcpu, 0);
}

int handle_exit(struct vcpu *vcpu)
{
  u64 nia = uses_hsrr(vcpu->vector) ? vcpu->hsrr0 : vcpu->srr0;
  u64 msr = uses_hsrr(vcpu->vector) ? vcpu->hsrr1 : vcpu->srr1;
  if (msr & MSR_HV)
    panic("interrupted itself, vector and address", vcpu->vector << 48 | nia);
  if (vcpu->vector == VECTOR_EXTERNAL || vcpu->vector == VECTOR_HDEC)
    return ignore(vcpu);
  if (vcpu->vector == VECTOR_HV_DATA_STORAGE)
    return storage_fault(vcpu);
  if (vcpu->vector != VECTOR_SYSCALL)
    panic("unexpected exit, vector and address", vcpu->vector << 48 | nia);

  s64 result = hypercall(vcpu);
  if (result == REBOOT) {
    start_guest();
    return LEAVE_BY_HRFID;
  }
  if (msr & MSR_S)
    return leave_secure(vcpu, result);
  vcpu->gpr[3] = result;
  return leave_normal(vcpu, nia, vcpu->srr1); /* H_CEDE changes it */
}

void uv_return_refused(s64 status)
{
  panic("UV_RETURN answered", status);
}
