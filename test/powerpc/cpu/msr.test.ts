import { describe, expect, test } from 'vitest';
import { MSR } from '../../../src/powerpc/abi.ts';
import {
  levelOf,
  mayUse,
  msrAfterHrfid,
  msrAfterMtmsr,
  msrAfterMtmsrd,
  msrAfterRfid,
  msrAfterUrfid,
  type Privilege,
} from '../../../src/powerpc/cpu/msr.ts';

const { SF, HV, S, EE, PR, ME, IR, DR, RI, LE, FP } = MSR;

describe('sheet 1.2: mode tables', () => {
  test.each([
    [1, 0, 1, 'problem'],
    [1, 0, 0, 'supervisor'],
    [1, 1, 0, 'ultravisor'],
    [0, 0, 1, 'problem'],
    [0, 0, 0, 'supervisor'],
    [0, 1, 0, 'hypervisor'],
    [0, 1, 1, 'problem'],
  ] as const)('S=%i HV=%i PR=%i is %s', (s, hv, pr, privilege) => {
    const level = levelOf((s === 1 ? S : 0n) | (hv === 1 ? HV : 0n) | (pr === 1 ? PR : 0n) | SF | ME);
    expect(level.privilege).toBe(privilege);
    expect(level.secure).toBe(s === 1);
    expect(level.hypervisor).toBe(hv === 1);
  });

  test('the reserved mode S=HV=PR=1 has no rights of the Ultravisor', () => {
    expect(levelOf(S | HV | PR).privilege).toBe('problem');
  });

  test('problem < OS < hypervisor < ultravisor', () => {
    const order: Privilege[] = ['problem', 'supervisor', 'hypervisor', 'ultravisor'];
    for (const [i, have] of order.entries()) {
      for (const [j, need] of order.entries()) expect(mayUse(have, need)).toBe(i >= j);
    }
  });
});

describe('sheet 1.4: how S changes', () => {
  const everyOther = [0n, S];
  test.each(everyOther)('rfid, hrfid and mtmsr(d) leave S as it is (S was %s)', (s) => {
    for (const given of [0n, S, S | HV, S | HV | PR]) {
      for (const hv of [0n, HV]) {
        expect(msrAfterRfid(s | hv, given) & S).toBe(s);
        expect(msrAfterHrfid(s | hv, given) & S).toBe(s);
        expect(msrAfterMtmsrd(s | hv, given, false) & S).toBe(s);
        expect(msrAfterMtmsr(s | hv, given, false) & S).toBe(s);
        expect(msrAfterMtmsrd(s | hv, given, true) & S).toBe(s);
      }
    }
  });

  test('urfid takes S and HV from USRR1', () => {
    expect(msrAfterUrfid(SF | S)).toBe(SF | S);
    expect(msrAfterUrfid(SF | HV | ME)).toBe(SF | HV | ME);
    expect(msrAfterUrfid(0n)).toBe(0n);
  });
});

describe('sheet 1.8: return instructions', () => {
  test('rfid: HV is HV & SRR1[HV]', () => {
    expect(msrAfterRfid(0n, HV)).toBe(0n);
    expect(msrAfterRfid(HV, 0n)).toBe(0n);
    expect(msrAfterRfid(HV, HV)).toBe(HV);
  });

  test('rfid: ME changes only with HV=1', () => {
    expect(msrAfterRfid(ME, 0n)).toBe(ME);
    expect(msrAfterRfid(0n, ME)).toBe(0n);
    expect(msrAfterRfid(HV | ME, HV)).toBe(HV);
    expect(msrAfterRfid(HV, HV | ME)).toBe(HV | ME);
  });

  test('rfid: SRR1[PR]=1 sets EE, IR and DR', () => {
    expect(msrAfterRfid(0n, PR)).toBe(PR | EE | IR | DR);
  });

  test('hrfid: HV and ME come from HSRR1', () => {
    expect(msrAfterHrfid(HV, SF | ME | LE)).toBe(SF | ME | LE);
    expect(msrAfterHrfid(HV | ME, SF | HV)).toBe(SF | HV);
    expect(msrAfterHrfid(HV, PR)).toBe(PR | EE | IR | DR);
  });

  test('rfid takes every other bit from SRR1', () => {
    const rest = SF | EE | FP | IR | DR | RI | LE;
    expect(msrAfterRfid(0n, rest)).toBe(rest);
    expect(msrAfterRfid(rest, 0n)).toBe(0n);
  });
});

describe('ISA 3.0B, Book III 5.3.1: mtmsr and mtmsrd', () => {
  const kept = HV | S | ME | LE;

  test('mtmsrd leaves HV, S, ME and LE alone', () => {
    expect(msrAfterMtmsrd(kept, 0n, false)).toBe(kept);
    expect(msrAfterMtmsrd(0n, kept | SF, false)).toBe(SF);
  });

  test('mtmsr also leaves the high word alone', () => {
    expect(msrAfterMtmsr(SF | HV, EE, false)).toBe(SF | HV | EE);
    expect(msrAfterMtmsr(0n, SF | RI, false)).toBe(RI);
  });

  test('L=1 changes EE and RI only', () => {
    for (const f of [msrAfterMtmsr, msrAfterMtmsrd]) {
      expect(f(SF | IR, EE | RI | DR | PR, true)).toBe(SF | IR | EE | RI);
      expect(f(SF | EE | RI, 0n, true)).toBe(SF);
    }
  });

  test('PR=1 sets EE, IR and DR', () => {
    expect(msrAfterMtmsrd(SF, PR, false)).toBe(PR | EE | IR | DR);
  });
});
