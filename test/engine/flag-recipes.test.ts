import { expect, it } from 'vitest';
import { ENGINES, prepare } from './programs.ts';
import { Reference } from './toy-reference.ts';

/** Sets `sticky` to 0 and 1 in turn. */
const TOGGLE = `
  mov 6,3
  mov 3,4
  mov 4,6
  stick 3
`;

/** Compares; too much for its callers to have a copy of it. */
const COMPARE = `
compare:
  cmps 1,2
  cjne 7,0,deeper
  ret
deeper:
  bal 13,compare
  ret
`;

const PROGRAMS = {
  'a callee sets flags and its caller reads them': `
loop:
  inc 1,1
  bal 14,compare
  getf 8,1
  getf 9,3
  add 10,8
  bc 1,0,loop
${COMPARE}`,
  'a caller changes what went into the flags that a callee set': `
loop:
  inc 1,1
  bal 14,compare
${TOGGLE}
  bc 1,0,loop
${COMPARE}`,
  'a loop changes what went into the flags of its last pass': `
loop:
${TOGGLE}
  inc 1,1
  cjne 1,61,on
  li 1,0
  trap 1
on:
  bc 0,8,next
next:
  cmps 1,2
  bc 1,0,loop
`,
  'a callee changes what went into the flags that its caller set': `
loop:
  inc 1,1
  cmps 1,2
  bal 14,toggle
  bc 1,0,loop
toggle:
${TOGGLE}
  cjne 7,0,deeper
  ret
deeper:
  bal 13,toggle
  ret
`,
  'flags are made from flags that another pass set': `
loop:
  nandf 2,0,3
  inc 1,1
  cjne 1,61,on
  li 1,0
  trap 1
on:
  cmps 1,2
  nandf 1,1,1
  bc 1,0,loop
`,
  'a fault leaves the flags of before it': `
loop:
  inc 1,1
  cmps 1,2
  ld 3,8,0,11
  add 1,8
  addi 11,11,8
  bc 1,0,loop
`,
};

it.each(
  ENGINES.flatMap(([name, translate]) =>
    Object.entries(PROGRAMS).map(([title, text]) => [name, title, translate, text] as const),
  ),
)('%s: %s', (_, __, translate, text) => {
  const { cpu, machine, program } = prepare(translate, text, { hotThreshold: 3 });
  cpu.model.stopAtEvents = true;
  const reference = new Reference(cpu.model.maps, machine.memory.slice());
  const start = { 2: 30, 4: 1, 11: 0x6f00 };
  for (const [register, value] of Object.entries(start)) {
    cpu.set(Number(register), value);
    reference.r[Number(register)] = BigInt(value);
  }
  cpu.pc = program.at.loop as number;
  reference.pc = BigInt(cpu.pc);
  for (let n = 0; n < 600; n++) {
    const ran = cpu.run(1 + ((n * 31) % 101));
    for (let i = 0; i < ran; i++) reference.step();
    expect(cpu.state()).toEqual(reference.state());
    expect(cpu.model.events).toEqual(reference.events);
    if (cpu.pc >= program.origin) continue;
    // Something trapped or faulted: once more from the start.
    cpu.set(11, start[11]);
    reference.r[11] = BigInt(start[11]);
    cpu.pc = program.at.loop as number;
    reference.pc = BigInt(cpu.pc);
  }
  expect(machine.engine.statistics.regions > 0).toBe(translate);
});
