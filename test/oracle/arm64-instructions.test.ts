import { describe, expect, it } from 'vitest';
import type { ArmInstruction } from '../../src/arm64/isa/common.ts';
import { EXCLUSIVE } from '../../src/arm64/isa/exclusive.ts';
import { FLOAT } from '../../src/arm64/isa/float.ts';
import { armIsa } from '../../src/arm64/isa/index.ts';
import { CaseSet, differences, encode, helperOf, type Tolerance } from '../arm64/isa/cases.ts';
import {
  addCornerCases,
  addMemoryCases,
  addRegisterCases,
  addSequences,
  type Choice,
  randomState,
} from '../arm64/isa/generate.ts';
import { RECORD, TOOLS } from '../arm64/isa/qemu-program.ts';
import { Random } from '../support/random.ts';
import { requireTool } from '../support/tools.ts';

const available = TOOLS.every((tool) => requireTool(tool).available);

/** Instructions that are not compared here, and why. */
const LEFT_OUT: readonly (readonly [names: RegExp, why: string])[] = [
  [/^(svc|hvc|smc|hlt|brk)$/, 'system calls and debuggers: QEMU runs user programs'],
  [/^(hint)$/, 'hints that QEMU knows more of: pointer authentication'],
];

const TOLERANCES: readonly Tolerance[] = [];

const chosen: Choice = (field, random) => {
  if (/^imm(26|19|14)$/.test(field)) return 2;
  // Half of all addresses would be far away.
  if (field === 'S') return random.below(2);
  return undefined;
};

/** Compared with their own operands, in `arm64-float.test.ts`. */
const float: ReadonlySet<ArmInstruction> = new Set(FLOAT);
const compared = (i: ArmInstruction): boolean =>
  !float.has(i) && !LEFT_OUT.some(([names]) => names.test(i.name)) && helperOf(i, encode(i, {})) === undefined;

const exclusive: ReadonlySet<ArmInstruction> = new Set(EXCLUSIVE);
const isBranch = (i: ArmInstruction): boolean => /^(b|bl|b\.|cbn?z|tbn?z|br|blr|ret)$/.test(i.name);
const isLiteral = (i: ArmInstruction): boolean => /\},\{imm19\}$/.test(i.operands) && !isBranch(i);

function addCases(set: CaseSet, i: ArmInstruction, random: Random): void {
  if (isLiteral(i)) {
    // The words behind the code.
    addRegisterCases(set, i, random, 10, (field, r) => (field === 'imm19' ? 1 + r.below(2) : undefined));
    return;
  }
  if (i.operands.includes('[{')) {
    addMemoryCases(set, i, random, exclusive.has(i) ? 8 : 16, exclusive.has(i) ? 16 : 1, chosen);
    return;
  }
  addRegisterCases(set, i, random, 40, chosen);
  if (i.pattern.fields.has('Rn') && !isBranch(i)) addCornerCases(set, i, random, chosen);
}

/** Load exclusive followed by a store exclusive, to the same address or another, with or without a store in between. */
function addExclusiveCases(set: CaseSet, random: Random): void {
  const named = (name: string, operands?: RegExp): ArmInstruction => {
    const found = armIsa.instructions.find((i) => i.name === name && (operands?.test(i.operands) ?? true));
    if (found === undefined) throw new Error(`no instruction ${name}`);
    return found;
  };
  const pairs: readonly (readonly [string, string, RegExp])[] = [
    ['ldxrb', 'stxrb', /W/],
    ['ldaxrh', 'stlxrh', /W/],
    ['ldxr', 'stlxr', /Wt/],
    ['ldaxr', 'stxr', /Xt/],
    ['ldxp', 'stxp', /Wt/],
    ['ldaxp', 'stlxp', /Xt/],
  ];
  for (const [load, store, width] of pairs) {
    for (let n = 0; n < 40; n++) {
      const words = [encode(named(load, width), { Rt: 3, Rt2: 4, Rn: 5 })];
      if (n % 5 === 1) words.push(encode(named('str', /^\{Xt\},\[\{Xn\|sp\}\{imm12/), { Rt: 6, Rn: 5, imm12: 0 }));
      if (n % 5 === 4) words.push(encode(named('clrex'), { CRm: 15 }));
      words.push(encode(named(store, width), { Rs: 7, Rt: 8, Rt2: 9, Rn: n % 5 === 2 ? 10 : 5 }));
      if (n % 5 === 3) words.push(encode(named(store, width), { Rs: 11, Rt: 12, Rt2: 13, Rn: 5 }));
      const stub = set.stubs.add(words);
      const state = randomState(random);
      const at = set.memoryOf(set.cases.length) + 64n + 16n * BigInt(random.below(8));
      state.x[5] = at;
      state.x[10] = at + 32n;
      set.add(`${load}+`, words, stub, state);
    }
  }
}

function compare(set: CaseSet, expected: Uint8Array, translate: boolean, share = 0.9): void {
  const run = set.onEngine({ translate });
  expect(differences(set, expected, run, TOLERANCES).slice(0, 20)).toEqual([]);
  if (translate) expect(run.regions).toBeGreaterThan(share * new Set(set.cases.map((c) => c.stub.entry)).size);
}

const program = (fill: (set: CaseSet, random: Random) => void): [CaseSet, Uint8Array] => {
  const set = new CaseSet();
  fill(set, new Random(20261));
  return [set, available ? set.onQemu() : new Uint8Array()];
};

describe.skipIf(!available)('A64 against qemu-aarch64', () => {
  const all = armIsa.instructions.filter(compared);
  const [single, singleExpected] = program((set, random) => {
    for (const i of all) addCases(set, i, random);
    addExclusiveCases(set, random);
  });
  const [sequences, sequencesExpected] = program((set, random) => {
    const straight = all.filter((i) => !isBranch(i) && !isLiteral(i) && !exclusive.has(i) && i.name !== 'udf');
    addSequences(set, straight, random, 1500);
  });

  it('covers the base instructions', () => {
    expect(all.length).toBeGreaterThan(300);
    expect(single.cases.length).toBeGreaterThan(20 * all.length);
  });

  it('finds a planted fault', () => {
    const run = single.onEngine({ translate: false });
    // Not `slice`: of a Buffer that is a view, and the fault would stay for the tests that follow.
    const wrong = Uint8Array.from(singleExpected);
    wrong[RECORD.x] = (wrong[RECORD.x] as number) ^ 1;
    expect(differences(single, wrong, run, TOLERANCES).length).toBe(1);
  });

  it('interprets every instruction alike', () => compare(single, singleExpected, false));
  it('translates every instruction alike', () => compare(single, singleExpected, true));
  it('interprets sequences alike', () => compare(sequences, sequencesExpected, false));
  it('translates sequences alike', () => compare(sequences, sequencesExpected, true, 0.75));
});
