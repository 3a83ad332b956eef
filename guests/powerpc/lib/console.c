/* Text on the console: up to 16 characters in one hypercall. */
#include "lib.h"

static char buffer[VTERM_CHARS] __attribute__((aligned(8)));
static u64 buffered;

void flush_console(void)
{
  const u64 *words = (const u64 *)buffer;
  if (buffered == 0)
    return;
  while (hypercall(H_PUT_TERM_CHAR, VTERM, buffered, be64(words[0]), be64(words[1])) == H_BUSY)
    ;
  buffered = 0;
}

void put_character(char character)
{
  buffer[buffered++] = character;
  if (buffered == VTERM_CHARS || character == '\n')
    flush_console();
}

void print(const char *text)
{
  while (*text)
    put_character(*text++);
}

void print_decimal(s64 number)
{
  char digits[20];
  u32 count = 0;
  u64 rest = number < 0 ? -(u64)number : (u64)number;
  if (number < 0)
    put_character('-');
  do {
    digits[count++] = '0' + rest % 10;
    rest /= 10;
  } while (rest > 0);
  while (count > 0)
    put_character(digits[--count]);
}

void print_hexadecimal(u64 number, u32 digits)
{
  while (digits > 0)
    put_character("0123456789abcdef"[number >> 4 * --digits & 15]);
}
