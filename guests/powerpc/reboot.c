/*
 * A guest that reboots twice. What it knows of the boot before lies outside its image: a count in a page that it shares
 * with the host where it is secure, and a pattern in a page that it keeps to itself. A normal VM finds both again; of a
 * secure one nothing is left but what was shared.
 */
#include "lib/lib.h"

#define BOOTS 3
#define COUNT_PAGE 0xc00000UL
#define SECRET_PAGE 0xc10000UL
#define SECRET 0x5ec2e75ec2e75ec2

struct count {
  u64 magic, boots;
};
#define MAGIC 0xb0075b0075b0075b

/* What the start as a normal VM found, kept for the one as a secure VM. */
static u64 found[PAGE_BYTES / 8] KEPT_PAGES;

static void look_around(void)
{
  const volatile struct count *count = (const volatile struct count *)COUNT_PAGE;
  const volatile u64 *secret = (const volatile u64 *)SECRET_PAGE;
  found[0] = count->magic == MAGIC ? count->boots + 1 : 1;
  print("boot ");
  print_decimal(found[0]);
  print(*secret == SECRET ? ": memory is as it was left\n" : *secret == 0 ? ": memory is empty\n" : ": memory is garbled\n");
}

static void leave_traces(void)
{
  volatile struct count *count = (volatile struct count *)COUNT_PAGE;
  count->magic = MAGIC;
  count->boots = found[0];
  *(volatile u64 *)SECRET_PAGE = SECRET;
}

int main(void)
{
  if (!is_secure())
    look_around();
  become_secure();
  if (is_secure() && ultracall(UV_SHARE_PAGE, COUNT_PAGE / PAGE_BYTES, 1) != U_SUCCESS) {
    print("the page cannot be shared\n");
    return 0;
  }
  print(is_secure() ? "running as a secure VM\n" : "running as a normal VM\n");
  leave_traces();
  if (found[0] == BOOTS)
    return 0;
  flush_console();
  s64 status = rtas(RTAS_SYSTEM_REBOOT, 0, 1, 0, 0);
  print("system-reboot came back: ");
  print_decimal(status);
  print("\n");
  return 1;
}
