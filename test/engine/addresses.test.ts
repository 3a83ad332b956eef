import { describe, expect, it } from 'vitest';
import { ENGINES, prepare, runToEvent } from './programs.ts';
import { assemble, NARROW } from './toy-isa.ts';

/** Pages at the end of 32 bits. */
const LAST = 0xfffff;

describe.each(ENGINES)('addresses, %s', (_, translate) => {
  it('go on at 0 behind the last one of a narrow mode', () => {
    const { cpu, machine } = prepare(translate, '');
    cpu.map(LAST, { ram: 7 });
    cpu.map(0, { ram: 8 });
    machine.write(0x7ff8, assemble(0xffff_fff8, 'addi 1,1,1\n addi 2,2,3').bytes);
    machine.write(0x8000, assemble(0, 'addi 7,7,-1\n trap 1').bytes);
    cpu.mode = NARROW;
    cpu.set(7, 50);
    // Often enough for a translator to have a look at it.
    for (let round = 0; round < 50; round++) {
      cpu.pc = 0xffff_fff8;
      expect(cpu.run(3)).toBe(3);
      expect(cpu.pc).toBe(4);
    }
    expect([cpu.get(1), cpu.get(2), cpu.get(7)]).toEqual([50n, 150n, 0n]);
  });

  it('go on at 0 inside an instruction of a narrow mode, and inside an access', () => {
    const { cpu, machine } = prepare(translate, '');
    cpu.map(LAST, { ram: 7 });
    cpu.map(0, { ram: 8 });
    const six = assemble(0xffff_fffe, 'lgi 3,1,0x86a0').bytes;
    machine.write(0x7ffe, six.slice(0, 2));
    machine.write(0x8000, [...six.slice(2), ...assemble(4, 'bal 14,2\n ld 3,4,-3,0\n trap 1').bytes]);
    cpu.mode = NARROW;
    cpu.pc = 0xffff_fffe;
    runToEvent(cpu);
    expect(cpu.model.events).toEqual(['trap 1 (1), pc 0xc']);
    expect(cpu.get(3)).toBe(0x186a0n);
    // Three bytes before the end and five behind it.
    const bytes = [...machine.read(0x7ffd, 3), ...machine.read(0x8000, 5)];
    expect(cpu.get(4)).toBe(bytes.reduce((v, b) => (v << 8n) | BigInt(b), 0n));
  });

  it('link to 0 behind the last instruction of a narrow mode', () => {
    const { cpu, machine } = prepare(translate, '');
    cpu.map(LAST, { ram: 7 });
    machine.write(0x7ffc, assemble(0xffff_fffc, 'bal 14,-4').bytes);
    machine.write(0x7ff4, assemble(0xffff_fff4, 'inc 1,1\n trap 1').bytes);
    cpu.mode = NARROW;
    cpu.pc = 0xffff_fffc;
    runToEvent(cpu);
    expect([cpu.get(14), cpu.get(1)]).toEqual([0n, 1n]);
  });

  it('fault at a fetch where no instruction can lie, on the page at hand and elsewhere', () => {
    for (const target of [0x1009, 0x3001, 0x3fff]) {
      const { cpu } = prepare(translate, 'loop:\n inc 1,1\n addi 7,7,-1\n cjne 7,0,loop\n bro 12\n inc 2,1');
      cpu.set(7, 40);
      cpu.set(12, target);
      // Every fetch of the page has been seen before.
      cpu.map(3, { execute: true });
      const ran = runToEvent(cpu);
      expect(cpu.model.events).toEqual([`fetch fault at 0x${target.toString(16)}, pc 0x${target.toString(16)}`]);
      expect([cpu.get(1), cpu.get(2), ran]).toEqual([40n, 0n, 122]);
    }
  });

  it('fault so every time where a hot loop jumps there', () => {
    const { cpu, program } = prepare(translate, 'loop:\n inc 1,1\n bro 12\n inc 2,1');
    cpu.model.stopAtEvents = false;
    // The fault handler goes back to the loop.
    cpu.machine.write(0x100, assemble(0x100, 'br 13').bytes);
    cpu.set(12, 0x1003);
    cpu.set(13, program.at.loop as number);
    cpu.run(4 * 200);
    expect([cpu.get(1), cpu.get(2)]).toEqual([200n, 0n]);
    expect(cpu.model.events.length).toBe(200);
    expect(new Set(cpu.model.events)).toEqual(new Set(['fetch fault at 0x1003, pc 0x1003']));
  });

  it('come with the exact pc and budget of the instruction that misses', () => {
    const { cpu, program } = prepare(
      translate,
      `
      loop:
        inc 1,1
        ld 3,2,0,13
        inc 3,1
        st 3,3,0,12
        addi 7,7,-1
        cjne 7,0,loop
        trap 1
      `,
    );
    cpu.set(7, 50);
    cpu.set(12, 0x5000);
    cpu.set(13, 0x3000);
    // No TLB keeps these two, so each access comes by.
    cpu.map(3, { slow: true });
    cpu.map(5, { slow: true });
    cpu.run(1000);
    const { walks, places } = cpu.model;
    const at = (what: string): string[] => places.filter((_, i) => walks[i]?.startsWith(what));
    const loop = program.at.loop as number;
    const rounds = Array.from({ length: 50 }, (_, i) => 1000 - 6 * i);
    expect(at('load')).toEqual(rounds.map((left) => `pc 0x${(loop + 2).toString(16)}, ${left - 2} left`));
    expect(at('store')).toEqual(rounds.map((left) => `pc 0x${(loop + 8).toString(16)}, ${left - 4} left`));
  });

  it('come with the pc and budget of a fetch', () => {
    const { cpu, machine } = prepare(translate, 'inc 1,1\n br 12');
    machine.write(0x3000, assemble(0x3000, 'trap 1').bytes);
    cpu.set(12, 0x3000);
    cpu.run(100);
    expect(cpu.model.walks).toEqual(['fetch 0:0x1000', 'fetch 0:0x3000']);
    expect(cpu.model.places).toEqual(['pc 0x1000, 99 left', 'pc 0x3000, 97 left']);
  });
});

describe('looking ahead', () => {
  it('does not use a page that nothing was fetched from', () => {
    const { cpu, machine } = prepare(
      true,
      `
      loop:
        inc 1,1
        cjne 1,5000,on
        br 12
      on:
        bc 1,0,loop
      `,
    );
    machine.write(0x3000, assemble(0x3000, 'trap 1').bytes);
    cpu.set(12, 0x3000);
    cpu.map(3, { unused: true });
    cpu.run(3000);
    // The loop is a region by now, and knows no more of page 3 than that it may be jumped to.
    expect(machine.engine.statistics.regions).toBeGreaterThan(0);
    expect(cpu.model.maps[0].get(3)?.unused).toBe(true);
    runToEvent(cpu);
    expect(cpu.model.maps[0].get(3)?.unused).toBe(false);
  });

  it('leaves it to a real fetch to use a page, also where a direct jump leads there', () => {
    const { cpu, machine } = prepare(true, 'loop:\n inc 1,1\n cjne 1,200,on\n bal 14,0x1000\n on:\n bc 1,0,loop');
    machine.write(0x300a, assemble(0x300a, 'trap 1').bytes);
    cpu.map(3, { unused: true });
    cpu.run(500);
    expect(machine.engine.statistics.regions).toBeGreaterThan(0);
    expect(cpu.model.maps[0].get(3)?.unused).toBe(true);
    runToEvent(cpu);
    expect(cpu.model.events.length).toBe(1);
    expect(cpu.model.maps[0].get(3)?.unused).toBe(false);
  });
});
