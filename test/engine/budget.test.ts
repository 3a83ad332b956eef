import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { MAX_BUDGET } from '../../src/engine/layout.ts';
import { CODE, ENGINES, FACTORIAL, type Prepared, prepare, prepareMedley, runToEvent } from './programs.ts';
import { Reference } from './toy-reference.ts';

interface Outcome {
  readonly state: Record<string, bigint>;
  /** A digest: comparing it is quicker than comparing RAM. */
  readonly ram: string;
  readonly events: readonly string[];
  readonly instructions: number;
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function outcome({ machine, cpu }: Prepared, instructions: number): Outcome {
  return { state: cpu.state(), ram: digest(machine.memory), events: cpu.model.events, instructions };
}

/** What the reference makes of the same start in `limit` instructions, or until something happens. */
function expected({ machine, cpu }: Prepared, limit = 1_000_000): Outcome {
  const ram = machine.memory.slice();
  const reference = new Reference(cpu.model.maps, ram);
  for (let i = 0; i < 16; i++) reference.r[i] = cpu.get(i);
  reference.pc = cpu.context.pc;
  let instructions = 0;
  for (; reference.events.length === 0 && instructions < limit; instructions++) reference.step();
  return { state: reference.state(), ram: digest(ram), events: reference.events, instructions };
}

/** Back to the start of the same program, with all caches as they are. */
function restart(p: Prepared, start: Prepared): void {
  p.cpu.reset();
  p.machine.write(0, start.machine.memory);
  for (let i = 0; i < 16; i++) p.cpu.set(i, start.cpu.get(i));
  p.cpu.pc = start.cpu.pc;
}

const PROGRAMS: [string, (translate: boolean) => Prepared][] = [
  ['the medley', prepareMedley],
  [
    'a recursion',
    (translate) => {
      const p = prepare(translate, FACTORIAL);
      p.cpu.set(1, 6);
      return p;
    },
  ],
  [
    'a loop that faults on its way',
    (translate) => {
      const p = prepare(translate, 'loop:\n inc 3,1\n ldu 1,8,13\n add 2,1\n st 3,2,0,13\n bc 1,0,loop');
      p.cpu.set(13, 0x6e00);
      p.machine.memory.fill(0x5a, 0x6e00, 0x7000);
      return p;
    },
  ],
];

describe.each(ENGINES)('budgets, %s', (_, translate) => {
  describe.each(PROGRAMS)('%s', (__, make) => {
    it('ends as the reference ends', () => {
      const p = make(translate);
      const e = expected(p);
      expect(outcome(p, runToEvent(p.cpu))).toEqual(e);
    });

    it('ends alike in slices of every size from 1 to 40', () => {
      const once = make(translate);
      const whole = outcome(once, runToEvent(once.cpu));
      for (let slice = 1; slice <= 40; slice++) {
        const p = make(translate);
        expect([slice, outcome(p, runToEvent(p.cpu, slice))]).toEqual([slice, whole]);
      }
    });

    it('is after any number of instructions where the reference is, on warm caches', () => {
      const start = make(false);
      const p = make(translate);
      const { instructions } = expected(start);
      for (let n = 1; n < instructions; n += 1 + (n % 13)) {
        restart(p, start);
        expect(p.cpu.run(n)).toBe(n);
        expect(outcome(p, n)).toEqual(expected(start, n));
      }
    });
  });

  it('stops before the fetch of the next instruction, which may fault', () => {
    // Two instructions, the second at the end of the last mapped page.
    const { cpu } = prepare(translate, ' inc 1,1\n inc 1,1', { origin: 0x6ffc });
    expect(cpu.run(2)).toBe(2);
    expect([cpu.pc, cpu.model.events]).toEqual([0x7000, []]);
    expect(cpu.run(1)).toBe(1);
    expect(cpu.model.events).toEqual(['fetch fault at 0x7000, pc 0x7000']);
  });

  it('stops before the fetch at the target of a jump', () => {
    const { cpu } = prepare(translate, ' br 1');
    cpu.set(1, 0x7004);
    expect(cpu.run(1)).toBe(1);
    expect([cpu.pc, cpu.model.events]).toEqual([0x7004, []]);
  });

  it('stops before the second half of an instruction on two pages', () => {
    const { cpu } = prepare(translate, ' inc 1,1\n lgi 2,3,4', { origin: 0x6ffa });
    expect(cpu.run(1)).toBe(1);
    expect([cpu.pc, cpu.model.events]).toEqual([0x6ffc, []]);
    expect(cpu.run(5)).toBe(1);
    expect(cpu.model.events).toEqual(['fetch fault at 0x7000, pc 0x6ffc']);
  });

  it('counts faults, traps and undefined instructions as one each', () => {
    const { cpu } = prepare(translate, ' ld 3,1,0,13\n');
    const { model } = cpu;
    model.stopAtEvents = false;
    cpu.set(13, 0x8000);
    // The fault's vector holds zeros, which are no instruction, and so does that of undefined ones: an endless row of events.
    expect(cpu.run(10)).toBe(10);
    expect(model.events).toHaveLength(10);
    expect(model.events.slice(0, 3)).toEqual([
      'load fault at 0x8000, pc 0x1000',
      'undefined 0x0 0x0, pc 0x100',
      'undefined 0x0 0x0, pc 0x180',
    ]);
  });

  it('ends even where nothing can be fetched', () => {
    const { cpu } = prepare(translate, '');
    cpu.model.stopAtEvents = false;
    cpu.model.maps[0].clear();
    expect(cpu.run(7)).toBe(7);
    expect(cpu.model.events).toHaveLength(7);
    expect(cpu.model.events[6]).toBe('fetch fault at 0x100, pc 0x100');
  });

  it('holds very large budgets', () => {
    const { cpu } = prepare(translate, ' inc 1,1\n trap 1');
    expect(cpu.run(MAX_BUDGET)).toBe(2);
    cpu.pc = CODE;
    for (const budget of [MAX_BUDGET + 1, 0, -1, Number.NaN]) expect(() => cpu.run(budget)).toThrow(RangeError);
  });
});
