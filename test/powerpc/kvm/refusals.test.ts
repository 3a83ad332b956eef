import { describe, expect, it } from 'vitest';
import { H_CODE, type Hcall } from '../../../src/powerpc/abi.ts';
import { Machine, PAGE } from './machine.ts';

const { H_UNSUPPORTED, H_STATE, H_P2, H_P3, H_PARAMETER } = H_CODE;

/** Each way to get a VM into a state; frame 1 is paged in, 2 paged out, 3 shared where the state allows it. */
const STATES: Record<string, (m: Machine) => void> = {
  normal: () => {},
  transient: (m) => {
    m.transient(1, 2);
    expect(m.upcall('H_SVM_PAGE_OUT', 2 * PAGE, 0, 16)).toBe(0);
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16)).toBe(0);
  },
  secure: (m) => {
    m.secure();
    expect(m.upcall('H_SVM_PAGE_OUT', 2 * PAGE, 0, 16)).toBe(0);
    expect(m.upcall('H_SVM_PAGE_IN', 3 * PAGE, 1, 16)).toBe(0);
  },
  'normal again after an abort': (m) => {
    m.transient(1);
    expect(m.call('H_SVM_INIT_ABORT')).toBe(H_PARAMETER);
  },
};

/** Calls that are refused, and the status in a normal, a transient and a secure VM. */
const ILLEGAL: readonly (readonly [Hcall, readonly number[], number, number, number])[] = [
  ['H_SVM_PAGE_IN', [PAGE, 0, 12], H_UNSUPPORTED, H_P3, H_P3],
  ['H_SVM_PAGE_IN', [PAGE, 4, 16], H_UNSUPPORTED, H_P2, H_P2],
  ['H_SVM_PAGE_IN', [PAGE + 1, 0, 16], H_UNSUPPORTED, H_PARAMETER, H_PARAMETER],
  ['H_SVM_PAGE_IN', [9 * PAGE, 0, 16], H_UNSUPPORTED, H_PARAMETER, H_PARAMETER],
  ['H_SVM_PAGE_IN', [9 * PAGE, 1, 16], H_UNSUPPORTED, H_PARAMETER, H_PARAMETER],
  ['H_SVM_PAGE_IN', [PAGE, 0, 16], H_UNSUPPORTED, H_PARAMETER, H_PARAMETER],
  ['H_SVM_PAGE_OUT', [PAGE, 0, 12], H_UNSUPPORTED, H_P3, H_P3],
  ['H_SVM_PAGE_OUT', [PAGE, 1, 16], H_UNSUPPORTED, H_P2, H_P2],
  ['H_SVM_PAGE_OUT', [PAGE + 1, 0, 16], H_UNSUPPORTED, H_PARAMETER, H_PARAMETER],
  ['H_SVM_PAGE_OUT', [9 * PAGE, 0, 16], H_UNSUPPORTED, H_PARAMETER, H_PARAMETER],
];
const BY_STATE: readonly (readonly [Hcall, number | null, number | null, number | null])[] = [
  ['H_SVM_INIT_START', null, H_STATE, H_STATE],
  ['H_SVM_INIT_DONE', H_UNSUPPORTED, null, H_UNSUPPORTED],
];

const COLUMN: Record<string, 0 | 1 | 2> = {
  normal: 0,
  transient: 1,
  secure: 2,
  'normal again after an abort': 0,
};

describe('after each legal step every illegal one is refused and changes nothing', () => {
  for (const [state, make] of Object.entries(STATES)) {
    it(`in a VM that is ${state}`, () => {
      const m = new Machine();
      m.boot();
      make(m);
      m.calls.length = 0;
      const before = m.snapshot();
      for (const [name, args, ...statuses] of ILLEGAL) {
        expect(m.upcall(name, ...args), `${name} ${args}`).toBe(statuses[COLUMN[state]]);
        expect(m.snapshot(), `${name} ${args}`).toBe(before);
      }
      for (const [name, ...statuses] of BY_STATE) {
        const status = statuses[COLUMN[state]];
        if (status === null) continue;
        expect(m.upcall(name), name).toBe(status);
        expect(m.snapshot(), name).toBe(before);
      }
      expect(m.calls).toEqual([]);
    });
  }
});
