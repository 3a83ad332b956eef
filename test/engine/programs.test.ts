import { describe, expect, it } from 'vitest';
import { CODE, ENGINES, FACTORIAL, prepare, prepareMedley, runToEvent } from './programs.ts';
import { flags, NARROW, WIDE } from './toy-isa.ts';

describe.each(ENGINES)('programs, %s', (_, translate) => {
  it('adds numbers in a loop', () => {
    const { cpu, machine, program } = prepare(
      translate,
      `
        li 1,0
        li 2,100
      loop:
        add 1,2
        addi 2,2,-1
        cjne 2,0,loop
        trap 7
      `,
    );
    expect(runToEvent(cpu)).toBe(2 + 300 + 1);
    expect(cpu.get(1)).toBe(5050n);
    // So that the tests called "translated" are what they are called.
    expect(machine.engine.statistics.regions > 0).toBe(translate);
    expect(cpu.model.events).toEqual([`trap 1 (7), pc 0x${(CODE + program.bytes.length - 2).toString(16)}`]);
  });

  it('finds a common divisor by flags', () => {
    const { cpu } = prepare(
      translate,
      `
        lgi 1,0,0xd2b0
        lgi 2,0,0x4e20
      loop:
        cmp 1,2
        bc 0,8,done
        bc 0,2,less
        sub 1,2
        bc 1,0,loop
      less:
        sub 2,1
        bc 1,0,loop
      done:
        trap 1
      `,
    );
    runToEvent(cpu);
    // 53936 = 2^4 · 3371 and 20000 = 2^5 · 5^4.
    expect([cpu.get(1), cpu.get(2)]).toEqual([16n, 16n]);
  });

  it('recurses with a stack', () => {
    const { cpu, machine } = prepare(translate, FACTORIAL);
    cpu.set(1, 10);
    runToEvent(cpu);
    expect(cpu.get(2)).toBe(3628800n);
    expect(cpu.get(13)).toBe(0x5000n);
    // The first frame, big-endian: 10, and the return address behind the first `bal`.
    expect(machine.read(0x4ff0, 16)).toEqual([0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0x10, 0x08]);
  });

  it('recurses deeper than any stack of the host', () => {
    // 1 + 2 + … + 30000, a frame of 16 bytes for each: 118 pages of stack.
    const { cpu, machine } = prepare(
      translate,
      `
        bal 14,sum
        trap 1
      sum:
        cjne 1,0,more
        li 2,0
        ret
      more:
        addi 13,13,-16
        st 3,1,0,13
        st 3,14,8,13
        addi 1,1,-1
        bal 14,sum
        ld 3,1,0,13
        ld 3,14,8,13
        addi 13,13,16
        add 2,1
        ret
      `,
      { ramPages: 130 },
    );
    cpu.mapRange(0, 129);
    for (let round = 0; round < 2; round++) {
      cpu.pc = 0x1000;
      cpu.set(1, 30000);
      cpu.set(13, machine.ramBytes);
      runToEvent(cpu);
      expect(cpu.get(2)).toBe(450015000n);
      expect(cpu.get(13)).toBe(BigInt(machine.ramBytes));
    }
  });

  it('branches to the next instruction, over and over', () => {
    // Both ways out of such a branch are one block. Made twice for each, it would be 2^60 blocks in the end.
    const { cpu, machine } = prepare(translate, `loop:\n inc 1,1\n${' bc 0,8,2\n'.repeat(60)} cjne 1,50,loop\n trap 1`);
    expect(runToEvent(cpu)).toBe(50 * 62 + 1);
    expect(machine.engine.statistics.bytes).toBeLessThan(50_000);
  });

  it('does all in turn', () => {
    // What comes out of it exactly is compared in `budget.test.ts`; here: it ends, and by the trap behind 12 rounds.
    const { cpu } = prepareMedley(translate);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['trap 1 (9), pc 0x200e']);
    expect([cpu.get(7), cpu.get(15)]).toEqual([0n, 12n]);
  });

  // Flags Z N C V by hand.
  it.each([
    ['add', 0n, 0n, 0n, '1000'],
    ['add', 1n, -1n, 0n, '1010'],
    ['add', 2n ** 63n - 1n, 1n, -(2n ** 63n), '0101'],
    ['add', -(2n ** 63n), -(2n ** 63n), 0n, '1011'],
    ['add', -1n, -1n, -2n, '0110'],
    ['sub', 5n, 5n, 0n, '1000'],
    ['sub', 3n, 5n, -2n, '0110'],
    ['sub', 5n, 3n, 2n, '0000'],
    ['sub', -(2n ** 63n), 1n, 2n ** 63n - 1n, '0001'],
    ['sub', 2n ** 63n - 1n, -1n, -(2n ** 63n), '0111'],
    ['cmp', 3n, 5n, 3n, '0110'],
  ])('%s of %d and %d', (name, a, b, result, expected) => {
    const { cpu } = prepare(translate, `loop:\n ${name} 1,2\n trap 1\n`);
    cpu.set(1, a);
    cpu.set(2, b);
    runToEvent(cpu);
    expect(BigInt.asIntN(64, cpu.get(1))).toBe(result);
    expect(flags.slots.map((f) => cpu.context.get32(f)).join('')).toBe(expected);
  });

  it('selects registers and flags by number at run time', () => {
    const { cpu } = prepare(
      translate,
      `
        li 1,300
        setf 3,1
        setf 0,2
        getf 5,3
        getf 6,0
        inc 4,15
        max 4,1
        trap 1
      `,
    );
    cpu.set(2, 2n ** 32n);
    runToEvent(cpu);
    expect([cpu.get(5), cpu.get(6), cpu.get(4)]).toEqual([1n, 0n, 300n]);
    expect(flags.slots.map((f) => cpu.context.get32(f))).toEqual([0, 0, 0, 1]);
    expect(cpu.state().ticks).toBe(1n);
  });

  it('puts the two parts of a long immediate together, with its sign', () => {
    const { cpu } = prepare(translate, ' lgi 1,0x1234,0x5678\n lgi 2,0x8000,0\n lgi 3,0xffff,0xffff\n trap 1');
    runToEvent(cpu);
    expect([cpu.get(1), cpu.get(2), cpu.get(3)]).toEqual([0x12345678n, 0xffffffff80000000n, 2n ** 64n - 1n]);
  });

  it('obeys its mode', () => {
    const text = ' addi 1,13,0\n ld 3,2,8,1\n trap 1';
    const { cpu, machine } = prepare(translate, text);
    machine.write(0x3008, [1, 2, 3, 4, 5, 6, 7, 8]);
    cpu.set(13, 0xdeadbeef00003000n);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['load fault at 0xdeadbeef00003008, pc 0x1004']);
    cpu.pc = CODE;
    cpu.mode = NARROW;
    runToEvent(cpu);
    expect(cpu.get(2)).toBe(0x0102030405060708n);
  });
});

describe.each(ENGINES)('modes, %s', (_, translate) => {
  it('do not share hot code', () => {
    const { cpu, machine } = prepare(translate, 'loop:\n ld 3,1,0,13\n add 2,1\n bc 1,0,loop');
    machine.write(0x3007, [1]);
    cpu.set(13, 0x3000);
    for (let round = 0; round < 4; round++) {
      cpu.mode = WIDE;
      cpu.set(13, 0x3000);
      cpu.run(60);
      cpu.mode = NARROW;
      cpu.set(13, 0xdead00003000n);
      cpu.run(60);
    }
    expect(cpu.model.events).toEqual([]);
    expect(cpu.get(2)).toBe(160n);
    cpu.mode = WIDE;
    cpu.run(60);
    expect(cpu.model.events).toEqual(['load fault at 0xdead00003000, pc 0x1000']);
  });
});

describe.each(ENGINES)('loads and stores, %s', (_, translate) => {
  const BYTES = [0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8];
  // By hand: the number that the first 1, 2, 4 and 8 of these bytes make.
  const UNSIGNED = [0x81n, 0x8192n, 0x8192a3b4n, 0x8192a3b4c5d6e7f8n];
  const SIGNED = [0xffffffffffffff81n, 0xffffffffffff8192n, 0xffffffff8192a3b4n, 0x8192a3b4c5d6e7f8n];
  const REVERSED = [0x81n, 0x9281n, 0xb4a39281n, 0xf8e7d6c5b4a39281n];

  // Within a page, at every distance from its end, and across two pages that do not follow each other in RAM.
  const places = Array.from({ length: 12 }, (__, i) => 0x3ff4 + i);

  function prepared(text: string) {
    const p = prepare(translate, text);
    p.cpu.map(4, { ram: 9 });
    const write = (at: number, bytes: number[]): void =>
      bytes.forEach((b, i) => {
        const to = at + i;
        p.machine.memory[to < 0x4000 ? to : to + 0x5000] = b;
      });
    const read = (at: number, n: number): number[] =>
      Array.from({ length: n }, (__, i) => p.machine.memory[at + i < 0x4000 ? at + i : at + i + 0x5000]);
    return { ...p, write, read };
  }

  it.each([
    ['ld', UNSIGNED],
    ['lds', SIGNED],
    ['lrv', REVERSED],
  ] as const)('%s reads every size at every place', (name, values) => {
    for (const size of [0, 1, 2, 3]) {
      const { cpu, write } = prepared(`again:\n ${name} ${size},1,-8,13\n help 0,0\n bc 1,0,again`);
      cpu.model.helpers.push(() => {
        cpu.context.stopRequested = true;
        return true;
      });
      for (const at of [...places, ...places]) {
        write(at, BYTES);
        cpu.set(13, at + 8);
        cpu.run(10);
        expect(cpu.get(1)).toBe(values[size]);
        write(at, [0, 0, 0, 0, 0, 0, 0, 0]);
      }
    }
  });

  it('st writes every size at every place, and not a byte more', () => {
    for (const size of [0, 1, 2, 3]) {
      const { cpu, write, read } = prepared(`again:\n st ${size},1,100,13\n help 0,0\n bc 1,0,again`);
      cpu.model.helpers.push(() => {
        cpu.context.stopRequested = true;
        return true;
      });
      cpu.set(1, 0x1122334455667788n);
      for (const at of [...places, ...places]) {
        write(at - 2, new Array<number>(14).fill(0xee));
        cpu.set(13, at - 100);
        cpu.run(10);
        const stored = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88].slice(8 - (1 << size));
        const around = [0xee, 0xee, ...stored, ...new Array<number>(12).fill(0xee)].slice(0, 14);
        expect(read(at - 2, 14)).toEqual(around);
      }
    }
  });

  it('take base 0 as no base', () => {
    const { cpu, machine } = prepare(translate, ' li 0,0x300\n st 1,0,0x3010,0\n ld 1,2,0x3010,0\n trap 1');
    runToEvent(cpu);
    expect(machine.read(0x3010, 2)).toEqual([0x03, 0x00]);
    expect(cpu.get(2)).toBe(0x300n);
  });

  it('reach two address spaces', () => {
    const { cpu, machine } = prepare(
      translate,
      `
        li 7,5
      loop:
        ld.1 1,0,13
        ld 3,2,0,13
        addi 1,1,1
        addi 2,2,2
        st.1 1,0,13
        st 3,2,0,13
        addi 7,7,-1
        cjne 7,0,loop
        ld.1 3,-4,12
        st.1 3,0x10,0
        trap 1
      `,
    );
    cpu.map(3, { ram: 9, space: 1 });
    cpu.map(4, { ram: 11, space: 1 });
    cpu.map(0, { ram: 12, space: 1 });
    cpu.set(13, 0x3008);
    cpu.set(12, 0x4000);
    machine.write(0x9ffc, [1, 2, 3, 4]);
    machine.write(0xb000, [5, 6, 7, 8]);
    runToEvent(cpu);
    expect(machine.read(0x300f, 1)).toEqual([10]);
    expect(machine.read(0x900f, 1)).toEqual([5]);
    expect(machine.read(0xc010, 8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(machine.read(0x0010, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it('tell which address space faulted', () => {
    const { cpu } = prepare(translate, ' ld.1 1,0,13');
    cpu.set(13, 0x3000);
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['load fault at 0x3000 in space 1, pc 0x1000']);
  });

  it('do not keep what may not be kept', () => {
    const { cpu } = prepare(translate, 'loop:\n ld 3,1,0,13\n st 3,1,8,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    cpu.map(3, { slow: true });
    cpu.set(13, 0x3000);
    cpu.set(7, 20);
    runToEvent(cpu);
    expect(cpu.model.walks.filter((w) => w === 'load 0:0x3000')).toHaveLength(20);
    expect(cpu.model.walks.filter((w) => w === 'store 0:0x3008')).toHaveLength(20);
  });

  it('ask once per page otherwise', () => {
    const { cpu } = prepare(translate, 'loop:\n ld 3,1,0,13\n st 3,1,8,13\n addi 7,7,-1\n cjne 7,0,loop\n trap 1');
    cpu.set(13, 0x3000);
    cpu.set(7, 20);
    runToEvent(cpu);
    // A page that may be written is written without asking again.
    expect(cpu.model.walks.filter((w) => !w.startsWith('fetch'))).toEqual(['load 0:0x3000']);
  });
});
