import { describe, expect, it } from 'vitest';
import { SECURE_ADDRESS_BIT, U_CODE, type Ultracall } from '../../../src/powerpc/abi.ts';
import { GUEST_FRAMES, LPID, Machine, PAGE, SLOT } from './machine.ts';

const { U_FUNCTION, U_INVALID, U_PERMISSION, U_PARAMETER, U_P2, U_P3, U_P4, U_P5 } = U_CODE;
const RA = 0x300000;
const BEHIND = GUEST_FRAMES * PAGE;

/**
 * Calls of the hypervisor that are illegal whatever state the VM and its pages are in: who may call, and what comes first in the documented order of
 * checks (power-pef.md 3.3, 3.8 to 3.13).
 */
const ILLEGAL: readonly (readonly [Ultracall | number, readonly (number | bigint)[], number])[] = [
  [0xf100, [], U_FUNCTION],
  [0xf1fc, [LPID], U_FUNCTION],
  ['UV_ESM', [0, 0], U_PERMISSION],
  ['UV_SHARE_PAGE', [4, 1], U_INVALID],
  ['UV_UNSHARE_PAGE', [4, 1], U_INVALID],
  ['UV_UNSHARE_ALL_PAGES', [], U_INVALID],
  ['UV_PAGE_IN', [LPID, RA, 3 * PAGE, 0, 12], U_P5],
  ['UV_PAGE_IN', [LPID, RA, 3 * PAGE, 8, 16], U_P4],
  ['UV_PAGE_IN', [LPID, RA, 3 * PAGE, 3, 16], U_P4],
  ['UV_PAGE_IN', [LPID, SECURE_ADDRESS_BIT, 3 * PAGE, 0, 16], U_P2],
  ['UV_PAGE_IN', [LPID, RA + 4096, 3 * PAGE, 0, 16], U_P2],
  ['UV_PAGE_IN', [LPID + 1, RA, 3 * PAGE, 0, 16], U_PARAMETER],
  ['UV_PAGE_IN', [-1, RA, 3 * PAGE, 0, 16], U_PARAMETER],
  ['UV_PAGE_OUT', [LPID, RA, 3 * PAGE, 0, 12], U_P5],
  ['UV_PAGE_OUT', [LPID, RA, 3 * PAGE, 0x100, 16], U_P4],
  ['UV_PAGE_OUT', [LPID, SECURE_ADDRESS_BIT, 3 * PAGE, 0, 16], U_P2],
  ['UV_PAGE_OUT', [LPID, RA + 4096, 3 * PAGE, 0, 16], U_P2],
  ['UV_PAGE_OUT', [LPID + 1, RA, 3 * PAGE, 0, 16], U_PARAMETER],
  ['UV_PAGE_INVAL', [LPID, 3 * PAGE, 12], U_P3],
  ['UV_PAGE_INVAL', [LPID + 1, 3 * PAGE, 16], U_PARAMETER],
  ['UV_REGISTER_MEM_SLOT', [LPID + 1, BEHIND, PAGE, 0, SLOT + 1], U_PARAMETER],
];

/** Others that are refused, with a code that depends on the state. */
const REFUSED: readonly (readonly [Ultracall, readonly (number | bigint)[]])[] = [
  ['UV_PAGE_IN', [LPID, RA, BEHIND, 0, 16]],
  ['UV_PAGE_IN', [LPID, RA, 3 * PAGE + 1, 0, 16]],
  ['UV_PAGE_OUT', [LPID, RA, BEHIND, 0, 16]],
  ['UV_PAGE_OUT', [LPID, RA, 3 * PAGE + 1, 0, 16]],
  ['UV_PAGE_INVAL', [LPID, BEHIND, 16]],
  ['UV_REGISTER_MEM_SLOT', [LPID, 0x1000, PAGE, 0, SLOT + 1]],
  ['UV_REGISTER_MEM_SLOT', [LPID, BEHIND, PAGE / 2, 0, SLOT + 1]],
  ['UV_REGISTER_MEM_SLOT', [LPID, BEHIND, PAGE, 1, SLOT + 1]],
  ['UV_REGISTER_MEM_SLOT', [LPID, BEHIND, PAGE, 0, 512]],
  ['UV_UNREGISTER_MEM_SLOT', [LPID, 511]],
  ['UV_UNREGISTER_MEM_SLOT', [LPID, -1]],
  ['UV_WRITE_PATE', [4096, 0, 0]],
  ['UV_SVM_TERMINATE', [4096]],
];

/** Tries all of them. @returns how many */
function tryAll(m: Machine, after: string): number {
  const before = m.dump();
  const attempt = (call: Ultracall | number, args: readonly (number | bigint)[]): number => {
    const code = m.fromHypervisor(() => m.ultracall(call, ...args));
    expect(m.dump() === before, `after ${after}: ${call} ${args} left a trace`).toBe(true);
    return code;
  };
  for (const [call, args, code] of ILLEGAL) expect(attempt(call, args), `after ${after}: ${call} ${args}`).toBe(code);
  for (const [call, args] of REFUSED) expect(attempt(call, args), `after ${after}: ${call} ${args}`).not.toBe(0);
  return ILLEGAL.length + REFUSED.length;
}

/** A VM's life with every kind of legal call in it; `look` comes after each, and between each call of the Ultravisor's and its answer. */
function live(m: Machine, look: (after: string) => void): void {
  const serve = (what: string): void => {
    look(what);
    for (let n = 0; m.inHypervisor && m.resumed === null; n++) {
      m.answer();
      look(`${what}, answer ${n}`);
    }
  };
  m.startEsm();
  serve('UV_ESM');
  expect(m.secure).toBe(true);
  for (const [what, call] of [
    ['UV_PAGE_OUT', () => m.pageOut(3)],
    ['UV_SNAPSHOT', () => m.pageOut(5, 1)],
    ['UV_SHARE_PAGE', () => m.ultracall('UV_SHARE_PAGE', 4, 1)],
    ['UV_PAGE_INVAL', () => m.fromHypervisor(() => m.ultracall('UV_PAGE_INVAL', LPID, 4 * PAGE, 16))],
    ['a touch of the page that is out', () => m.fault(3 * PAGE)],
    ['a touch of the invalid page', () => m.fault(4 * PAGE)],
    ['UV_UNSHARE_PAGE', () => m.ultracall('UV_UNSHARE_PAGE', 4, 1)],
    ['UV_UNSHARE_ALL_PAGES', () => m.ultracall('UV_UNSHARE_ALL_PAGES')],
  ] as const) {
    call();
    serve(what);
    expect(m.secure, what).toBe(true);
  }
}

describe('after each legal ultracall every illegal one is refused and changes nothing: full dump of books and memory', () => {
  it('from UV_ESM to UV_UNSHARE_ALL_PAGES, and while the hypervisor is asked', () => {
    const m = new Machine({ secureFrames: 32 });
    const moments: string[] = [];
    let tried = 0;
    live(m, (after) => {
      moments.push(after);
      tried += tryAll(m, after);
    });
    expect(moments.length).toBeGreaterThan(20);
    expect(tried).toBe(moments.length * (ILLEGAL.length + REFUSED.length));
  }, 120_000);

  it('finds a call that leaves a trace', () => {
    const m = new Machine({ secureFrames: 32 });
    m.esm();
    const { ultracall } = m;
    m.ultracall = (call, ...args) => {
      if (call === 'UV_PAGE_OUT') m.all.writeU64(RA as never, 1n);
      return ultracall.call(m, call, ...args);
    };
    expect(() => tryAll(m, 'UV_ESM')).toThrow('left a trace');
  });
});
