/* UV_ESMB_GET_FILE, until it has given all of a file: 64 bytes at a time, in registers. */
#include "lib.h"

#define MOST_NAME 63
#define NAME_AT 2
#define DATA_AT 1
#define DATA_WORDS 8
#define MOST_DATA (DATA_WORDS * 8)

s64 esmb_file(const char *name, void *data, u64 room)
{
  u64 registers[10], words[DATA_WORDS];
  u64 length = text_length(name), done = 0;
  u8 packed[MOST_NAME + 1] = {0};
  if (length > MOST_NAME)
    return U_PARAMETER;
  memcpy(packed, name, length);
  for (;;) {
    registers[0] = UV_ESMB_GET_FILE;
    registers[1] = done;
    for (u32 i = 0; i < DATA_WORDS; i++) {
      u64 word;
      memcpy(&word, packed + 8 * i, 8);
      registers[NAME_AT + i] = be64(word);
    }
    ultracall_registers(registers);
    s64 bytes = registers[0];
    if (bytes <= 0 || bytes > MOST_DATA)
      return bytes < 0 ? bytes : (s64)done;
    for (u32 i = 0; i < DATA_WORDS; i++)
      words[i] = be64(registers[DATA_AT + i]);
    if (done < room)
      memcpy((u8 *)data + done, words, room - done < (u64)bytes ? room - done : (u64)bytes);
    done += bytes;
    memset(words, 0, sizeof words);
  }
}
