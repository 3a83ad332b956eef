import { beforeEach, describe, expect, test } from 'vitest';
import { CONTEXT } from '../../../src/engine/layout.ts';
import { LPCR, MSR, type SPR } from '../../../src/powerpc/abi.ts';
import { LEVEL, TestMachine } from './machine.ts';

const { IR, DR, LE, SF, PR, EE, FP, S, HV } = MSR;
const m = new TestMachine();

beforeEach(() => m.start());

/** The TLBs in use under `msr`: data, instructions. */
function tlbs(msr: bigint): { data: number; fetch: number } {
  m.cpu.core.setMsr(msr);
  const { store, base } = m.cpu.context;
  return {
    data: store.i32[(base + CONTEXT.dataTlb) >> 2]!,
    fetch: store.i32[(base + CONTEXT.instructionTlb) >> 2]!,
  };
}

const virtual = LEVEL.guest | IR | DR;

describe('sheet 10.3 #79: what translations depend on selects the TLB', () => {
  test('the same state comes back to the same TLBs', () => {
    const first = tlbs(virtual);
    tlbs(LEVEL.hypervisor);
    tlbs(LEVEL.ultravisor);
    expect(tlbs(virtual)).toEqual(first);
  });

  test('bits that nothing depends on change nothing', () => {
    const first = tlbs(virtual);
    for (const bit of [EE, FP, MSR.RI, MSR.ME]) expect(tlbs(virtual ^ bit)).toEqual(first);
  });

  test.each([
    ['S', virtual, virtual | S],
    ['PR', virtual, virtual | PR | EE],
    ['HV', virtual, virtual | HV],
    ['IR and DR', virtual, LEVEL.guest],
    ['S in guest real mode', LEVEL.guest, LEVEL.svm],
    ['HV in real mode', LEVEL.guest, LEVEL.hypervisor],
    ['S with HV=1', LEVEL.hypervisor, LEVEL.ultravisor],
  ])('%s separates', (_, a, b) => {
    const x = tlbs(a);
    const y = tlbs(b);
    expect(x.data).not.toBe(y.data);
    expect(x.fetch).not.toBe(y.fetch);
  });

  test('IR and DR separate one each', () => {
    const none = tlbs(LEVEL.guest);
    const data = tlbs(LEVEL.guest | DR);
    expect(data.fetch).toBe(none.fetch);
    expect(data.data).not.toBe(none.data);
    expect(data.data).toBe(tlbs(virtual).data);
  });

  test('LE and SF separate instructions only', () => {
    const big = tlbs(virtual);
    const little = tlbs(virtual | LE);
    const narrow = tlbs(virtual & ~SF);
    expect(little.data).toBe(big.data);
    expect(narrow.data).toBe(big.data);
    expect(new Set([big.fetch, little.fetch, narrow.fetch]).size).toBe(3);
  });

  /** Register, a value, and in which states it matters. */
  const registers: [keyof typeof SPR, bigint, { virtual: boolean; guestReal: boolean; hv: boolean; uv: boolean }][] = [
    ['LPIDR', 7n, { virtual: true, guestReal: true, hv: false, uv: false }],
    ['PIDR', 7n, { virtual: true, guestReal: false, hv: false, uv: false }],
    ['PTCR', 0x20000n, { virtual: true, guestReal: true, hv: false, uv: false }],
    ['HRMOR', 0x100000n, { virtual: false, guestReal: false, hv: true, uv: false }],
    ['URMOR', 0x100000n, { virtual: false, guestReal: false, hv: false, uv: true }],
    ['AMR', 1n << 63n, { virtual: true, guestReal: false, hv: false, uv: false }],
    ['AMR', 1n << 62n, { virtual: true, guestReal: false, hv: false, uv: false }],
    ['IAMR', 1n << 62n, { virtual: true, guestReal: false, hv: false, uv: false }],
    ['LPCR', LPCR.UPRT, { virtual: true, guestReal: true, hv: false, uv: false }],
    ['LPCR', LPCR.HR, { virtual: true, guestReal: false, hv: false, uv: false }],
    ['LPCR', LPCR.HR | LPCR.UPRT | LPCR.HDICE, { virtual: false, guestReal: false, hv: false, uv: false }],
  ];

  test.each(registers)('%s = %s separates where translations depend on it', (name, value, matters) => {
    const states = {
      virtual,
      guestReal: LEVEL.guest,
      hv: LEVEL.hypervisor,
      uv: LEVEL.ultravisor,
    };
    for (const [state, msr] of Object.entries(states)) {
      m.start();
      const before = tlbs(msr);
      m.setSpr(name, value);
      const after = tlbs(msr);
      expect(after.data !== before.data).toBe(matters[state as keyof typeof matters]);
    }
  });
});

test('a change of the key takes effect at once: an access after mtspr HRMOR', () => {
  m.ram.put(0x5000, 1n);
  m.ram.put(0x105000, 2n);
  m.code(0x4000, 0xe8a30000, 0x7c994ba6, 0xe8c30000); // ld r5,0(r3); mtspr HRMOR,r4; ld r6,0(r3)
  m.code(0x104000, 0, 0, 0xe8c30000);
  m.cpu.setGpr(3, 0x5000n);
  m.cpu.setGpr(4, 0x100000n);
  m.cpu.place(LEVEL.hypervisor, 0x4000n);
  m.cpu.run(3);
  expect([m.cpu.gpr(5), m.cpu.gpr(6)]).toEqual([1n, 2n]);
});
