import { expect, it } from 'vitest';
import { prepare } from './programs.ts';

const CALLS = `
loop:
  inc 3,1
middle:
  bal 14,callee
  inc 2,1
  bc 1,0,loop
callee:
  inc 1,1
  ret
`;

it('makes no region at once for a return address that lies in one already, and makes it in the end', () => {
  const { cpu, machine, program } = prepare(true, CALLS, { hotThreshold: 50 });
  cpu.pc = program.at.loop as number;
  cpu.run(5000);
  const { regions } = machine.engine.statistics;
  // The call is interpreted, its callee is not: control comes back to the return address from a region.
  const passes = (count: number): void => {
    for (let i = 0; i < count; i++) {
      cpu.pc = program.at.middle as number;
      cpu.run(4);
    }
  };
  const counted = cpu.get(1);
  passes(300);
  expect(machine.engine.statistics.regions).toBe(regions);
  passes(1000);
  expect(machine.engine.statistics.regions).toBe(regions + 1);
  expect(cpu.get(1)).toBe(counted + 1300n);
});
