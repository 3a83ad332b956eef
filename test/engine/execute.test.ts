import { describe, expect, it } from 'vitest';
import { ENGINES, prepare, runToEvent } from './programs.ts';
import { assemble } from './toy-isa.ts';

describe.each(ENGINES)('EXECUTE, %s', (_, translate) => {
  it('runs a copy that a register modifies, and leaves the original alone', () => {
    const { cpu, machine, program } = prepare(
      translate,
      `
        ex 5,target,0
        ex 6,target,0
        ex 0,target,0
        trap 1
      target:
        mov 0,0
      `,
    );
    // The low byte becomes the registers: mov 1,2 and mov 3,4; without it mov 0,0. Other bytes do not matter.
    cpu.set(5, 0xffffff12);
    cpu.set(6, 0x34);
    cpu.set(2, 22);
    cpu.set(4, 44);
    cpu.set(0, 0);
    runToEvent(cpu);
    expect([cpu.get(1), cpu.get(3)]).toEqual([22n, 44n]);
    expect(machine.read(program.at.target, 2)).toEqual([0x03, 0x00]);
  });

  it('counts as one instruction, wherever a run stops', () => {
    const text = `
      loop:
        ex 5,target,0
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      target:
        inc 1,0
      `;
    for (let slice = 1; slice <= 6; slice++) {
      const { cpu } = prepare(translate, text);
      cpu.set(7, 30);
      cpu.set(5, 3);
      expect(runToEvent(cpu, slice)).toBe(30 * 3 + 1);
      // `inc` has a handler for each register, so the register must come from the text as it was executed.
      expect([cpu.get(1), cpu.state().ticks]).toEqual([90n, 30n]);
    }
  });

  it('moves as many bytes as a register says', () => {
    const { cpu, machine } = prepare(translate, ' ex 5,target,0\n trap 1\ntarget:\n move 0,0,12,0,13');
    machine.write(0x3000, [1, 2, 3, 4, 5, 6, 7, 8]);
    cpu.set(13, 0x3000);
    cpu.set(12, 0x4ffe);
    cpu.set(5, 4);
    runToEvent(cpu);
    expect(machine.read(0x4ffe, 7)).toEqual([1, 2, 3, 4, 5, 0, 0]);
    expect(cpu.model.events).toEqual(['trap 1 (1), pc 0x1004']);
  });

  describe('of a branch', () => {
    it('goes from where the EXECUTE is', () => {
      const { cpu } = prepare(translate, ' ex 0,branch,0\n trap 2\nbranch:\n bc 1,0,8\n .skip 6\n trap 3');
      runToEvent(cpu);
      expect(cpu.model.events).toEqual(['trap 1 (3), pc 0x1010']);
    });

    it('goes on behind the EXECUTE where it is not taken', () => {
      const { cpu } = prepare(
        translate,
        `
          li 7,5
        again:            ; 0x1004
          inc 1,1
          sub 7,8
          ex 0,branch,0   ; 0x1008
          trap 4
        branch:
          bc 1,8,-2
        `,
      );
      cpu.set(8, 1);
      expect(runToEvent(cpu)).toBe(1 + 5 * 3 + 1);
      expect(cpu.get(1)).toBe(5n);
      expect(cpu.model.events).toEqual(['trap 1 (4), pc 0x100c']);
    });

    it('links to behind the EXECUTE', () => {
      const { cpu } = prepare(translate, ' ex 0,call,0\n trap 5\ncall:\n bal 14,8\n .skip 6\n mov 4,14\n ret');
      runToEvent(cpu);
      expect(cpu.get(4)).toBe(0x1004n);
      expect(cpu.model.events).toEqual(['trap 1 (5), pc 0x1004']);
    });

    it('can be indirect', () => {
      const { cpu, machine } = prepare(translate, 'loop:\n ex 5,call,0\n bc 1,0,loop\ncall:\n balr 14,0');
      machine.write(0x3000, assemble(0x3000, 'inc 1,1\n tlt 2,1\n ret').bytes);
      cpu.set(5, 10);
      cpu.set(10, 0x3001);
      cpu.set(2, 20);
      expect(runToEvent(cpu)).toBe(20 * 5 + 3);
      expect(cpu.model.events).toEqual(['trap 257 (2), pc 0x3002']);
      expect(cpu.get(14)).toBe(0x1004n);
    });
  });

  describe('at the end of a page', () => {
    it('goes on behind itself, which is on another page', () => {
      const { cpu, machine } = prepare(translate, ' ex 5,0x3000,0', { origin: 0x1ffc });
      cpu.map(2, { ram: 9 });
      machine.write(0x3000, assemble(0, 'inc 1,2').bytes);
      machine.write(0x9000, assemble(0, 'trap 6').bytes);
      expect(runToEvent(cpu)).toBe(2);
      expect(cpu.get(1)).toBe(2n);
      expect(cpu.model.events).toEqual(['trap 1 (6), pc 0x2000']);
    });

    it('is done before the next page faults', () => {
      const { cpu, machine } = prepare(translate, ' ex 5,0x3000,0', { origin: 0x6ffc });
      machine.write(0x3000, assemble(0, 'inc 1,2').bytes);
      expect(cpu.run(1)).toBe(1);
      expect([cpu.get(1), cpu.pc, cpu.model.events]).toEqual([2n, 0x7000, []]);
      cpu.run(1);
      expect(cpu.model.events).toEqual(['fetch fault at 0x7000, pc 0x7000']);
    });

    it('may itself lie on two pages', () => {
      const { cpu, machine } = prepare(translate, '');
      const bytes = assemble(0x1ffe, ' ex 5,0x3000,0\n trap 6').bytes;
      cpu.map(2, { ram: 9 });
      machine.write(0x1ffe, bytes.slice(0, 2));
      machine.write(0x9000, bytes.slice(2));
      machine.write(0x3000, assemble(0, 'inc 1,0').bytes);
      cpu.pc = 0x1ffe;
      cpu.set(5, 9);
      expect(runToEvent(cpu)).toBe(2);
      expect(cpu.get(1)).toBe(9n);
      expect(cpu.model.events).toEqual(['trap 1 (6), pc 0x2002']);
    });

    it.each([
      [2, 'inc 1,5', 5n],
      [4, 'li 1,77', 77n],
      [6, 'lgi 1,0,99', 99n],
    ])('reads no more than the %d bytes of its target', (length, text, result) => {
      const { cpu, machine } = prepare(translate, ' ex 0,0,13\n trap 1');
      machine.write(0x7000 - length, assemble(0, text).bytes);
      cpu.set(13, 0x7000 - length);
      runToEvent(cpu);
      expect(cpu.model.events).toEqual(['trap 1 (1), pc 0x1004']);
      expect(cpu.get(1)).toBe(result);
    });

    it('takes its target from two pages', () => {
      const { cpu, machine } = prepare(translate, ' ex 0,0,13\n trap 1');
      cpu.map(4, { ram: 9 });
      const bytes = assemble(0, 'lgi 1,0x1234,0x5678').bytes;
      machine.write(0x3ffe, bytes.slice(0, 2));
      machine.write(0x9000, bytes.slice(2));
      cpu.set(13, 0x3ffe);
      runToEvent(cpu);
      expect(cpu.get(1)).toBe(0x12345678n);
    });
  });

  describe('that cannot be done', () => {
    it('faults where its target is not there, undone', () => {
      const { cpu } = prepare(translate, ' ex 0,0,13');
      cpu.set(13, 0x6ffe);
      cpu.machine.write(0x6ffe, [0xc1, 0x10]);
      runToEvent(cpu);
      expect(cpu.model.events).toEqual(['load fault at 0x7000, pc 0x1000']);
    });

    it('reports a fault of its target at itself, with nothing done', () => {
      const { cpu } = prepare(translate, ' inc 3,1\n ex 0,target,0\ntarget:\n ldu 1,8,13');
      cpu.set(13, 0x7000);
      cpu.set(1, 5);
      runToEvent(cpu);
      expect(cpu.model.events).toEqual(['load fault at 0x7008, pc 0x1002']);
      expect([cpu.get(1), cpu.get(13)]).toEqual([5n, 0x7000n]);
    });

    it('reports a trap of its target at itself', () => {
      const { cpu } = prepare(translate, ' ex 5,target,0\ntarget:\n trap 0');
      cpu.set(5, 0x77);
      runToEvent(cpu);
      expect(cpu.model.events).toEqual(['trap 1 (119), pc 0x1000']);
    });

    it('reports an undefined target at itself, with the bytes that it wanted to execute', () => {
      const { cpu } = prepare(translate, ' ex 5,target,0\ntarget:\n .half 0xf100,0x4567,0x89ab');
      cpu.set(5, 0x23);
      runToEvent(cpu);
      expect(cpu.model.events).toEqual(['undefined 0xf1234567 0x89ab, pc 0x1000']);
    });

    it('traps where the definition looks for another EXECUTE', () => {
      const { cpu } = prepare(translate, ' ex 0,0x1000,0');
      expect(runToEvent(cpu)).toBe(1);
      expect(cpu.model.events).toEqual(['trap 256 (0), pc 0x1000']);
    });

    it('is undefined where it executes another and the definition does not look: a row of them would never end', () => {
      const { cpu } = prepare(translate, ' exx 0,0x1000,0');
      expect(runToEvent(cpu)).toBe(1);
      expect(cpu.model.events).toEqual(['undefined 0x85001000 0x0, pc 0x1000']);

      const pair = prepare(translate, ' exx 0,other,0\nother:\n exx 0,last,0\nlast:\n inc 1,1');
      expect(runToEvent(pair.cpu)).toBe(1);
      expect(pair.cpu.model.events).toEqual(['undefined 0x85001008 0x0, pc 0x1000']);
      expect(pair.cpu.get(1)).toBe(0n);
    });
  });

  it('of a helper goes on behind the EXECUTE, or where the helper says', () => {
    const { cpu, program } = prepare(translate, ' ex 5,target,0\nbehind:\n trap 1\n trap 2\ntarget:\n help 0,0');
    const seen: number[] = [];
    cpu.model.helpers.push((a) => {
      seen.push(a, cpu.pc);
      if (seen.length === 2) return true;
      cpu.pc = program.at.behind + 2;
      return false;
    });
    cpu.set(5, 3);
    runToEvent(cpu);
    cpu.pc = 0x1000;
    runToEvent(cpu);
    expect(seen).toEqual([3, 0x1000, 3, 0x1000]);
    expect(cpu.model.events).toEqual(['trap 1 (1), pc 0x1004', 'trap 1 (2), pc 0x1006']);
  });

  it('sees what was stored into its target, by an executed store, too', () => {
    const { cpu } = prepare(
      translate,
      `
      loop:
        ex 0,target,0     ; 0x1000
        addi 2,2,1
        ex 0,patch,0
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      patch:
        st 0,2,0x101f,0
      target:             ; 0x101c
        addi 3,3,0
      `,
    );
    cpu.set(7, 30);
    runToEvent(cpu);
    expect(cpu.get(3)).toBe(BigInt((29 * 30) / 2));
  });
});
