/** The bytes that a string of hex digits stands for; white space between them is ignored. */
export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Lower-case hex digits of `data`. */
export function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** `count` bytes `first`, `first` + 1, … */
export function counting(first: number, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => first + i);
}

/** The test page of power-pef.md 8.2 and 8.4: byte j is j mod 251. */
export function page251(): Uint8Array {
  return Uint8Array.from({ length: 65536 }, (_, j) => j % 251);
}

/** The UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
