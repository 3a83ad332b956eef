/* A state machine that reads words between commas, and tells integers, decimal fractions and powers of ten apart. */
#include "kernel.h"

#define TEXT_BYTES 4096
#define TURNS 60

enum state { START, SIGN, INTEGER, FRACTION, EXPONENT, POWER, INVALID, STATES };

static const char words[8][16] = {
  "5012,", "1234,", "-874,", "+122,", "35.54400,", ".1234500,", "-110.700,", "+0.64400e+11,",
};

static char text[TEXT_BYTES];

static inline int is_digit(char c)
{
  return c >= '0' && c <= '9';
}

static inline int is_sign(char c)
{
  return c == '+' || c == '-';
}

static NOINLINE enum state read_word(const char **from, u32 *visits)
{
  enum state state = START;
  const char *at = *from;
  for (; *at; at++) {
    char c = *at;
    if (c == ',') {
      at++;
      break;
    }
    visits[state]++;
    switch (state) {
    case START:
      state = is_digit(c) ? INTEGER : is_sign(c) ? SIGN : c == '.' ? FRACTION : INVALID;
      break;
    case SIGN:
      state = is_digit(c) ? INTEGER : c == '.' ? FRACTION : INVALID;
      break;
    case INTEGER:
      state = is_digit(c) ? INTEGER : c == '.' ? FRACTION : INVALID;
      break;
    case FRACTION:
      state = is_digit(c) ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : INVALID;
      break;
    case EXPONENT:
      state = is_sign(c) ? POWER : INVALID;
      break;
    case POWER:
      state = is_digit(c) ? POWER : INVALID;
      break;
    default:
      break;
    }
  }
  *from = at;
  return state;
}

/* Changes some characters, or changes them back. */
static void disturb(u32 bytes, u32 turn)
{
  for (u32 i = turn; i < bytes; i += 97)
    if (text[i] != ',' && (text[i] ^ turn) != ',' && text[i] != (char)turn)
      text[i] ^= turn;
}

u64 kernel(void)
{
  u32 visits[STATES] = {0}, bytes = 0;
  u64 sum = 0;
  while (bytes < TEXT_BYTES - 32)
    for (const char *from = words[next_random() & 7]; *from; from++)
      text[bytes++] = *from;
  text[bytes] = 0;
  for (u32 turn = 0; turn < TURNS; turn++) {
    const char *at = text;
    while (*at)
      sum = sum * 3 + read_word(&at, visits);
    disturb(bytes, turn);
  }
  for (u32 i = 0; i < STATES; i++)
    sum = sum * 31 + visits[i];
  return sum;
}
