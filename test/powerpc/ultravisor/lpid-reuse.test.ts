import { describe, expect, it } from 'vitest';
import { HCALL } from '../../../src/powerpc/abi.ts';
import { HV_ENTRY, HV_PATE, LPID, PAGE, secureMachine } from './machine.ts';

describe('an LPID that is used again after its VM was destroyed (10.2 #52)', () => {
  it('has no entry and is a normal VM; the next SVM there takes nothing of the last one', () => {
    const m = secureMachine();
    m.nia = 0x20100n;
    m.writeGuest(3 * PAGE, Uint8Array.of(1, 2, 3));
    m.pageOut(3);
    const ciphertext = m.ra(3);
    const old = m.hv.read(ciphertext, PAGE);
    m.hypercall(HCALL.H_CPPR, 0);
    const cookie = m.port.gpr(31);
    expect(m.fromHypervisor(() => m.ultracall('UV_SVM_TERMINATE', LPID))).toBe(0);
    expect(m.pate()).toEqual([0n, 0n]);
    expect(m.svmState()).toBe('NORMAL');

    m.port.currentMsr = HV_ENTRY.msr;
    expect(m.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0, HV_PATE.dw1)).toBe(0);
    expect(m.pate()).toEqual([HV_PATE.dw0, HV_PATE.dw1]);
    m.hv.fill(ciphertext, PAGE, 0x77);
    m.esm();
    expect(m.isFilled(m.guestPage(3), 0x77)).toBe(true);
    expect(m.pageOut(3)).toBe(0);
    const own = m.ra(3);
    const copy = m.newPage();
    m.hv.write(copy, old);
    expect(m.pageIn(3, copy)).toBe(-56);
    expect(m.pageIn(3, own)).toBe(0);

    // A cookie of the last one is a forged one.
    m.hypercall(HCALL.H_CPPR, 0);
    m.port.setGpr(31, cookie);
    m.uvReturn(0);
    expect(m.svmState()).toBe('DEAD');
  });
});
