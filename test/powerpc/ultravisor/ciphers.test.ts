import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HCALL } from '../../../src/powerpc/abi.ts';
import { page251 } from '../../crypto/hex.ts';
import { LPID, type Machine, PAGE, secureMachine } from './machine.ts';

const bytesAt = (m: Machine, ra: number) => Buffer.from(m.hv.read(ra as RealAddress, PAGE));

describe.each(['iapm', 'gcm'] as const)('pages of an SVM that leave under %s (8)', (cipher) => {
  it('come back as they were; what is outside shows nothing', () => {
    const m = secureMachine({ cipher });
    m.writeGuest(3 * PAGE, page251());
    expect(m.pageOut(3)).toBe(0);
    const outside = bytesAt(m, m.ra(3));
    const counts = new Array<number>(256).fill(0);
    for (const byte of outside) counts[byte] += 1;
    expect(Math.max(...counts)).toBeLessThan(400);
    expect(m.pageIn(3)).toBe(0);
    expect(m.guestPage(3)).toEqual(page251());
  });

  it('never twice under one nonce: 64 page-outs of equal pages have no block in common', () => {
    const m = secureMachine({ cipher });
    const blocks = new Set<string>();
    for (let n = 0; n < 32; n++) {
      for (const gfn of [0, 5]) {
        m.writeGuest(gfn * PAGE, new Uint8Array(PAGE));
        const page = 0x3e0000;
        expect(m.fromHypervisor(() => m.ultracall('UV_PAGE_OUT', LPID, page, gfn * PAGE, 0, 16))).toBe(0);
        const outside = bytesAt(m, page);
        for (let at = 0; at < PAGE; at += 4096) blocks.add(outside.toString('hex', at, at + 16));
        expect(m.pageIn(gfn, page)).toBe(0);
      }
    }
    expect(blocks.size).toBe(64 * 16);
    const keys = m.uv.save().state.svms.get(LPID)?.keys;
    expect(keys?.cipher).toBe(cipher);
    expect(keys?.counter).toBe(64n);
  });

  it('a snapshot takes a nonce of its own too', () => {
    const m = secureMachine({ cipher });
    m.pageOut(3, 1);
    const snapshot = bytesAt(m, m.ra(3));
    m.pageOut(3);
    expect(bytesAt(m, m.ra(3)).subarray(0, 16)).not.toEqual(snapshot.subarray(0, 16));
    expect(m.uv.save().state.svms.get(LPID)?.keys?.counter).toBe(2n);
  });

  it.each([
    ['tampered with: any of 64 single bits', (m: Machine, bit: number) => flipped(m, bit * 8192 + (bit % 8))],
    [
      'replayed',
      (m: Machine) => {
        const old = m.ra(3);
        m.pageIn(3);
        m.pageOut(3);
        return old;
      },
    ],
    ['relocated', (m: Machine) => m.ra(4)],
  ] as const)('%s: U_P3, the page stays out, nothing has changed, and the right one is still taken', (_, attack) => {
    const m = secureMachine({ cipher });
    m.pageOut(3);
    m.pageOut(4);
    for (const bit of [0, 1, 17, 63]) {
      const source = attack(m, bit);
      const before = m.dump();
      expect(m.pageIn(3, source)).toBe(-56);
      expect(m.dump()).toBe(before);
    }
    expect(m.state(3)).toBe('PAGEDOUT');
    expect(m.pageIn(3)).toBe(0);
    expect(m.isFilled(m.guestPage(3), 0x13)).toBe(true);
  });

  it('ciphertext of an SVM that was terminated is worth nothing: its keys are gone (3.13)', () => {
    const m = secureMachine({ cipher });
    m.pageOut(3);
    m.hypercall(HCALL.H_CPPR, 0);
    expect(m.fromHypervisor(() => m.ultracall('UV_SVM_TERMINATE', LPID))).toBe(0);
    expect(m.uv.save().state.svms.size).toBe(0);
    expect(m.fromHypervisor(() => m.ultracall('UV_PAGE_IN', LPID, m.ra(3), 3 * PAGE, 0, 16))).toBe(-4);
  });
});

/** A copy of the ciphertext of frame 3 with one bit changed. */
function flipped(m: Machine, bit: number): RealAddress {
  const page = m.hv.read(m.ra(3), PAGE);
  page[bit >> 3] ^= 1 << (bit & 7);
  m.hv.write(0x3f0000 as RealAddress, page);
  return 0x3f0000 as RealAddress;
}

describe('the firmware’s page encryption, by its vector (8.2)', () => {
  it('key 00…0F, fixed bytes A0A1A2A3, counter 0', () => {
    const key = Uint8Array.from({ length: 16 }, (_, i) => i);
    const fixed = Uint8Array.of(0xa0, 0xa1, 0xa2, 0xa3);
    const m = secureMachine({ cipher: 'gcm', keys: (n) => (n === 16 ? key : fixed) });
    m.writeGuest(3 * PAGE, page251());
    m.pageOut(3);
    const outside = bytesAt(m, m.ra(3));
    expect(outside.toString('hex', 0, 16)).toBe('8a5ccc9e438a32685bcf20287dc775af');
    expect(Buffer.from(nodeProvider.sha256(outside)).toString('hex')).toBe(
      '1e8292e440a6b8de2f69086200951de0fb4b7f93bf1556d0fe032c8625269cbf',
    );
  });
});
