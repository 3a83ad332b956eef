import type { UvContext } from './context.ts';

/** Below it, HSRR0 at UV_RETURN could be an interrupt vector (6.3). */
const LEAST_COOKIE = 0x2000;
const COOKIE_MASK = 0xfffffffc;

/**
 * A cookie that no SVM has in use: 32 random bits without the lowest two, at least 0x2000 (6.2.1). The sheet asks for
 * one that is new in its SVM; new in all of them makes it name the SVM too.
 */
export function newCookie(uv: UvContext): number {
  for (;;) {
    const bytes = uv.random.cookies(4);
    const cookie = (new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0) & COOKIE_MASK) >>> 0;
    if (cookie >= LEAST_COOKIE && !isUsed(uv, cookie)) return cookie;
  }
}

function isUsed(uv: UvContext, cookie: number): boolean {
  for (const { pending, starting } of uv.state.svms.values()) {
    if (pending.has(cookie) || starting.has(cookie)) return true;
  }
  return false;
}
