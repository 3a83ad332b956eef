/** `0x` and the hex digits of an offset, address or size, as messages show it. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
