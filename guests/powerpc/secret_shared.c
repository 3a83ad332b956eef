/*
 * A guest with a secret and one page that it shares: everything that the host is to read goes through that page. All else,
 * the secret first of all, stays where only the guest sees it.
 *
 * It starts as a normal VM and asks to become secure. Secure or not, it goes on with the same work. A number as the command
 * line says how many rounds of it.
 */
#include "lib/lib.h"

#define SECRET_WORDS 4
#define ROUNDS 4

/* Both in a page of their own. */
static u64 secret[PAGE_BYTES / 8] WHOLE_PAGES;
static char shared[PAGE_BYTES] WHOLE_PAGES;

/* Whatever is said is laid out in the shared page first, and printed from there. */
static void say(const char *text)
{
  memcpy(shared, text, text_length(text) + 1);
  asm volatile("" : : : "memory");
  print(shared);
}

static u64 random(void)
{
  u64 registers[10] = {H_RANDOM};
  hypercall_registers(registers);
  /* Where the hypervisor has none, the clock must do. */
  return registers[0] == H_SUCCESS ? registers[1] : mfspr(SPR_TB) * 0x9e3779b97f4a7c15;
}

/* Mixes the secret into the rest of its page, and gives a number that depends on all of it. */
static u64 mix(u64 rounds)
{
  u64 state = 0;
  for (u32 i = SECRET_WORDS; i < COUNT(secret); i++)
    secret[i] = i;
  for (u64 round = 0; round < rounds; round++)
    for (u32 i = SECRET_WORDS; i < COUNT(secret); i++) {
      state = (state ^ secret[i % SECRET_WORDS]) * 0x9e3779b97f4a7c15;
      state ^= state >> 29;
      secret[i] += state;
      state += secret[i];
    }
  return state;
}

int main(void)
{
  u64 rounds = command_line_number(ROUNDS);
  if (!is_secure())
    print("normal: asking for secure mode\n");
  become_secure();
  if (!is_secure())
    print("no secure mode here, staying normal\n");
  else if (ultracall(UV_SHARE_PAGE, (u64)shared / PAGE_BYTES, 1) != U_SUCCESS) {
    print("the page cannot be shared\n");
    return 0;
  }
  say("talking through one page\n");
  for (u32 i = 0; i < SECRET_WORDS; i++)
    secret[i] = random();
  u64 before = mix(rounds);
  say("made a secret of 32 bytes\n");
  say("mixed it\n");
  say(mix(rounds) == before ? "secret intact\n" : "secret damaged\n");

  /* Once the page is the guest's alone again, nothing of what lay in it for the host is left in it. */
  if (is_secure()) {
    s64 status = ultracall(UV_UNSHARE_PAGE, (u64)shared / PAGE_BYTES, 1);
    if (status != U_SUCCESS)
      print("the page cannot be taken back\n");
    print(shared[0] == 0 ? "page taken back, and empty\n" : "page taken back, not empty\n");
  }
  print(is_secure() ? "ran as a secure VM\n" : "ran as a normal VM\n");
  return 0;
}
