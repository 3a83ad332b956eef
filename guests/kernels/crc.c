/* Checksums: CRC-16 bit by bit, CRC-32 with a table. */
#include "kernel.h"

#define BYTES 8192
#define TURNS 5
#define TABLE_TURNS 10
#define CRC16 0x4002
#define CRC32 0xedb88320

static u8 data[BYTES];
static u32 table[256];

static NOINLINE u16 crc16_byte(u8 byte, u16 crc)
{
  for (u32 bit = 0; bit < 8; bit++) {
    u8 differs = (byte ^ crc) & 1;
    byte >>= 1;
    if (differs)
      crc = ((crc ^ CRC16) >> 1) | 0x8000;
    else
      crc >>= 1;
  }
  return crc;
}

static NOINLINE u32 crc32(const u8 *at, u64 bytes, u32 crc)
{
  while (bytes-- > 0)
    crc = table[(crc ^ *at++) & 255] ^ crc >> 8;
  return crc;
}

u64 kernel(void)
{
  u16 bitwise = 0;
  u32 by_table = 0;
  for (u32 i = 0; i < 256; i++) {
    u32 crc = i;
    for (u32 bit = 0; bit < 8; bit++)
      crc = crc & 1 ? CRC32 ^ crc >> 1 : crc >> 1;
    table[i] = crc;
  }
  for (u32 i = 0; i < BYTES; i++)
    data[i] = next_random();
  for (u32 turn = 0; turn < TURNS; turn++) {
    for (u32 i = 0; i < BYTES; i++)
      bitwise = crc16_byte(data[i], bitwise);
    for (u32 k = 0; k < TABLE_TURNS; k++)
      by_table = crc32(data, BYTES, by_table ^ bitwise);
  }
  return (u64)bitwise << 32 | by_table;
}
