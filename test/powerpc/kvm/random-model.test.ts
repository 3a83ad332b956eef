import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { H_CODE, U_CODE } from '../../../src/powerpc/abi.ts';
import { Machine } from './machine.ts';
import { compare, Model, run, type Step } from './reference-model.ts';

const RUNS = Number(process.env.CLOISTER_RUNS ?? 150);
const SEED = Number(process.env.CLOISTER_SEED ?? 1);
const FRAMES = 6;
const PLUGGABLE = 2;

const honest = fc.constantFrom(true, true, true, true, false);
const gfn = fc.integer({ min: 0, max: FRAMES + 2 });
const order = fc.constantFrom(16, 16, 16, 16, 16, 16, 16, 12);
const simple = (
  ...names: readonly ('start' | 'done' | 'abort' | 'plug' | 'unplug' | 'svm-off')[]
): fc.Arbitrary<Step> => fc.record({ do: fc.constantFrom(...names), honest });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: simple('start') },
  { weight: 2, arbitrary: simple('done', 'abort', 'plug', 'unplug', 'svm-off') },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('page-in'), gfn, flags: fc.constantFrom(0, 0, 0, 1, 1, 2), order, honest }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('page-out'), gfn, flags: fc.constantFrom(0, 0, 0, 1), order, honest }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('host-write', 'host-page-out'), gfn, honest }) },
) as fc.Arbitrary<Step>;

function explore(
  options: fc.Parameters<[readonly Step[], number, boolean]>,
  plant: (m: Machine) => void = () => {},
): void {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40, size: 'max' }),
      fc.integer({ min: 3, max: 12 }),
      fc.boolean(),
      (steps, securePages, terminate) => {
        const m = new Machine({ slotPages: [FRAMES], securePages });
        m.boot();
        plant(m);
        const tables = m.kvm.pages.used;
        const model = new Model(FRAMES, PLUGGABLE, securePages);
        for (const one of steps) {
          run(m, model, one);
          compare(m, model, tables);
        }
        if (!terminate || model.vm === 'normal') return;
        for (const vcpu of m.vm.vcpus) vcpu.state = 'stopped';
        const job = m.kvm.scheduleSvmOff(m.vm);
        m.answer = () => U_CODE.U_SUCCESS;
        m.hypercall('H_PROD', [0], true);
        expect(job.result).toBe(0);
        model.terminated();
        compare(m, model, tables);
      },
    ),
    options,
  );
}

describe('random sequences of H_SVM_* calls and actions of the host, against a model from seed 000', () => {
  it('VM, frames, flags, pages and statuses are as the model has them; a refused call changed nothing', () => {
    explore({ numRuns: RUNS, seed: SEED });
  });

  it('finds a frame whose flag was lost, and a refusal that was not one', () => {
    const lost = (m: Machine) => {
      const { upcall } = m;
      m.upcall = (name, ...args) => {
        const status = upcall.call(m, name, ...args);
        if (name === 'H_SVM_PAGE_OUT' && status === 0) m.vm.slots[0].pfns[0] &= (1n << 62n) - 1n;
        return status;
      };
    };
    const kind = (m: Machine) => {
      const { upcall } = m;
      m.upcall = (name, ...args) => {
        const status = upcall.call(m, name, ...args);
        return name === 'H_SVM_PAGE_IN' && status === H_CODE.H_PARAMETER ? 0 : status;
      };
    };
    for (const plant of [lost, kind]) {
      expect(() => explore({ numRuns: 100, seed: 1, endOnFailure: true }, plant)).toThrow('Property failed');
    }
  });
});
