/*
 * Console input: gives back each line that is typed, with its length, until one says bye. Between looks at the terminal it sleeps.
 */
#include "lib/lib.h"

#define PERIOD 512000 /* of the time base: a millisecond */
#define MOST 72

static void tick(struct interrupt_frame *frame)
{
  (void)frame;
  mtspr(SPR_DEC, PERIOD);
}

/* The answer's characters stand in two registers, the first in the top byte. A carriage return has a NUL behind it. */
static u64 read_terminal(char characters[VTERM_CHARS])
{
  u64 registers[10] = {H_GET_TERM_CHAR, VTERM};
  hypercall_registers(registers);
  u64 length = registers[0] == H_SUCCESS ? registers[1] : 0;
  u64 halves[2] = {be64(registers[2]), be64(registers[3])};
  memcpy(characters, halves, sizeof halves);
  return length;
}

static char next_character(void)
{
  static char characters[VTERM_CHARS];
  static u64 at, length;
  for (;;) {
    while (at == length) {
      at = 0;
      length = read_terminal(characters);
      if (length == 0)
        hypercall(H_CEDE, 0, 0, 0, 0);
    }
    char character = characters[at++];
    if (character != 0)
      return character == '\r' ? '\n' : character;
  }
}

/* What does not fit is dropped. */
static u64 read_line(char line[MOST + 1])
{
  u64 length = 0;
  for (char c = next_character(); c != '\n'; c = next_character())
    if (length < MOST)
      line[length++] = c;
  line[length] = 0;
  return length;
}

int main(void)
{
  char line[MOST + 1];
  handle_interrupt(VECTOR_DECREMENTER, tick);
  mtspr(SPR_DEC, PERIOD);
  install_interrupts(0);
  print("type, and end with bye\n");
  do {
    u64 length = read_line(line);
    print_decimal(length);
    print(": ");
    print(line);
    print("\n");
  } while (!same_text(line, "bye"));
  return 0;
}
