import { describe, expect, it } from 'vitest';
import { ENGINES, prepare, runToEvent } from './programs.ts';
import { assemble, encode } from './toy-isa.ts';

const word = (bytes: number[]): number => bytes.reduce((v, b) => v * 256 + b, 0);

describe.each(ENGINES)('instructions on two pages, %s', (_, translate) => {
  it.each([0x1ffa, 0x1ffc, 0x1ffe])('run at %i, whatever RAM the pages are', (origin) => {
    const { cpu, machine } = prepare(translate, '');
    cpu.map(2, { ram: 9 });
    const { bytes } = assemble(origin, ' lgi 1,0x1234,0x5678\n li 2,77\n inc 3,1\n trap 1');
    bytes.forEach((b, i) => {
      const at = origin + i;
      machine.memory[at < 0x2000 ? at : at + 0x7000] = b;
    });
    for (let round = 0; round < 5; round++) {
      cpu.pc = origin;
      expect(runToEvent(cpu)).toBe(4);
      expect([cpu.get(1), cpu.get(2)]).toEqual([0x12345678n, 77n]);
    }
    expect(cpu.get(3)).toBe(5n);
  });

  it('fault at their own address where the second page is missing', () => {
    const { cpu } = prepare(translate, ' inc 1,1\n li 2,77', { origin: 0x6ffc });
    expect(runToEvent(cpu)).toBe(2);
    expect(cpu.model.events).toEqual(['fetch fault at 0x7000, pc 0x6ffe']);
    expect(cpu.get(1)).toBe(1n);
    cpu.map(7);
    cpu.machine.write(0x7000, [0, 77, ...encode('trap', { code: 1 })]);
    cpu.context.pc = cpu.state().old;
    runToEvent(cpu);
    expect(cpu.get(2)).toBe(77n);
  });

  it('may be branches: relative to their own address, linking to behind them', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n inc 1,1\n tlt 2,1\n ball 14,0xffff,0xfffe', {
      origin: 0x1ff8,
    });
    cpu.set(2, 9);
    machine.write(0x2002, assemble(0, 'trap 1').bytes);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['trap 257 (2), pc 0x1ffa']);
    expect(cpu.get(14)).toBe(0x2002n);
  });

  it('may be helpers and stores', () => {
    const { cpu, machine } = prepare(translate, ' move 3,0,12,0,13\n st 3,1,0,12\n trap 1', { origin: 0x1ffc });
    machine.write(0x3000, [1, 2, 3, 4]);
    cpu.set(13, 0x3000);
    cpu.set(12, 0x5ffc);
    cpu.set(1, 5);
    runToEvent(cpu);
    expect(machine.read(0x5ffc, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 5]);
    expect(cpu.model.events).toEqual(['trap 1 (1), pc 0x2006']);
  });

  it('see a store into either half', () => {
    const { cpu } = prepare(
      translate,
      `
      loop:
        lgi 1,0,0x100
        add 3,1
        st 1,7,0x2002,0
        addi 7,7,-1
        cjne 7,0,back
        trap 1
      back:
        lgi 10,0,0x1ffe
        br 10
      `,
      { origin: 0x1ffe },
    );
    // `loop` has two bytes on page 1 and its immediate on page 2; each round stores the next immediate.
    cpu.set(7, 20);
    runToEvent(cpu);
    expect(cpu.get(3)).toBe(0x100n + BigInt((20 * 21) / 2 - 1));
  });
});

describe.each(ENGINES)('code that changes, %s', (_, translate) => {
  it('is noticed in the next instruction', () => {
    const { cpu } = prepare(
      translate,
      `
      loop:
        addi 2,2,1
        st 0,2,0x100b,0   ; the low byte of the next immediate
        li 1,0            ; 0x1008
        add 3,1
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      `,
    );
    cpu.set(7, 50);
    runToEvent(cpu);
    expect(cpu.get(3)).toBe(BigInt((50 * 51) / 2));
  });

  // The loop calls a subroutine at 0x3000 that adds the immediate of its first instruction to r3, then makes it one more: r2 is the new
  // immediate, r6 the whole new instruction.
  it.each([
    ['at its own address', 'st 0,2,3,10'],
    ['through a second mapping', 'st 0,2,0x5003,0'],
    ['through another address space', 'st.1 6,-4,11'],
    ['by a store over the start of its page', 'st 3,6,-4,10'],
    ['by a move', 'st 0,2,0x4000,0\n move 0,3,10,0,12'],
    ['by an executed store', 'ex 0,store,0'],
    ['by a helper', 'help 0,2'],
  ])('is noticed %s', (__, patch) => {
    const { cpu, machine } = prepare(
      translate,
      `
      loop:
        balr 14,10
        addi 2,2,1
        addi 6,6,1
        ${patch}
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      store:
        st 0,2,3,10
      `,
    );
    const subroutine = assemble(0x3000, 'li 1,0\n add 3,1\n ret').bytes;
    machine.write(0x3000, subroutine);
    cpu.map(5, { ram: 3 });
    cpu.map(6, { ram: 3, space: 1 });
    cpu.map(5, { ram: 9, space: 1 });
    cpu.model.helpers.push((___, b) => {
      machine.write(0x3003, [b]);
      return true;
    });
    cpu.set(6, word(subroutine.slice(0, 4)));
    cpu.set(10, 0x3000);
    cpu.set(11, 0x6000);
    cpu.set(12, 0x4000);
    cpu.set(7, 40);
    runToEvent(cpu);
    expect(cpu.model.events).toHaveLength(1);
    expect(cpu.get(3)).toBe(BigInt((39 * 40) / 2));
  });

  it('is noticed when something else than the CPU writes it between two runs', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n li 1,0\n add 3,1\n bc 1,0,loop');
    let expected = 0;
    for (let n = 0; n < 40; n++) {
      machine.write(0x1003, [n]);
      // Three rounds of three instructions each.
      expect(cpu.run(9)).toBe(9);
      expected += 3 * n;
      expect(cpu.get(3)).toBe(BigInt(expected));
    }
  });

  it('is noticed in bytes 4 and 5, and when only the length changes', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n lgi 1,0,5\n add 3,1\n bc 1,0,loop');
    cpu.run(30);
    expect(cpu.get(3)).toBe(50n);
    machine.write(0x1005, [7]);
    cpu.run(30);
    expect(cpu.get(3)).toBe(120n);
    // `li 1,0`, and the 5th and 6th byte, which were an immediate, become `inc 1,2`.
    machine.write(0x1000, [...encode('li', { R1: 1, I: 0 }), ...encode('inc', { R1: 1, i: 2 })]);
    cpu.run(40);
    expect(cpu.get(3)).toBe(140n);
  });

  it('is noticed in the last byte of six, where an opcode may end', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n addq 1,1,3\n bc 1,0,loop');
    let expected = 100n;
    cpu.set(1, expected);
    for (let round = 0; round < 20; round++) {
      machine.write(0x1005, [1 + (round % 2)]);
      cpu.run(12);
      expected += round % 2 === 0 ? 18n : -18n;
      expect(cpu.get(1)).toBe(expected);
    }
    machine.write(0x1005, [3]);
    cpu.run(12);
    expect(cpu.model.events).toEqual(['undefined 0xc4110003 0x3, pc 0x1000']);
  });

  it('is noticed on a page that was data when writing it became quick', () => {
    const { cpu, machine } = prepare(
      translate,
      `
      loop:
        st 0,2,0x3003,0   ; quick since the first round: nothing on page 3 has run yet
        addi 2,2,1
        cjne 2,20,loop
      both:
        balr 14,10
        st 0,2,0x3003,0
        addi 2,2,1
        cjne 2,60,both
        trap 1
      `,
    );
    machine.write(0x3000, assemble(0x3000, 'li 1,0\n add 3,1\n ret').bytes);
    cpu.set(10, 0x3000);
    runToEvent(cpu);
    // The first call sees 19, then 20 to 58.
    expect(cpu.get(3)).toBe(BigInt(19 + ((20 + 58) * 39) / 2));
  });

  it('is noticed on a page that is data while code that leads there gets hot', () => {
    // Nobody has executed page 3 when the loop is translated, and it changes in each round.
    const { cpu, program } = prepare(
      translate,
      `
      loop:
        st 0,2,0x3003,0
        addi 2,2,1
        cjne 2,40,loop
        bc 1,0,far
        .skip 8174
      far:
        li 1,0
        trap 1
      `,
    );
    expect(program.at.far).toBe(0x3000);
    runToEvent(cpu);
    expect(cpu.get(1)).toBe(39n);
  });

  it('is noticed where only the end of an instruction lies in the changed 64 bytes', () => {
    // The displacement of the branch is at 0x1040, and no other instruction is behind it: back to `loop`, then to `last`.
    const { cpu, machine, program } = prepare(translate, 'loop:\n inc 1,1\nlast:\n inc 2,1\n bc 1,0,loop', {
      origin: 0x103a,
    });
    cpu.run(30);
    expect([cpu.get(1), cpu.get(2)]).toEqual([10n, 10n]);
    const branch = encode('bc', { N: 1, mask: 0, disp: (program.at.last - 0x103e) / 2 });
    machine.write(0x1040, branch.slice(2));
    cpu.run(31);
    expect([cpu.get(1), cpu.get(2)]).toEqual([11n, 25n]);
  });

  it('may hold data on the same page, also in the same 64 bytes', () => {
    const { cpu, machine } = prepare(
      translate,
      `
      loop:
        ld 3,1,0x1ff8,0
        addi 1,1,1
        st 3,1,0x1ff8,0
        ld 1,4,cell,0
        addi 4,4,2
        st 1,4,cell,0
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      cell:
        .half 0
      `,
    );
    cpu.set(7, 100);
    expect(runToEvent(cpu)).toBe(100 * 8 + 1);
    expect(machine.read(0x1ff8, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 100]);
    expect(cpu.get(4)).toBe(200n);
  });

  it('changes its mapping when the TLB is flushed', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n balr 14,10\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    machine.write(0x3000, assemble(0, 'inc 1,1\n ret').bytes);
    machine.write(0x9000, assemble(0, 'inc 2,1\n ret').bytes);
    cpu.set(10, 0x3000);
    cpu.set(7, 20);
    runToEvent(cpu);
    cpu.map(3, { ram: 9 });
    cpu.context.tlb.flush();
    cpu.pc = 0x1000;
    cpu.set(7, 20);
    runToEvent(cpu);
    expect([cpu.get(1), cpu.get(2)]).toEqual([20n, 20n]);
    cpu.map(3);
    cpu.context.tlb.flushPage(0x3000);
    cpu.pc = 0x1000;
    cpu.set(7, 20);
    runToEvent(cpu);
    expect([cpu.get(1), cpu.get(2)]).toEqual([40n, 20n]);
  });

  it('changes with one page of several', () => {
    // The loop on page 1 stays where it is; what it calls and jumps to does not.
    const { cpu, machine } = prepare(
      translate,
      'loop:\n inc 3,1\n bc 1,0,far\n.skip 8186\nfar:\n inc 1,1\n bc 1,0,loop',
    );
    machine.write(0x9000, machine.read(0x3000, 16));
    machine.write(0x9000, encode('inc', { R1: 2, i: 1 }));
    for (let round = 1; round <= 6; round++) {
      cpu.map(3, { ram: round % 2 === 1 ? 3 : 9 });
      cpu.context.tlb.flush();
      cpu.pc = 0x1000;
      cpu.run(40);
      expect([cpu.get(3), cpu.get(1), cpu.get(2)]).toEqual([
        BigInt(10 * round),
        BigInt(10 * Math.ceil(round / 2)),
        BigInt(10 * Math.floor(round / 2)),
      ]);
    }
  });

  it('goes away when its page does', () => {
    const { cpu } = prepare(translate, 'loop:\n inc 1,1\n bc 1,0,loop');
    cpu.run(100);
    cpu.model.maps[0].delete(1);
    cpu.context.tlb.flush();
    cpu.run(100);
    expect(cpu.model.events).toEqual(['fetch fault at 0x1000, pc 0x1000']);
    expect(cpu.get(1)).toBe(50n);
  });
});

describe.each(ENGINES)('more code than there are decode slots, %s', (_, translate) => {
  it('is decoded anew, and its changes are still noticed', () => {
    // The pool has 2048 pages of slots; each page here counts and goes to the next.
    const pages = 2100;
    const { cpu, machine } = prepare(translate, '', { ramPages: pages });
    cpu.mapRange(0, pages - 1);
    const next = encode('bal', { R1: 14, disp: 4094 / 2 });
    for (let page = 1; page < pages - 1; page++)
      machine.write(page * 4096, [...encode('inc', { R1: 1, i: 1 }), ...next]);
    const last = (pages - 1) * 4096;
    machine.write(
      last,
      assemble(last, ' addi 7,7,-1\n cjne 7,0,again\n trap 1\nagain:\n lgi 10,0,0x1000\n br 10').bytes,
    );
    cpu.set(7, 3);
    runToEvent(cpu);
    expect(cpu.get(1)).toBe(BigInt(3 * (pages - 2)));

    // A page that fell out of the pool, then written quickly, then run; and one that is still in it.
    for (const page of [5, pages - 3]) machine.write(page * 4096, encode('inc', { R1: 1, i: 11 }));
    cpu.pc = 0x1000;
    cpu.set(7, 2);
    runToEvent(cpu);
    expect(cpu.get(1)).toBe(BigInt(3 * (pages - 2) + 2 * (pages - 2 + 20)));
  });
});

describe.each(ENGINES)('a page that stays in use while all decode slots are dropped, %s', (_, translate) => {
  it('gets other slots', () => {
    const pages = 2100;
    const { cpu, machine } = prepare(translate, '', { ramPages: pages });
    cpu.mapRange(0, pages - 1);
    // Called from every page, at an address that none of them shares a TLB entry with when the slots run out. The first page whose slots are
    // given out anew has its code at the same offset.
    const subroutine = 0x5080000;
    cpu.map(subroutine / 4096, { ram: 1 });
    machine.write(0x1000, assemble(0, 'li 2,1\n add 3,2\n ret').bytes);
    const step = [...encode('inc', { R1: 1, i: 1 }), ...encode('balr', { R1: 14, R2: 10 })];
    const next = encode('bal', { R1: 14, disp: 4092 / 2 });
    for (let page = 2; page < pages - 1; page++) machine.write(page * 4096, [...step, ...next]);
    machine.write((pages - 1) * 4096, assemble(0, 'trap 1').bytes);
    cpu.set(10, subroutine);
    cpu.pc = 0x2000;
    expect(runToEvent(cpu)).toBe((pages - 3) * 6 + 1);
    expect([cpu.get(1), cpu.get(3)]).toEqual([BigInt(pages - 3), BigInt(pages - 3)]);
  });
});

describe.each(ENGINES)('host addresses beyond 2^31, %s', (_, translate) => {
  it.each([
    ['of RAM', { belowRam: 2 ** 31 }],
    ['of CPU contexts and RAM', { belowContexts: 2 ** 31 }],
  ])('%s are addresses like all others', (what, gap) => {
    const { cpu, machine } = prepare(
      translate,
      `
      loop:
        balr 14,10
        addi 2,2,1
        st 0,2,3,10
        st 3,2,0x4ffc,0
        ld 3,5,0x4ffc,0
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      `,
      { ...gap, ramPages: 16 },
    );
    expect(machine.ram).toBeGreaterThan(2 ** 31);
    machine.write(0x3000, assemble(0x3000, 'li 1,0\n add 3,1\n ret').bytes);
    cpu.set(10, 0x3000);
    cpu.set(7, 40);
    runToEvent(cpu);
    expect([cpu.get(3), cpu.get(5)]).toEqual([BigInt((39 * 40) / 2), 40n]);
    if (what === 'of RAM') expect(machine.engine.statistics.regions > 0).toBe(translate);
    machine.write(0x1002, encode('trap', { code: 8 }));
    cpu.pc = 0x1000;
    runToEvent(cpu);
    expect(cpu.model.events.at(-1)).toBe('trap 1 (8), pc 0x1002');
  });
});
