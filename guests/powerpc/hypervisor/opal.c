/* What the hypervisor asks of the firmware below it: to print, and to turn the machine off. */
#include "hypervisor.h"

static int busy(s64 status)
{
  return status == OPAL_BUSY || status == OPAL_BUSY_EVENT;
}

/* OPAL takes as much as its buffer has room for, and says in the length how much that was. */
void console_write(const void *characters, u64 length)
{
  const u8 *next = characters;
  while (length > 0) {
    volatile u64 written = length;
    s64 status = opal_call(OPAL_CONSOLE_WRITE, 0, (u64)&written, (u64)next);
    if (status == OPAL_SUCCESS && written > 0 && written <= length) {
      next += written;
      length -= written;
    } else if (status == OPAL_SUCCESS || busy(status)) {
      opal_call(OPAL_POLL_EVENTS, 0, 0, 0);
    } else {
      return;
    }
  }
}

void power_down(void)
{
  while (busy(opal_call(OPAL_CEC_POWER_DOWN, 0, 0, 0)))
    opal_call(OPAL_POLL_EVENTS, 0, 0, 0);
  for (;;)
    opal_call(OPAL_POLL_EVENTS, 0, 0, 0);
}

static void print(const char *text)
{
  u64 length = 0;
  while (text[length])
    length++;
  console_write(text, length);
}

static void print_hexadecimal(u64 number)
{
  char digits[16];
  for (int i = 15; i >= 0; i--, number >>= 4)
    digits[i] = "0123456789abcdef"[number & 15];
  console_write(digits, sizeof digits);
}

void panic(const char *reason, u64 number)
{
  print("hypervisor: ");
  print(reason);
  print(" 0x");
  print_hexadecimal(number);
  print("\n");
  power_down();
}
