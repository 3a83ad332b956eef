import type { S390Instruction } from '../../../src/s390/isa/common.ts';
import type { Random } from '../../support/random.ts';
import { type Case, type CaseSet, encode, type State, type Tolerance } from './cases.ts';
import { addCases, aim, type Choice, displacementOf, randomFields, randomState, storageOperands } from './generate.ts';

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
  { name: /^unpk$/, part: /^memory$/, reason: 'QEMU 7.2 drops the leftmost byte of a source shorter than the target' },
  { name: /^pk[au]$/, part: /^memory$/, reason: 'QEMU 7.2 drops the leftmost character' },
  { name: /^stmh$/, part: /^memory$/, reason: 'QEMU 7.2 stores low halves shifted left instead of high halves' },
];

/** Instructions that are not compared here, and why. */
export const LEFT_OUT: readonly (readonly [names: RegExp, why: string])[] = [
  [/^svc$/, 'ends the program'],
  [/^(cpya|lmd|cvdg|cvb[yg]?)$/, 'QEMU 7.2 takes it for no instruction'],
  [/^csst$/, 'QEMU 7.2 aborts'],
  [/^stck[ef]?$/, 'time'],
  [/^(ed|edmk|ap|sp|zap|cp|mp|dp|srp)$/, 'QEMU has no decimal arithmetic: see test/s390/isa/decimal.test.ts'],
  [/^exr?l?$/, 'has cases of its own'],
  [/^(bprp|bpp|niai)$/, 'QEMU 7.2 has no execution hints'],
];

/** Instructions on even-odd pairs: register 15 is not for cases. */
const PAIRS = /^(flogr|m|mr|mfy|mlg?r?|dr?|dlg?r?|dsgf?r?|s[lr]d[la]|lpdg?|cds[yg]?|lpq|stpq|csst)$/;
/** Loads of a range of registers. */
const RANGES = /^(lmy?|lmg|lmh|lmd)$/;

/** Instructions whose operands are described by registers, with the fields that name them and whether a length is behind each. */
const LONG: Readonly<Record<string, readonly [fields: readonly string[], lengths: boolean]>> = {
  mvcl: [['R1', 'R2'], true],
  clcl: [['R1', 'R2'], true],
  mvcle: [['R1', 'R3'], true],
  clcle: [['R1', 'R3'], true],
  mvclu: [['R1', 'R3'], true],
  clclu: [['R1', 'R3'], true],
  srst: [['R1', 'R2'], false],
  srstu: [['R1', 'R2'], false],
  mvst: [['R1', 'R2'], false],
  clst: [['R1', 'R2'], false],
  cksm: [['R2'], true],
  tre: [['R1', 'R2'], true],
};

/** jo to the instruction that ends there: what is interrupted with condition code 3 goes on. */
const againWhile3 = (length: number): number[] => [0xa7, 0x14, 0xff, 0x100 - length / 2];

/**
 * Cases of those: operands within the area, apart, and bytes that are looked for in register 0. Register 14 is not one of a pair, because 15
 * is not for cases.
 */
function addLong(set: CaseSet, i: S390Instruction, random: Random): void {
  const [names, lengths] = LONG[i.name];
  for (let n = 0; n < 60; n++) {
    // Even and different, but for a few; the string ones must not name register 0 or each other.
    const registers = [2, 4, 6, 8, 10, 12].sort(() => random.below(3) - 1);
    const fields: Record<string, number> = { B2: 0, D2: random.word() & 0xfff, DL2: random.word() & 0xfff, DH2: 0 };
    names.forEach((name, k) => {
      fields[name] = random.chance(lengths ? 3 : 30) ? registers[k] + 1 : registers[k];
    });
    if (i.name === 'cksm') fields.R1 = random.pick([0, 1, 14]);
    const code = encode(i, fields);
    const stub = set.stubs.add([...code, ...(/^(cl?clu?|mvcl|cl?cl)$/.test(i.name) ? [] : againWhile3(code.length))]);
    const state = randomState(random);
    const area = set.memoryOf(set.cases.length);
    const unit = i.name.endsWith('u') ? 2 : 1;
    const few = random.chance(50);
    // Alike operands, so that comparisons get far; few different bytes, so that searches find some.
    for (let at = 0; at < state.memory.length; at++) {
      if (few) state.memory[at] = random.pick([1, 2, 3]) * (random.chance(97) ? 1 : 0);
      else if (random.chance(30)) state.memory[at] = 0;
    }
    const starts = names.map((_, k) => k * 256 + random.below(32));
    if (random.chance(60)) state.memory.copyWithin(starts.at(-1) as number, starts[0], starts[0] + 120);
    names.forEach((name, k) => {
      const length = random.chance(15) ? 0 : random.below(200);
      state.gpr[fields[name]] = area + BigInt(starts[k]);
      if (!lengths) return;
      // QEMU 7.2 does not mind odd lengths of halfwords.
      const whole = unit === 2 ? length & ~1 : length;
      const keepsTop = /^(mvcl|clcl)$/.test(i.name);
      const top = keepsTop ? (BigInt(random.word()) << 32n) | BigInt((random.below(256) << 24) >>> 0) : 0n;
      if (i.name !== 'tre' || k === 0) state.gpr[fields[name] + 1] = top | BigInt(whole);
    });
    if (/^srstu?$/.test(i.name)) state.gpr[fields.R1] = area + BigInt(starts[1] + unit * random.below(100));
    if (lengths && i.name !== 'tre') {
      // Register 0 is not looked at.
    } else {
      const byte = random.chance(50) ? random.below(4) : state.memory[starts[0] + random.below(100)];
      state.gpr[0] =
        (state.gpr[0] & 0xffffffff00000000n) | (random.chance(4) && i.name !== 'clst' ? 0x10001n : BigInt(byte));
      // The searches end for sure.
      if (/^(mvst|clst)$/.test(i.name)) {
        for (const start of starts) state.memory[start + 150 + random.below(50)] = Number(state.gpr[0] & 0xffn);
      }
    }
    set.add(i.name, code, stub, state);
  }
}

/** EXRL of an instruction that lies behind the stub: register 1's last byte changes what it does. */
export function addExecuted(set: CaseSet, inner: S390Instruction, random: Random): void {
  for (let n = 0; n < 24; n++) {
    const register = random.pick([0, 1, 5]);
    // What is put into the second byte must not make register 15 of another.
    const names = !inner.has('L1') && !inner.has('I2') ? true : inner.has('R1');
    const choose: Choice = (field, r) => (names && /^[RX]\d$/.test(field) ? r.below(8) : undefined);
    const fields = randomFields(inner, random, choose);
    if (inner.has('L1') && random.chance(80)) fields.L1 = 0;
    const state = randomState(random);
    if (names) state.gpr[register] &= ~0x99n;
    if ([fields.B1, fields.B2].includes(register) || fields.X2 === fields.B2) continue;
    if (storageOperands(inner).length > 0 && !aim(set, inner, fields, state, random, {})) continue;
    const distance = Math.ceil((6 + 18) / 8) * 4;
    const code = [0xc6, register << 4, 0, 0, 0, distance];
    set.add(`exrl ${inner.name}`, code, set.stubs.add(code, encode(inner, fields)), state);
  }
}

/** Valid decimal numbers in storage, mostly. */
function decimalStorage(state: State, random: Random): void {
  for (let at = 0; at < state.memory.length; at++) {
    state.memory[at] = random.chance(2) ? random.below(256) : random.below(10) * 16 + random.below(10);
    if (random.chance(30)) state.memory[at] = (state.memory[at] & 0xf0) | random.pick([10, 11, 12, 13, 14, 15]);
  }
}

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
  else if (LONG[i.name]) addLong(set, i, random);
  else if (i.name === 'tp' || /^unpk[au]?$/.test(i.name))
    addCases(set, i, random, 60, { prepare: (s, _f, _a, r) => decimalStorage(s, r) });
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
