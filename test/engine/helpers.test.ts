import { describe, expect, it } from 'vitest';
import { ENGINES, prepare, runToEvent } from './programs.ts';
import { assemble, NARROW, WIDE } from './toy-isa.ts';

describe.each(ENGINES)('helpers, %s', (_, translate) => {
  it('see exact state and go on behind their instruction', () => {
    const { cpu } = prepare(translate, 'loop:\n inc 1,1\n help 2,1\n inc 2,3\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    const seen: unknown[] = [];
    cpu.model.helpers[2] = (a, b) => {
      seen.push([a, b, cpu.pc, cpu.get(1), cpu.get(2)]);
      cpu.set(3, cpu.get(3) + 10n);
      cpu.set(2, cpu.get(2) + 1n);
      return true;
    };
    cpu.set(7, 12);
    expect(runToEvent(cpu)).toBe(12 * 5 + 1);
    expect(seen).toEqual(Array.from({ length: 12 }, (__, i) => [1, i + 1, 0x1002, BigInt(i + 1), BigInt(4 * i)]));
    // What a helper wrote is what the next instruction reads.
    expect([cpu.get(2), cpu.get(3)]).toEqual([48n, 120n]);
  });

  it('go on where they put the pc', () => {
    const { cpu, program } = prepare(
      translate,
      'loop:\n help 0,0\n trap 2\nthere:\n inc 1,1\n cjne 1,20,loop\n trap 1',
    );
    cpu.model.helpers.push(() => {
      cpu.pc = program.at.there;
      return false;
    });
    expect(runToEvent(cpu)).toBe(20 * 3 + 1);
    expect(cpu.get(1)).toBe(20n);
  });

  it('may go on at the same place, with the budget running', () => {
    const { cpu } = prepare(translate, ' help 0,0');
    let calls = 0;
    cpu.model.helpers.push(() => {
      calls++;
      return false;
    });
    expect(cpu.run(25)).toBe(25);
    expect([calls, cpu.pc]).toEqual([25, 0x1000]);
  });

  it('stop a run behind themselves, or where they put the pc', () => {
    const { cpu } = prepare(translate, 'loop:\n inc 1,1\n help 0,0\n inc 2,1\n bc 1,0,loop');
    let move = false;
    cpu.model.helpers.push(() => {
      cpu.context.stopRequested = true;
      if (move) cpu.pc = 0x1000;
      return !move;
    });
    expect([cpu.run(100), cpu.pc]).toEqual([2, 0x1004]);
    // A stop is for one run.
    expect([cpu.run(100), cpu.pc]).toEqual([4, 0x1004]);
    expect([cpu.get(1), cpu.get(2)]).toEqual([2n, 1n]);
    move = true;
    expect([cpu.run(100), cpu.pc]).toEqual([4, 0x1000]);
  });

  it('see how much of the budget is left', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n help 0,0\n inc 1,1\n bc 1,0,loop');
    const left: number[] = [];
    cpu.model.helpers.push(() => {
      left.push(machine.store.i32[(cpu.context.base + 8) >>> 2]);
      return true;
    });
    cpu.run(10);
    // The helper's own instruction is paid for.
    expect(left).toEqual([9, 6, 3, 0]);
  });

  it('may change the mode and go on', () => {
    const { cpu, machine } = prepare(
      translate,
      'loop:\n help 0,0\n ld 3,1,0,13\n help 1,0\n ld 3,2,0,12\n addi 7,7,-1\n cjne 7,0,loop\n trap 1',
    );
    machine.write(0x3000, [0, 0, 0, 0, 0, 0, 0, 5]);
    cpu.set(13, 0xdeadbeef00003000n);
    cpu.set(12, 0x3000);
    cpu.set(7, 10);
    cpu.model.helpers.push(
      () => {
        cpu.mode = NARROW;
        return true;
      },
      () => {
        cpu.mode = WIDE;
        return true;
      },
    );
    expect(runToEvent(cpu)).toBe(10 * 6 + 1);
    expect([cpu.get(1), cpu.get(2)]).toEqual([5n, 5n]);
    expect(cpu.model.events).toEqual(['trap 1 (1), pc 0x1016']);
  });

  it('may choose other address spaces and go on', () => {
    const { cpu, machine } = prepare(
      translate,
      'loop:\n help 0,0\n ld 3,1,0,13\n help 1,0\n ld 3,2,0,13\n st 3,7,8,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1',
    );
    machine.write(0x3007, [1]);
    machine.write(0x9007, [2]);
    const select = (ram: number) => () => {
      cpu.map(3, { ram });
      cpu.context.selectDataSpace(0, `page ${ram}`);
      return true;
    };
    cpu.model.helpers.push(select(3), select(9));
    cpu.set(13, 0x3000);
    cpu.set(7, 10);
    runToEvent(cpu);
    expect([cpu.get(1), cpu.get(2)]).toEqual([1n, 2n]);
    expect([machine.read(0x3008, 8), machine.read(0x9008, 8)]).toEqual([
      [0, 0, 0, 0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 1],
    ]);
  });

  it('may choose another fetch space and go on there', () => {
    const { cpu, machine } = prepare(translate, ' help 0,0\n inc 1,1\n br 10');
    machine.write(0x9000, assemble(0, ' help 1,0\n inc 2,1\n br 10').bytes);
    let rounds = 0;
    const select = (ram: number) => () => {
      cpu.map(1, { ram });
      cpu.context.selectFetchSpace(`page ${ram}`);
      if (++rounds === 40) cpu.context.stopRequested = true;
      return true;
    };
    cpu.model.helpers.push(select(9), select(1));
    cpu.set(10, 0x1000);
    expect(cpu.run(1000)).toBe(39 * 3 + 1);
    expect([cpu.get(1), cpu.get(2)]).toEqual([19n, 20n]);
  });

  it('may flush and go on', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n ld 3,1,0,13\n add 2,1\n help 0,0\n bc 1,0,loop');
    machine.write(0x3007, [1]);
    machine.write(0x9007, [100]);
    let ram = 3;
    cpu.model.helpers.push(() => {
      ram = 12 - ram;
      cpu.map(3, { ram });
      cpu.context.tlb.flush();
      return true;
    });
    cpu.set(13, 0x3000);
    expect(cpu.run(4 * 20)).toBe(80);
    expect(cpu.get(2)).toBe(1010n);
  });
});

describe.each(ENGINES)('a move, %s', (_, translate) => {
  const text = 'loop:\n move 255,0,12,0,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1';

  it('goes over pages that do not follow each other', () => {
    const { cpu, machine } = prepare(translate, text);
    cpu.map(4, { ram: 9 });
    cpu.map(6, { ram: 11 });
    for (let i = 0; i < 256; i++) machine.memory[i < 100 ? 0x4000 - 100 + i : 0x9000 + i - 100] = i;
    cpu.set(13, 0x4000 - 100);
    cpu.set(12, 0x6000 - 200);
    cpu.set(7, 3);
    expect(runToEvent(cpu)).toBe(10);
    const moved = [...machine.read(0x6000 - 200, 200), ...machine.read(0xb000, 56)];
    expect(moved).toEqual(Array.from({ length: 256 }, (__, i) => i));
  });

  it.each([
    ['load fault at 0x7000, pc 0x1000', 0x6f80, 0x4f80],
    ['store fault at 0x7000, pc 0x1000', 0x4f80, 0x6f80],
    ['load fault at 0x7000, pc 0x1000', 0x6f80, 0x6f90],
  ])('does nothing at a %s', (event, from, to) => {
    const { cpu, machine } = prepare(translate, text);
    machine.memory.fill(7, 0x3000);
    machine.memory.fill(9, from, 0x7000);
    const before = machine.memory.slice();
    cpu.set(13, from);
    cpu.set(12, to);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual([event]);
    expect(Buffer.compare(machine.memory, before)).toBe(0);
    // And can be done again when the page is there.
    cpu.map(7);
    cpu.context.pc = cpu.state().old;
    cpu.set(7, 1);
    runToEvent(cpu);
    expect(machine.read(to, 16)).toEqual([...before.slice(from, from + 16)]);
  });
});
