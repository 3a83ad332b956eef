/*
 * The hypervisor's half of a secure VM: which page is whose, and the calls by which the Ultravisor moves them. States and
 * transitions of guest pages and of the VM are those of Linux commit 651a6310111e ("Track the state GFNs ...").
 */
#include "hypervisor.h"

enum gfn_state {
  GFN_NORMAL,    /* in our page, readable by us */
  GFN_SECURE,    /* the Ultravisor has it, and we have no page for it */
  GFN_PAGED_OUT, /* the Ultravisor's too, but our page keeps the ciphertext */
  GFN_SHARED,    /* in our page, by the guest's leave */
};

enum vm_state { VM_NORMAL, VM_TRANSIENT, VM_SECURE };

static struct {
  u64 ra; /* our page; 0 where there is none */
  enum gfn_state state;
} gfns[GFNS];

static enum vm_state vm;

static void set(u64 gfn, enum gfn_state state, u64 ra)
{
  gfns[gfn].state = state;
  gfns[gfn].ra = ra;
  if (state == GFN_NORMAL)
    partition_map(gfn, ra);
  else
    partition_unmap(gfn);
}

void gfn_init(u64 gfn, u64 ra)
{
  set(gfn, GFN_NORMAL, ra);
}

/* The real address of a guest page that is not secret; 0 for all others. */
u64 gfn_readable_page(u64 gfn)
{
  return gfn < GFNS && (gfns[gfn].state == GFN_NORMAL || gfns[gfn].state == GFN_SHARED) ? gfns[gfn].ra : 0;
}

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
  u64 ra = gfns[gfn].state == GFN_SECURE ? allocate_page() : gfns[gfn].ra;
  if (uv_page_in(gfn, ra) == U_SUCCESS) {
    set(gfn, GFN_SHARED, ra);
    return H_SUCCESS;
  }
  if (gfns[gfn].state == GFN_SECURE)
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
  if (gfns[gfn].state == GFN_SECURE || uv_page_in(gfn, gfns[gfn].ra) != U_SUCCESS)
    return H_PARAMETER;
  free_page(gfns[gfn].ra);
  set(gfn, GFN_SECURE, 0);
  return H_SUCCESS;
}

/* A page that is not in secure memory has nowhere to go, which is no error. */
s64 svm_page_out(u64 gpa, u64 flags, u64 order)
{
  u64 gfn = gpa >> PAGE_ORDER;
  s64 status = check_page(gpa, flags, 0, order);
  if (status != H_SUCCESS || gfns[gfn].state != GFN_SECURE)
    return status;
  u64 ra = allocate_page();
  if (uv_page_out(gfn, ra) != U_SUCCESS) {
    free_page(ra);
    return H_PARAMETER;
  }
  set(gfn, GFN_PAGED_OUT, ra);
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
    if (gfns[gfn].state == GFN_NORMAL) {
      free_page(gfns[gfn].ra);
      set(gfn, GFN_SECURE, 0);
    }
  vm = VM_SECURE;
  return H_SUCCESS;
}

/*
 * The guest stays normal and goes on where it asked. Its pages come back: the Ultravisor returns what it was given, since
 * nothing in it is secret yet.
 */
s64 svm_init_abort(void)
{
  if (vm == VM_NORMAL)
    return H_UNSUPPORTED;
  if (vm == VM_SECURE)
    return H_STATE;
  for (u64 gfn = 0; gfn < GFNS; gfn++) {
    u64 ra = gfns[gfn].state == GFN_SECURE ? allocate_page() : gfns[gfn].ra;
    if (gfns[gfn].state == GFN_SECURE)
      uv_page_out(gfn, ra);
    set(gfn, GFN_NORMAL, ra);
  }
  ultracall(UV_SVM_TERMINATE, GUEST_LPID, 0, 0, 0, 0);
  vm = VM_NORMAL;
  return H_PARAMETER;
}
