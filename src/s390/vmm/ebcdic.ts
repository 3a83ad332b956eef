/** Code page 037 for the printable characters of ASCII, from the blank to the tilde. */
const PRINTABLE =
  '405a7f7b5b6c507d4d5d5c4e6b604b61f0f1f2f3f4f5f6f7f8f97a5e4c7e6e6f' +
  '7cc1c2c3c4c5c6c7c8c9d1d2d3d4d5d6d7d8d9e2e3e4e5e6e7e8e9bae0bbb06d' +
  '79818283848586878889919293949596979899a2a3a4a5a6a7a8a9c04fd0a1';
const BLANK = 0x20;

const TO_EBCDIC: readonly number[] = Array.from({ length: PRINTABLE.length / 2 }, (_, i) =>
  Number.parseInt(PRINTABLE.slice(2 * i, 2 * i + 2), 16),
);
const TO_ASCII = new Uint8Array(256).fill(BLANK);
for (const [i, code] of TO_EBCDIC.entries()) TO_ASCII[code] = BLANK + i;

/** Text in EBCDIC; what has no printable ASCII becomes a blank. */
export function toEbcdic(ascii: Uint8Array): Uint8Array {
  return ascii.map((character) => TO_EBCDIC[character - BLANK] ?? TO_EBCDIC[0] ?? 0);
}

/** The same back. */
export function toAscii(ebcdic: Uint8Array): Uint8Array {
  return ebcdic.map((character) => TO_ASCII[character] ?? BLANK);
}
