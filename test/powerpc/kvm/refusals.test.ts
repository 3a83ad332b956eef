import { describe, expect, it } from 'vitest';
import { H_CODE } from '../../../src/powerpc/abi.ts';
import { Machine } from './machine.ts';
import { compare, Model, run, type Step } from './reference-model.ts';

/** How a machine is made of which each state is visited. */
interface Setting {
  readonly what: string;
  readonly frames: number;
  /** Frames of a slot that comes and goes; 0: none does. */
  readonly pluggable: number;
  readonly securePfns: number;
}

const SETTINGS: readonly Setting[] = [
  { what: 'two frames', frames: 2, pluggable: 0, securePfns: 3 },
  { what: 'two frames and one secure-PFN', frames: 2, pluggable: 0, securePfns: 1 },
  { what: 'a frame, and a slot of another that comes and goes', frames: 1, pluggable: 1, securePfns: 2 },
];

/** Every step of a setting: each call with each kind of argument, right and wrong, granted by the Ultravisor and not. */
function allSteps({ frames, pluggable }: Setting): Step[] {
  const gfns = Array.from({ length: frames + pluggable + 1 }, (_, n) => n);
  const steps: Step[] = [];
  for (const honest of [true, false]) {
    for (const name of ['start', 'done', 'abort', 'svm-off'] as const) steps.push({ do: name, honest });
    if (pluggable > 0) for (const name of ['plug', 'unplug'] as const) steps.push({ do: name, honest });
    for (const gfn of gfns) {
      steps.push({ do: 'host-write', gfn, honest }, { do: 'host-page-out', gfn, honest });
      for (const order of [16, 12]) {
        for (const flags of [0, 1, 2]) steps.push({ do: 'page-in', gfn, flags, order, honest });
        for (const flags of [0, 1]) steps.push({ do: 'page-out', gfn, flags, order, honest });
      }
    }
  }
  return steps;
}

/** A machine that has gone a way, and its model. */
function go({ frames, pluggable, securePfns }: Setting, way: readonly Step[]) {
  const m = new Machine({ slotPages: [frames], normalPages: 16, securePages: securePfns });
  m.boot();
  const tables = m.kvm.pages.used;
  const model = new Model(frames, pluggable, securePfns);
  for (const step of way) run(m, model, step);
  compare(m, model, tables);
  return { m, model, tables };
}

/** Visits every state of the model that calls and the host can lead to, by a shortest way. */
function visit(setting: Setting, look: (way: readonly Step[], illegal: readonly Step[]) => void): number {
  const steps = allSteps(setting);
  const start = new Model(setting.frames, setting.pluggable, setting.securePfns);
  const seen = new Set([start.key()]);
  const queue: { model: Model; way: Step[] }[] = [{ model: start, way: [] }];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    const { model, way } = at;
    const illegal: Step[] = [];
    for (const step of steps) {
      const next = model.clone();
      const status = next.apply(step);
      if (status !== 0 && next.key() === model.key()) illegal.push(step);
      else if (!seen.has(next.key())) {
        seen.add(next.key());
        queue.push({ model: next, way: [...way, step] });
      }
    }
    look(way, illegal);
  }
  return seen.size;
}

/** Tries every illegal call in every state. */
function tryAll(setting: Setting, plant: (m: Machine) => void = () => {}) {
  const reached = new Set<string>();
  const refusals = new Set<number>();
  let tried = 0;
  const states = visit(setting, (way, illegal) => {
    const { m, model, tables } = go(setting, way);
    plant(m);
    reached.add(model.vm);
    const books = m.snapshot();
    for (const step of illegal) {
      const isSame = m.watchMemory();
      m.calls.length = 0;
      const status = run(m, model, step, books);
      tried += 1;
      refusals.add(status);
      const text = `${JSON.stringify(way)}, then ${JSON.stringify(step)}`;
      // What KVM refuses by itself it does not begin.
      if (m.calls.length === 0) expect(isSame(), text).toBe(true);
    }
    compare(m, model, tables);
    expect(m.snapshot()).toBe(books);
  });
  return { states, tried, reached, refusals };
}

describe('after each legal step every illegal one is refused and changes nothing', () => {
  it.each(SETTINGS)('$what', (setting) => {
    const { states, tried, reached, refusals } = tryAll(setting);
    expect([...reached].sort()).toEqual(['normal', 'secure', 'transient']);
    const { H_UNSUPPORTED, H_STATE, H_PARAMETER, H_P2, H_P3 } = H_CODE;
    expect([...refusals]).toEqual(expect.arrayContaining([H_UNSUPPORTED, H_STATE, H_PARAMETER, H_P2, H_P3]));
    expect(states).toBeGreaterThan(20);
    expect(tried).toBeGreaterThan(20 * states);
  }, 240_000);

  it('finds a refused call that leaves something behind, in the books and in free memory', () => {
    const faults: readonly ((m: Machine) => void)[] = [
      (m) => m.vm.pins.set(1, 1),
      (m) => {
        m.vm.xics.presentations[0].cppr = 1;
      },
      (m) => m.view.fill(m.kvm.pages.save().free[0], 1, 1),
      (m) => m.kvm.pages.allocate(),
    ];
    for (const fault of faults) {
      const plant = (m: Machine) => {
        const { upcall } = m;
        m.upcall = (name, ...args) => {
          const status = upcall.call(m, name, ...args);
          if (status === H_CODE.H_P3) fault(m);
          return status;
        };
      };
      expect(() => tryAll(SETTINGS[0], plant)).toThrow();
    }
  });
});
