import { describe, expect, it } from 'vitest';
import { ENGINES, FACTORIAL } from './programs.ts';
import { assemble, encode } from './toy-isa.ts';
import { type ToyCpu, ToyMachine } from './toy-model.ts';

describe.each(ENGINES)('two CPUs of one engine, %s', (_, translate) => {
  function pair(text: string): { machine: ToyMachine; first: ToyCpu; second: ToyCpu } {
    const machine = new ToyMachine({ translate, contexts: 2 });
    const [first, second] = machine.cpus;
    for (const cpu of machine.cpus) cpu.mapRange(0, 6);
    machine.load(assemble(0x1000, text));
    first.pc = 0x1000;
    second.pc = 0x1000;
    return { machine, first, second };
  }

  it('run the same code, each with its own registers, stack page and budget', () => {
    const { machine, first, second } = pair(FACTORIAL);
    second.map(4, { ram: 9 });
    first.set(1, 9);
    second.set(1, 7);
    for (let n = 0; first.model.events.length + second.model.events.length < 2; n++) {
      if (n > 5000) throw new Error('they never end');
      if (first.model.events.length === 0) first.run(1 + (n % 7));
      if (second.model.events.length === 0) second.run(1 + ((n * 5) % 11));
    }
    expect([first.get(2), second.get(2)]).toEqual([362880n, 5040n]);
    // The arguments of the outermost frames.
    expect([machine.read(0x4ff7, 1), machine.read(0x9ff7, 1)]).toEqual([[9], [7]]);
  });

  it('see what the other stores', () => {
    // Ping-pong over a shared byte: r1 is whom to wait for, r2 what to answer.
    const { machine, first, second } = pair(`
      wait:
        ld 0,3,0x3000,0
        cmp 3,1
        bc 1,8,wait
        st 0,2,0x3000,0
        inc 4,1
        bc 1,0,wait
    `);
    [first, second].forEach((cpu, i) => {
      cpu.set(1, i);
      cpu.set(2, 1 - i);
    });
    for (let n = 0; n < 300; n++) {
      first.run(10);
      second.run(10);
    }
    expect([first.get(4), second.get(4)]).toEqual([300n, 300n]);
    expect(machine.read(0x3000, 1)).toEqual([0]);
  });

  it('notice code that the other changes, though both have it hot and one has it writable', () => {
    const { machine, first, second } = pair('loop:\n li 1,0\n add 3,1\n bc 1,0,loop');
    // The second writes page 3, which is data until the first runs it as page 5.
    first.map(5, { ram: 3 });
    machine.write(0x3000, machine.read(0x1000, 10));
    machine.write(0x2000, assemble(0x2000, 'loop:\n addi 2,2,1\n st 0,2,0x3003,0\n bc 1,0,loop').bytes);
    second.pc = 0x2000;
    expect(second.run(30)).toBe(30);
    first.pc = 0x5000;
    let expected = 0;
    for (let round = 11; round < 40; round++) {
      first.run(30);
      expected += 10 * (round - 1);
      expect(first.get(3)).toBe(BigInt(expected));
      second.run(3);
    }
  });

  it('have TLBs of their own', () => {
    const { machine, first, second } = pair('loop:\n ld 3,1,0x3000,0\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    second.map(3, { ram: 9 });
    machine.write(0x3007, [1]);
    machine.write(0x9007, [2]);
    for (const cpu of [first, second, first, second]) {
      cpu.pc = 0x1000;
      cpu.set(7, 6);
      cpu.run(100);
    }
    expect([first.get(1), second.get(1)]).toEqual([1n, 2n]);
    second.map(3);
    first.context.tlb.flush();
    second.pc = 0x1000;
    second.set(7, 1);
    second.run(100);
    expect(second.get(1)).toBe(2n);
  });

  it('stop one by one', () => {
    const { machine, first, second } = pair('loop:\n inc 1,1\n help 0,0\n bc 1,0,loop');
    first.model.helpers.push(() => {
      first.context.stopRequested = true;
      return true;
    });
    second.model.helpers.push(() => true);
    expect([first.run(50), second.run(50)]).toEqual([2, 50]);
    machine.write(0x1002, encode('trap', { code: 5 }));
    expect([first.run(50), second.run(50)]).toEqual([3, 3]);
    expect(second.model.events).toEqual(['trap 1 (5), pc 0x1002']);
  });
});
