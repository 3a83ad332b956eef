import { describe, expect, it } from 'vitest';
import { CODE, ENGINES, prepare, runToEvent } from './programs.ts';

describe.each(ENGINES)('faults, %s', (_, translate) => {
  it('leave the registers of before the instruction', () => {
    const { cpu } = prepare(translate, ' inc 3,1\n ldu 1,8,13\n inc 3,1');
    cpu.set(1, 0x1234);
    cpu.set(13, 0x6ff8);
    const before = cpu.state();
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['load fault at 0x7000, pc 0x1002']);
    expect(cpu.state()).toEqual({ ...before, pc: 0x100n, old: 0x1002n, r3: 1n, ticks: 1n });
  });

  it('come at the exact round of a hot loop', () => {
    const { cpu, program } = prepare(
      translate,
      `
      loop:
        inc 3,1
        ldu 1,8,13
        add 2,1
        inc 4,1
        bc 1,0,loop
      `,
    );
    cpu.set(13, 0x5000 - 8);
    const total = runToEvent(cpu);
    // Two pages of eight-byte words, then page 7.
    expect(cpu.model.events).toEqual([`load fault at 0x7000, pc 0x${(program.at.loop + 2).toString(16)}`]);
    expect([cpu.get(3), cpu.get(4), cpu.get(13)]).toEqual([1025n, 1024n, 0x6ff8n]);
    expect(total).toBe(1024 * 5 + 2);
  });

  it('leave memory untouched where a store reaches into a page that refuses', () => {
    for (const [page, rights] of [
      [4, { write: false }],
      [7, null],
    ] as const) {
      const { cpu, machine } = prepare(translate, 'loop:\n st 3,1,0,13\n addi 13,13,1\n bc 1,0,loop');
      if (rights !== null) cpu.map(page, rights);
      const end = page * 4096;
      cpu.set(1, 0x1122334455667788n);
      cpu.set(13, end - 40);
      machine.memory.fill(0, end - 64, end + 64);
      runToEvent(cpu);
      expect(cpu.model.events).toEqual([`store fault at 0x${end.toString(16)}, pc 0x1000`]);
      expect(cpu.get(13)).toBe(BigInt(end - 7));
      // The last store that fitted ends the page; the one that did not left nothing behind.
      expect(machine.read(end - 9, 17)).toEqual([0x11, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, ...zeros(8)]);
    }
  });

  it('name the first page where both refuse', () => {
    const { cpu } = prepare(translate, ' st 3,1,0,13');
    cpu.set(13, 0x7ffe);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['store fault at 0x7ffe, pc 0x1000']);
  });

  it('can be handled: the instruction is done again', () => {
    const { cpu } = prepare(translate, 'loop:\n ld 3,1,0,13\n addi 13,13,8\n cjne 13,0x7fd0,loop\n trap 1');
    cpu.set(13, 0x6f00);
    runToEvent(cpu);
    cpu.map(7);
    cpu.context.pc = cpu.state().old;
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['load fault at 0x7000, pc 0x1000', 'trap 1 (1), pc 0x100e']);
  });

  it('of a fetch are at the address that the jump went to', () => {
    const { cpu } = prepare(translate, ' balr 14,1');
    cpu.set(1, 0x7124);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['fetch fault at 0x7124, pc 0x7124']);
    expect(cpu.get(14)).toBe(0x1002n);
  });

  it('of a fetch come from pages that hold no code, too', () => {
    const { cpu } = prepare(translate, ' br 1');
    cpu.map(3, { execute: false });
    cpu.set(1, 0x3000);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['fetch fault at 0x3000, pc 0x3000']);
  });

  it('of a fetch see all 64 bits of an address', () => {
    const { cpu } = prepare(translate, 'x:\n br 1');
    for (const address of [0x1_0000_1000n, 0xffff_ffff_ffff_f000n, 0x8000_0000_0000_1000n]) {
      cpu.pc = CODE;
      cpu.set(1, address);
      runToEvent(cpu);
      expect(cpu.model.events.at(-1)).toBe(`fetch fault at 0x${address.toString(16)}, pc 0x${address.toString(16)}`);
    }
  });

  it('of data see all 64 bits of an address, on warm TLBs', () => {
    const { cpu } = prepare(translate, 'x:\n ld 3,1,0,13\n st 3,1,0,12\n trap 1');
    for (const far of [0x1_0000_3000n, 0xffff_ffff_0000_3000n, 0x40_3000n]) {
      cpu.set(13, 0x3000);
      cpu.set(12, 0x3000);
      cpu.pc = CODE;
      runToEvent(cpu);
      expect(cpu.model.events.at(-1)).toBe('trap 1 (1), pc 0x1008');
      cpu.set(12, far);
      cpu.pc = CODE;
      runToEvent(cpu);
      expect(cpu.model.events.at(-1)).toBe(`store fault at 0x${far.toString(16)}, pc 0x1004`);
    }
  });
});

describe.each(ENGINES)('traps and undefined instructions, %s', (_, translate) => {
  it('report their cause and argument with the exact state', () => {
    const { cpu } = prepare(translate, 'loop:\n inc 2,1\n tlt 3,2\n inc 4,1\n bc 1,0,loop');
    cpu.set(3, 20);
    expect(runToEvent(cpu)).toBe(20 * 4 + 2);
    expect(cpu.model.events).toEqual(['trap 257 (3), pc 0x1002']);
    expect([cpu.get(2), cpu.get(4)]).toEqual([21n, 20n]);
  });

  it('split a field on zero', () => {
    const { cpu } = prepare(translate, ' trap 0\n');
    runToEvent(cpu);
    cpu.machine.write(CODE, [0x08, 0xa5]);
    cpu.pc = CODE;
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['trap 0 (0), pc 0x1000', 'trap 1 (165), pc 0x1000']);
  });

  it.each([
    ['.half 0x00ff,0x1234', '0xff0000 0x0'],
    ['.half 0x7fff,0x1234,0x5678', '0x7fff1234 0x0'],
    ['.half 0xf123,0x4567,0x89ab', '0xf1234567 0x89ab'],
  ])('give the bytes of %s, and no more', (text, bytes) => {
    const { cpu } = prepare(translate, text);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual([`undefined ${bytes}, pc 0x1000`]);
  });

  it('give the bytes of an undefined instruction on two pages', () => {
    const { cpu, machine } = prepare(translate, '.half 0xf123', { origin: 0x1ffe });
    cpu.map(2, { ram: 9 });
    machine.write(0x9000, [0x45, 0x67, 0x89, 0xab]);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['undefined 0xf1234567 0x89ab, pc 0x1ffe']);
  });
});

function zeros(n: number): number[] {
  return new Array<number>(n).fill(0);
}
