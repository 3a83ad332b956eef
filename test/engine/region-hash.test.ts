import { expect, it } from 'vitest';
import { REGION_HASH } from '../../src/engine/layout.ts';
import { prepare } from './programs.ts';
import { assemble } from './toy-isa.ts';

/** Addresses this far apart share an entry of the region hash: it is indexed by the bits above the lowest two. */
const SHARING = REGION_HASH.entries * 4;

it('translates a hot loop whose region hash entry belongs to another that went cold', () => {
  const loop = 'loop:\n inc 1,1\n bc 1,0,loop';
  const { cpu, machine } = prepare(true, loop, { hotThreshold: 50, ramPages: 16 });
  cpu.mapRange(0, 8);
  machine.load(assemble(0x1000 + SHARING, loop));
  for (const [origin, regions] of [
    [0x1000, 1],
    [0x1000 + SHARING, 2],
  ] as const) {
    cpu.pc = origin;
    cpu.run(5000);
    expect(machine.engine.statistics.regions).toBe(regions);
  }
  expect(cpu.get(1)).toBe(5000n);
});
