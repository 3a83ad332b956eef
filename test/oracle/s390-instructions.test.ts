import { describe, expect, it } from 'vitest';
import type { S390Instruction } from '../../src/s390/isa/common.ts';
import { CONTROL_INSTRUCTIONS } from '../../src/s390/isa/control.ts';
import { s390Isa } from '../../src/s390/isa/index.ts';
import { CaseSet, differences } from '../s390/isa/cases.ts';
import { addAll, addExecuted, LEFT_OUT, TOLERANCES } from '../s390/isa/choices.ts';
import { Random } from '../support/random.ts';
import { requireTool } from '../support/tools.ts';

const TOOLS = ['qemu-s390x', 's390x-linux-gnu-as', 's390x-linux-gnu-ld'] as const;
const available = TOOLS.every((tool) => requireTool(tool).available);

const instructions = s390Isa.instructions as readonly S390Instruction[];
// Control instructions are judged in supervisor state, by s390-cpu.test.ts.
const compared = instructions
  .filter((i) => !CONTROL_INSTRUCTIONS.includes(i))
  .filter((i) => !LEFT_OUT.some(([names]) => names.test(i.name)));

/** What is executed from elsewhere, too. */
const EXECUTED = /^(mvc|clc|xc|oc|nc|tr|trt|ar|agr|lgr|ahi|la|cli|tm|mvi|icm|stcm|sllg|ic|lhi|risbg)$/;

const [set, expected] = available ? build() : [new CaseSet(), new Uint8Array()];

function build(): [CaseSet, Uint8Array] {
  const cases = new CaseSet();
  const random = new Random(390);
  for (const i of compared) addAll(cases, i, random);
  for (const i of compared.filter(({ name }) => EXECUTED.test(name))) addExecuted(cases, i, random);
  return [cases, cases.onQemu()];
}

function compare(translate: boolean): void {
  const run = set.onEngine({ translate });
  expect(differences(set, expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
  if (translate) expect(run.regions).toBeGreaterThan(0.5 * new Set(set.cases.map((c) => c.stub.entry)).size);
}

describe.skipIf(!available)('against qemu-s390x', () => {
  it('covers the instruction set', () => {
    const met = new Set(set.cases.map((c) => c.name));
    expect(compared.map((i) => i.name).filter((name) => !met.has(name))).toEqual([]);
  });

  it('interprets every instruction alike', () => compare(false));
  it('translates every instruction alike', () => compare(true));
});
