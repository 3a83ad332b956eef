/* The Open Firmware client interface: a call is an array of big-endian 32-bit words. */
#include "lib.h"

#define MOST_CELLS 10

u64 enter_client(u64 entry, u64 arguments);

u32 client_call(const char *service, u32 nargs, u32 nret, ...)
{
  u32 call[3 + MOST_CELLS] = {be32((u64)service), be32(nargs), be32(nret)};
  __builtin_va_list values;
  if (boot.client == 0)
    return ~0u;
  __builtin_va_start(values, nret);
  for (u32 i = 0; i < nargs; i++)
    call[3 + i] = be32(__builtin_va_arg(values, u64));
  __builtin_va_end(values);
  asm volatile("" : : "r"(call) : "memory");
  u32 status = enter_client(boot.client, (u64)call);
  asm volatile("" : : "r"(call) : "memory");
  if (status != 0)
    return ~0u;
  return nret > 0 ? be32(call[3 + nargs]) : 0;
}

static u32 cell_property(u32 node, const char *name)
{
  u32 value = 0;
  u32 length = client_call("getprop", 4, 1, (u64)node, name, &value, sizeof value);
  asm volatile("" : : : "memory");
  return length == sizeof value ? be32(value) : 0;
}

static void set_cell_property(u32 node, const char *name, u32 value)
{
  u32 cell = be32(value);
  asm volatile("" : : "r"(&cell) : "memory");
  client_call("setprop", 4, 1, (u64)node, name, &cell, sizeof cell);
}

void instantiate_rtas(void)
{
  u32 node = client_call("finddevice", 1, 1, "/rtas");
  u32 size = node == ~0u ? 0 : cell_property(node, "rtas-size");
  if (size == 0)
    return;
  u32 base = client_call("claim", 3, 1, 0UL, (u64)size, 0x10000UL);
  u32 instance = client_call("open", 1, 1, "/rtas");
  if (base == ~0u || instance == ~0u)
    return;
  u32 call_method_failed = client_call("call-method", 3, 2, "instantiate-rtas", (u64)instance, (u64)base);
  if (call_method_failed)
    return;
  set_cell_property(node, "linux,rtas-base", base);
  set_cell_property(node, "linux,rtas-entry", base);
}

void command_line(char *text, u32 room)
{
  text[0] = 0;
  if (boot.client) {
    u32 chosen = client_call("finddevice", 1, 1, "/chosen");
    u32 length = client_call("getprop", 4, 1, (u64)chosen, "bootargs", text, (u64)room - 1);
    asm volatile("" : : : "memory");
    text[length < room ? length : 0] = 0;
  } else {
    struct property bootargs = tree_property("/chosen", "bootargs");
    if (bootargs.value && bootargs.length < room) {
      memcpy(text, bootargs.value, bootargs.length);
      text[bootargs.length] = 0;
    }
  }
}

u64 command_line_number(u64 otherwise)
{
  char text[32];
  u64 number = 0;
  command_line(text, sizeof text);
  for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++)
    number = 10 * number + (*digit - '0');
  return number > 0 ? number : otherwise;
}
