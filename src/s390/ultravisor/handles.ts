import type { UvContext } from './context.ts';

/** A handle that is no other's, and that neither one wrong bit nor the next number turns into another's (2.4). */
export function newHandle({ random, state }: UvContext): bigint {
  for (;;) {
    const bytes = random(8);
    const handle = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
    const near = [...state.configs.keys(), ...state.cpus.keys()].some((other) => isNear(handle, other));
    if (handle !== 0n && !near) return handle;
  }
}

function isNear(a: bigint, b: bigint): boolean {
  const difference = a ^ b;
  const distance = a > b ? a - b : b - a;
  return (difference & (difference - 1n)) === 0n || distance <= 1n;
}
