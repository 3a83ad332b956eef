/*
 * The hypervisor's half of a secure VM: which page is whose, and the calls by which the Ultravisor moves them. States and
 * transitions of guest pages and of the VM are those of Linux commit 651a6310111e ("Track the state GFNs ...").
 */
#include "hypervisor.h"

enum vm_state { VM_NORMAL, VM_TRANSIENT, VM_SECURE };

static enum vm_state vm;

static s64 uv_page_in(u64 gfn, u64 ra)
{
  return ultracall(UV_PAGE_IN, GUEST_LPID, ra, gfn << PAGE_ORDER, 0, PAGE_ORDER);
}

static s64 uv_page_out(u64 gfn, u64 ra)
{
  return ultracall(UV_PAGE_OUT, GUEST_LPID, ra, gfn << PAGE_ORDER, 0, PAGE_ORDER);
}

/* The arguments that H_SVM_PAGE_IN and H_SVM_PAGE_OUT have in common; `flags` are those that are known. */
static s64 check_page(u64 gpa, u64 flags, u64 known, u64 order)
{
  if (vm == VM_NORMAL)
    return H_UNSUPPORTED;
  if (flags & ~known)
    return H_P2;
  if (order != PAGE_ORDER)
    return H_P3;
  return gpa % PAGE_BYTES == 0 && gpa < GUEST_BYTES ? H_SUCCESS : H_PARAMETER;
}

/* The guest shares a page: it gets one of ours. A secure page has none yet, and what it gets must not be its old one. */
static s64 share(u64 gfn)
{
  u64 ra = gfn_state(gfn) == GFN_SECURE ? allocate_page() : gfn_page(gfn);
  if (uv_page_in(gfn, ra) == U_SUCCESS) {
    gfn_set(gfn, GFN_SHARED, ra);
    return H_SUCCESS;
  }
  if (gfn_state(gfn) == GFN_SECURE)
    free_page(ra);
  return H_PARAMETER;
}

s64 svm_page_in(u64 gpa, u64 flags, u64 order)
{
  u64 gfn = gpa >> PAGE_ORDER;
  s64 status = check_page(gpa, flags, H_PAGE_IN_SHARED, order);
  if (status != H_SUCCESS)
    return status;
  if (flags & H_PAGE_IN_SHARED)
    return share(gfn);
  if (gfn_state(gfn) == GFN_SECURE || uv_page_in(gfn, gfn_page(gfn)) != U_SUCCESS)
    return H_PARAMETER;
  free_page(gfn_page(gfn));
  gfn_set(gfn, GFN_SECURE, 0);
  return H_SUCCESS;
}

/* A page that is not in secure memory has nowhere to go, which is no error. */
s64 svm_page_out(u64 gpa, u64 flags, u64 order)
{
  u64 gfn = gpa >> PAGE_ORDER;
  s64 status = check_page(gpa, flags, 0, order);
  if (status != H_SUCCESS || gfn_state(gfn) != GFN_SECURE)
    return status;
  u64 ra = allocate_page();
  if (uv_page_out(gfn, ra) != U_SUCCESS) {
    free_page(ra);
    return H_PARAMETER;
  }
  gfn_set(gfn, GFN_PAGED_OUT, ra);
  return H_SUCCESS;
}

s64 svm_init_start(void)
{
  if (vm != VM_NORMAL)
    return H_STATE;
  if (ultracall(UV_REGISTER_MEM_SLOT, GUEST_LPID, 0, GUEST_BYTES, 0, 0) != U_SUCCESS)
    return H_PARAMETER;
  vm = VM_TRANSIENT;
  return H_SUCCESS;
}

/* What the Ultravisor has not asked for by now goes over without its contents. */
s64 svm_init_done(void)
{
  if (vm != VM_TRANSIENT)
    return H_UNSUPPORTED;
  for (u64 gfn = 0; gfn < GFNS; gfn++)
    if (gfn_state(gfn) == GFN_NORMAL) {
      free_page(gfn_page(gfn));
      gfn_set(gfn, GFN_SECURE, 0);
    }
  vm = VM_SECURE;
  return H_SUCCESS;
}

/* What a frame held when it was normal, in a page of ours: the Ultravisor gives back what it was given. 0 if it does not. */
static u64 given_back(u64 gfn)
{
  u64 ra = gfn_page(gfn);
  if (gfn_state(gfn) == GFN_SECURE)
    ra = allocate_page();
  else if (uv_page_in(gfn, ra) != U_SUCCESS)
    return 0;
  return uv_page_out(gfn, ra) == U_SUCCESS ? ra : 0;
}

static void back_to_normal(u64 gfn)
{
  u64 ra = gfn_state(gfn) == GFN_SHARED ? gfn_page(gfn) : given_back(gfn);
  gfn_set(gfn, GFN_NORMAL, ra ? ra : allocate_zero_page());
}

/*
 * The guest stays normal and goes on where it asked. Its pages come back: the Ultravisor returns what it was given, since
 * nothing in it is secret yet. First those that are in secure memory, so that it has room to decrypt the others.
 */
s64 svm_init_abort(void)
{
  if (vm == VM_NORMAL)
    return H_UNSUPPORTED;
  if (vm == VM_SECURE)
    return H_STATE;
  for (u64 gfn = 0; gfn < GFNS; gfn++)
    if (gfn_state(gfn) == GFN_SECURE)
      back_to_normal(gfn);
  for (u64 gfn = 0; gfn < GFNS; gfn++)
    if (gfn_state(gfn) != GFN_NORMAL)
      back_to_normal(gfn);
  ultracall(UV_SVM_TERMINATE, GUEST_LPID, 0, 0, 0, 0);
  vm = VM_NORMAL;
  return H_PARAMETER;
}

/* The guest touched a page that we had the Ultravisor forget. Whether it has it again. */
int svm_shared_fault(u64 gpa)
{
  u64 gfn = gpa >> PAGE_ORDER;
  return gfn < GFNS && gfn_state(gfn) == GFN_SHARED && uv_page_in(gfn, gfn_page(gfn)) == U_SUCCESS;
}

/* Moves the next shared page elsewhere, as a host does that makes room; the guest does not notice. */
void svm_move_shared_page(void)
{
  static u64 last;
  u64 gfn = last;
  do {
    gfn = (gfn + 1) % GFNS;
    if (gfn == last)
      return;
  } while (gfn_state(gfn) != GFN_SHARED);
  last = gfn;
  if (ultracall(UV_PAGE_INVAL, GUEST_LPID, gfn << PAGE_ORDER, PAGE_ORDER, 0, 0) != U_SUCCESS)
    return;
  u64 old = gfn_page(gfn), ra = allocate_page();
  for (u64 i = 0; i < PAGE_BYTES / sizeof(u64); i++)
    ((u64 *)ra)[i] = ((u64 *)old)[i];
  gfn_set(gfn, GFN_SHARED, ra);
  free_page(old);
}

/*
 * Ends the secure VM, as KVM_PPC_SVM_OFF does: nothing of it is left but what it shared, and all pages of ours that it had are
 * ours again, to begin anew with.
 */
void svm_off(void)
{
  if (vm == VM_NORMAL)
    return;
  ultracall(UV_UNREGISTER_MEM_SLOT, GUEST_LPID, 0, 0, 0, 0);
  s64 status = ultracall(UV_SVM_TERMINATE, GUEST_LPID, 0, 0, 0, 0);
  if (status != U_SUCCESS)
    panic("UV_SVM_TERMINATE answered", status);
  for (u64 gfn = 0; gfn < GFNS; gfn++) {
    enum gfn_state state = gfn_state(gfn);
    if (state == GFN_PAGED_OUT)
      clear(gfn_page(gfn), gfn_page(gfn) + PAGE_BYTES);
    gfn_set(gfn, GFN_NORMAL, state == GFN_SECURE ? allocate_zero_page() : gfn_page(gfn));
  }
  partition_write();
  vm = VM_NORMAL;
}
