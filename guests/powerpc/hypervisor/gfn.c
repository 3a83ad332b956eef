/* The frames of guest memory: whose each is, and which page of ours it has. */
#include "hypervisor.h"

/* A symbol of the ELF file, so that a debugger or a test finds the books. */
struct {
  u64 ra; /* our page; 0 where there is none */
  enum gfn_state state;
} gfns[GFNS];

enum gfn_state gfn_state(u64 gfn)
{
  return gfns[gfn].state;
}

u64 gfn_page(u64 gfn)
{
  return gfns[gfn].ra;
}

/* Only what is normal is in our tree: a secure guest runs on the Ultravisor's. */
void gfn_set(u64 gfn, enum gfn_state state, u64 ra)
{
  gfns[gfn].state = state;
  gfns[gfn].ra = ra;
  if (state == GFN_NORMAL)
    partition_map(gfn, ra);
  else
    partition_unmap(gfn);
}

/* The real address of a guest page that is not secret; 0 for all others. */
u64 gfn_readable_page(u64 gfn)
{
  return gfn < GFNS && (gfns[gfn].state == GFN_NORMAL || gfns[gfn].state == GFN_SHARED) ? gfns[gfn].ra : 0;
}

/* All of it lies in frames that are normal. */
void copy_to_guest(u64 gpa, const void *from, u64 bytes)
{
  const u8 *next = from;
  while (bytes > 0) {
    u64 offset = gpa % PAGE_BYTES;
    u64 now = bytes < PAGE_BYTES - offset ? bytes : PAGE_BYTES - offset;
    u8 *to = (u8 *)gfns[gpa >> PAGE_ORDER].ra + offset;
    for (u64 i = 0; i < now; i++)
      to[i] = next[i];
    gpa += now;
    next += now;
    bytes -= now;
  }
}
