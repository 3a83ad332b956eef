/**
 * The JSON of an event, or of a part of one, on one line. A bigint becomes the `"0x…"` of its 64-bit two's complement,
 * as JSON numbers end at 2^53; bytes become a string of two lower-case hex digits each.
 */
export function traceJson(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, part: unknown) {
    // Not `part`: a Buffer has a `toJSON` of its own, which has been at work on that.
    const original = this[key];
    if (typeof original === 'bigint') return `0x${BigInt.asUintN(64, original).toString(16)}`;
    if (original instanceof Uint8Array) return Array.from(original, (b) => b.toString(16).padStart(2, '0')).join('');
    return part;
  });
}
