import type { S390Instruction } from '../../../src/s390/isa/common.ts';
import type { Random } from '../../support/random.ts';
import type { Case, CaseSet, Tolerance } from './cases.ts';
import { addCases, displacementOf } from './generate.ts';

/** What cases of which instruction are made, and where QEMU is no judge. */

/** Whether source and target of an MVCIN overlap, the source being named by its last byte. */
function inverseOverlaps({ code, state }: Case): boolean {
  const at = (n: number): bigint => state.gpr[code[n] >> 4] + BigInt(((code[n] & 15) << 8) | code[n + 1]);
  const distance = at(4) - at(2);
  return distance >= 0n && distance <= 2n * BigInt(code[1]);
}

export const TOLERANCES: readonly Tolerance[] = [
  {
    name: /^mvcin$/,
    part: /^memory$/,
    when: inverseOverlaps,
    reason: 'operands that overlap in more than a byte: unpredictable (Principles of Operation, MOVE INVERSE)',
  },
  { name: /^stmh$/, part: /^memory$/, reason: 'QEMU 7.2 stores low halves shifted left instead of high halves' },
];

/** Instructions that are not compared here, and why. */
export const LEFT_OUT: readonly (readonly [names: RegExp, why: string])[] = [
  [/^svc$/, 'ends the program'],
  [/^(cpya|lmd)$/, 'QEMU 7.2 takes it for no instruction'],
  [/^csst$/, 'QEMU 7.2 aborts'],
];

/** Instructions on even-odd pairs: register 15 is not for cases. */
const PAIRS = /^(flogr|m|mr|mfy|mlg?r?|dr?|dlg?r?|dsgf?r?|s[lr]d[la]|lpdg?|cds[yg]?|lpq|stpq|csst)$/;
/** Loads of a range of registers. */
const RANGES = /^(lmy?|lmg|lmh|lmd)$/;

/** Compare and swap: storage holds what is compared with, half of the time. */
function addSwaps(set: CaseSet, i: S390Instruction, random: Random): void {
  const double = i.name.startsWith('cds');
  const bytes = i.name.endsWith('g') ? 8 : 4;
  addCases(set, i, random, 60, {
    alignment: 16,
    // QEMU 7.2 does not mind an odd R3.
    choose: (f, r) => (double && /^R[13]$/.test(f) ? 2 * r.below(7) : undefined),
    prepare(state, fields, area, r) {
      if (r.chance(50)) return;
      const at = Number(BigInt.asUintN(64, state.gpr[fields.B2] + displacementOf(fields, 2)) - area);
      const view = new DataView(state.memory.buffer);
      for (let n = 0; n < (double ? 2 : 1); n++) {
        const value = state.gpr[fields.R1 + n];
        if (bytes === 8) view.setBigUint64(at + 8 * n, value);
        else view.setUint32(at + 4 * n, Number(value & 0xffffffffn));
      }
    },
  });
}

export function addAll(set: CaseSet, i: S390Instruction, random: Random): void {
  const pair = (field: string, r: Random): number | undefined => (/^R[13]$/.test(field) ? r.below(14) : undefined);
  if (/^(lpq|stpq)$/.test(i.name)) addCases(set, i, random, 30, { alignment: 16, choose: pair });
  else if (/^cds?[yg]?$|^cs[yg]?$/.test(i.name)) addSwaps(set, i, random);
  else if (/^la[anox]/.test(i.name)) addCases(set, i, random, 45, { alignment: 8 });
  else if (PAIRS.test(i.name))
    addCases(set, i, random, 60, { alignment: /^(cds|lpd|csst)/.test(i.name) ? 16 : 1, choose: pair });
  else if (RANGES.test(i.name)) {
    let first = 0;
    const range = (field: string, r: Random): number | undefined => {
      if (field === 'R1') {
        first = r.below(14);
        return first;
      }
      return field === 'R3' ? first + r.below(15 - first) : undefined;
    };
    addCases(set, i, random, 45, { choose: range });
  } else if (/^r[nox]sbg$/.test(i.name)) {
    // With the first bit of I3 on, QEMU 7.2 has wrong condition codes, or aborts.
    addCases(set, i, random, 45, { choose: (f, r) => (f === 'I3' ? r.below(128) : undefined) });
  } else addCases(set, i, random, 45);
}
