import { assemble, type Program } from './toy-isa.ts';
import { type ToyCpu, ToyMachine, type ToyOptions } from './toy-model.ts';

/** The two engines that one definition makes; every test of behaviour runs on both. */
export const ENGINES = [
  ['interpreted', false],
  ['translated', true],
] as const;

export const CODE = 0x1000;

export interface Prepared {
  readonly machine: ToyMachine;
  readonly cpu: ToyCpu;
  readonly program: Program;
}

/** A machine with the program at 0x1000 and pages 0 to 6 mapped one to one. */
export function prepare(translate: boolean, text: string, options: ToyOptions & { origin?: number } = {}): Prepared {
  const machine = new ToyMachine({ translate, ...options });
  const { cpu } = machine;
  cpu.mapRange(0, 6);
  const program = assemble(options.origin ?? CODE, text);
  machine.load(program);
  return { machine, cpu, program };
}

/** Runs until something happens; programs end with a trap. Returns how many instructions that took. */
export function runToEvent(cpu: ToyCpu, slice = 1_000_000): number {
  const before = cpu.model.events.length;
  let total = 0;
  while (cpu.model.events.length === before) {
    const ran = cpu.run(slice);
    total += ran;
    if (total > 1_000_000) throw new Error(`still running at pc 0x${cpu.pc.toString(16)}`);
    if (ran < slice && cpu.model.events.length === before) throw new Error('a run ended early without a reason');
  }
  return total;
}

/** Recursion with a stack: r2 = r1!, by additions. */
export const FACTORIAL = `
  li 13,0x5000
  bal 14,factorial
  trap 1
factorial:
  cjne 1,0,more
  li 2,1
  ret
more:
  addi 13,13,-16
  st 3,1,0,13
  st 3,14,8,13
  addi 1,1,-1
  bal 14,factorial
  ld 3,1,0,13
  ld 3,14,8,13
  addi 13,13,16
  mov 4,2
  mov 5,1
  li 2,0
multiply:
  add 2,4
  addi 5,5,-1
  cjne 5,0,multiply
  ret
`;

/** One of everything in a loop over 12 rounds: calls, accesses across pages, EXECUTE, a move, an instruction on two pages, events handled on the way. */
export const MEDLEY = `
  li 13,0x3ffa
  li 12,0x4100
  li 7,12
round:
  inc 1,3
  add 2,1
  st 3,2,2,13
  ld 2,3,0,13
  lds 1,4,3,13
  add 5,3
  max 6,4
  setf 2,4
  getf 8,2
  bal 14,leaf
  ex 7,pattern,0
  move 20,0,12,0,13
  bc 0,8,skip
  addi 12,12,1
skip:
  balr 14,11
  bc 1,0,far
leaf:
  addi 9,9,7
  cmp 9,2
  ret
pattern:
  add 9,0
far:
  lgi 10,0,0x1ffc
  br 10
`;

/** The end of MEDLEY, at the end of a page: an instruction on two pages, then the loop. */
export const MEDLEY_TAIL = `
  lgi 3,1,0x86a0
  add 2,3
  addi 7,7,-1
  cjne 7,0,again
  trap 9
again:
  lgi 10,0,round
  br 10
`;

/** MEDLEY with its tail across the end of page 1; the second part of the tail is another page of RAM. */
export function prepareMedley(translate: boolean): Prepared {
  const prepared = prepare(translate, MEDLEY);
  const { machine, cpu, program } = prepared;
  const tail = assemble(0x1ffc, MEDLEY_TAIL.replace('round', String(program.at.round)));
  machine.write(0x1ffc, tail.bytes.slice(0, 4));
  machine.write(0x9000, tail.bytes.slice(4));
  cpu.map(2, { ram: 9 });
  cpu.map(4, { ram: 10 });
  // What `balr` calls: a subroutine on a page of its own.
  machine.write(0x6000, assemble(0x6000, 'inc 15,1\n ret').bytes);
  cpu.set(11, 0x6000);
  return prepared;
}
