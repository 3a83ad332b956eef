import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENGINES } from './programs.ts';
import { hotLoop, mapSpaces, partsOf, RAM_PAGES, type RandomProgram, randomProgram } from './random-programs.ts';
import { NARROW, WIDE } from './toy-isa.ts';
import { ToyMachine } from './toy-model.ts';
import { Reference } from './toy-reference.ts';

const SEED = 0x70e15a;

function reset(machine: ToyMachine, program: RandomProgram, narrow: boolean): void {
  const { cpu } = machine;
  const empty = new Uint8Array(machine.ramBytes);
  machine.write(0, empty);
  for (const part of partsOf(program)) machine.write(part.origin, part.bytes);
  cpu.reset();
  cpu.pc = 0x1000;
  for (const [i, v] of program.registers.entries()) cpu.set(i, v);
  cpu.mode = narrow ? NARROW : WIDE;
}

describe.each(ENGINES)('random programs, %s', (_, translate) => {
  it('leave every state that the reference leaves, stopped anywhere', () => {
    // One machine for all programs: what one leaves in decode slots, TLBs and regions must not show in the next.
    const machine = new ToyMachine({ translate, ramPages: RAM_PAGES, hotThreshold: 2 });
    const { cpu } = machine;
    cpu.model.stopAtEvents = false;
    mapSpaces(cpu.model.maps);
    for (let n = 0; n < 16; n++) cpu.model.helpers.push(() => true);
    fc.assert(
      fc.property(
        randomProgram,
        fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 200 })), {
          minLength: 12,
          maxLength: 60,
        }),
        fc.boolean(),
        (program, slices, narrow) => {
          reset(machine, program, narrow);
          const ram = machine.memory.slice();
          const reference = new Reference(cpu.model.maps, ram);
          for (const [i, v] of program.registers.entries()) reference.r[i] = v;
          reference.pc = 0x1000n;
          reference.narrow = narrow;
          for (const slice of slices) {
            expect(cpu.run(slice)).toBe(slice);
            for (let i = 0; i < slice; i++) reference.step();
            expect(cpu.model.events).toEqual(reference.events);
            expect(cpu.state()).toEqual(reference.state());
            expect(Buffer.compare(machine.memory, ram)).toBe(0);
          }
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });
});

describe.each(ENGINES)('random hot loops, %s', (_, translate) => {
  it('keep registers and flags as the reference does', () => {
    const machine = new ToyMachine({ translate, ramPages: RAM_PAGES, hotThreshold: 2 });
    const { cpu } = machine;
    cpu.map(1);
    const small = fc.oneof(fc.bigInt({ min: -3n, max: 3n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
    fc.assert(
      fc.property(
        hotLoop,
        fc.tuple(small, small, small, small),
        fc.integer({ min: 1, max: 300 }),
        (code, start, stop) => {
          machine.write(0x1000, Buffer.from(code, 'hex'));
          cpu.reset();
          const reference = new Reference(cpu.model.maps, machine.memory.slice());
          const values = [...start.map((v) => BigInt.asUintN(64, v)), 0n, 0n, 1n, 12n];
          for (const [i, v] of values.entries()) {
            cpu.set(i, v);
            reference.r[i] = v;
          }
          cpu.pc = 0x1000;
          reference.pc = 0x1000n;
          let done = cpu.run(stop);
          if (cpu.model.events.length === 0) {
            for (let i = 0; i < done; i++) reference.step();
            expect(cpu.state()).toEqual(reference.state());
            done = cpu.run(10_000);
          } else {
            reference.step();
            done--;
          }
          for (let i = 0; i < done; i++) reference.step();
          expect(cpu.model.events).toEqual(reference.events);
          expect(cpu.state()).toEqual(reference.state());
        },
      ),
      { seed: SEED, numRuns: 1500 },
    );
  });
});
