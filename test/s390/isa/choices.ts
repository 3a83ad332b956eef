import { unpack } from '../../../src/float/format.ts';
import { EXTENDED, LONG, SHORT } from '../../../src/s390/isa/bfp.ts';
import type { S390Instruction } from '../../../src/s390/isa/common.ts';
import { FLOAT } from '../../../src/s390/isa/float.ts';
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
  {
    name: /^lt[edx]br$/,
    part: /./,
    when: testsSignalling,
    reason: 'QEMU 7.2 leaves signalling NaNs as they are: they are an invalid operation (LOAD AND TEST)',
  },
  { name: /^stmh$/, part: /^memory$/, reason: 'QEMU 7.2 stores low halves shifted left instead of high halves' },
];

/** Instructions that are not compared here, and why. */
export const LEFT_OUT: readonly (readonly [names: RegExp, why: string])[] = [
  [/^svc$/, 'ends the program'],
  [/^(cpya|lmd|cvdg|cvb[yg]?)$/, 'QEMU 7.2 takes it for no instruction'],
  [/^(mdebr?|mxdbr?)$/, 'QEMU 7.2 takes the first operand to be as long as the result'],
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
const LONG_OPERANDS: Readonly<Record<string, readonly [fields: readonly string[], lengths: boolean]>> = {
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
  const [names, lengths] = LONG_OPERANDS[i.name];
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

const SHORTS = [
  0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0xffa00000, 0x3f800000,
  0xbf000000, 0x4f000000, 0xcf000000,
];

/** A short number: a corner, something near 1, or anything. */
function shortNumber(random: Random): number {
  if (random.chance(35)) return random.pick(SHORTS);
  if (random.chance(50)) return ((random.word() & 0x807fffff) | ((0x70 + random.below(0x20)) << 23)) >>> 0;
  return random.word();
}

/** The same as a long one, which may be what a short one is. */
function longNumber(random: Random): bigint {
  if (random.chance(35)) {
    const [sign, rest] = [
      BigInt(random.below(2)) << 63n,
      random.pick([
        0n,
        1n,
        0xfffffffffffffn,
        0x10000000000000n,
        0x7fefffffffffffffn,
        0x7ff0000000000000n,
        0x7ff8000000000001n,
        0x7ff4000000000000n,
        0x3ff0000000000000n,
        0x3fe0000000000000n,
        0x41e0000000000000n,
        0x43e0000000000000n,
        0x41efffffffe00000n,
      ]),
    ];
    return sign | rest;
  }
  if (random.chance(30)) {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, shortNumber(random));
    view.setFloat64(0, view.getFloat32(0));
    return view.getBigUint64(0);
  }
  if (random.chance(60))
    return (random.doubleword() & 0x800fffffffffffffn) | (BigInt(0x3e0 + random.below(0x40)) << 52n);
  return random.doubleword();
}

/** Left half of an extended number. */
function extendedNumber(random: Random): bigint {
  const sign = BigInt(random.below(2)) << 63n;
  if (random.chance(30))
    return (
      sign |
      random.pick([
        0n,
        0x7fff000000000000n,
        0x7fff800000000000n,
        0x7fff400000000000n,
        0x3fff000000000000n,
        0x0001000000000000n,
        0x7ffeffffffffffffn,
      ])
    );
  return sign | (BigInt(0x3fc0 + random.below(0x80)) << 48n) | (random.doubleword() & 0xffffffffffffn);
}

const floats: ReadonlySet<S390Instruction> = new Set(FLOAT);

/** Of three operands one is a NaN or infinity at most: QEMU 7.2 takes any NaN of several, and says so. */
function onlyOneSpecial(state: State, fields: Record<string, number>, random: Random): void {
  const usual = (word: number): number => ((word & 0x7f800000) === 0x7f800000 ? word & ~0x40000000 : word) >>> 0;
  // No seven ones in the first byte: whatever the alignment.
  for (let at = 0; at < state.memory.length; at++) state.memory[at] &= 0xfe;
  for (let n = 0; n < 16; n++) {
    const v = state.fpr[n];
    state.fpr[n] = (BigInt(usual(Number(v >> 32n))) << 32n) | (v & 0xffffffffn);
  }
  if (random.chance(40))
    state.fpr[random.pick([fields.R1, fields.R3])] =
      BigInt(random.pick([0x7f800000, 0xff800000, 0x7fc00000, 0xffa00000, 0x7ff80000, 0x7ff00000])) << 32n;
}

/** Whether the second operand of a load and test is a signalling NaN. */
function testsSignalling({ name, code, state }: Case): boolean {
  const n = code[3] & 15;
  const v = state.fpr[n];
  if (name === 'ltebr') return unpack(v >> 32n, SHORT).kind === 'signalling';
  if (name === 'ltdbr') return unpack(v, LONG).kind === 'signalling';
  return unpack((v << 64n) | state.fpr[(n + 2) & 15], EXTENDED).kind === 'signalling';
}

/** Numbers of the instruction's format in registers and storage, and rounding modes. */
function addFloat(set: CaseSet, i: S390Instruction, random: Random): void {
  const isShort = /e/.test(i.name.replace(/^(ste|le|sqe|me)/, 'e'));
  const isExtended = i.name.includes('x');
  const number = (r: Random): bigint => {
    if (isExtended && r.chance(60)) return extendedNumber(r);
    return isShort && r.chance(70) ? (BigInt(shortNumber(r)) << 32n) | BigInt(r.word()) : longNumber(r);
  };
  const choose: Choice = (field, r) => {
    if (field === 'M3' && i.has('M4')) return r.pick([0, 0, 0, 1, 3, 4, 5, 6, 7]);
    if (field === 'M4') return r.pick([0, 0, 4]);
    if (isExtended && /^R\d$/.test(field) && r.chance(95)) return r.below(15) & ~2;
    return undefined;
  };
  addCases(set, i, random, 90, {
    choose,
    prepare(state, fields, _area, r) {
      for (let n = 0; n < 16; n++) state.fpr[n] = number(r);
      if (isExtended)
        for (const n of [2, 3, 6, 7, 10, 11, 14, 15])
          if (r.chance(60)) state.fpr[n] = r.pick([0n, 1n, 0x8000000000000000n, r.doubleword()]);
      if (r.chance(25)) state.fpr[r.below(16)] = state.fpr[r.below(16)];
      const view = new DataView(state.memory.buffer);
      if (i.name !== 'lfpc')
        for (let at = 0; at < state.memory.length; at += 4)
          view.setUint32(at, isShort || r.chance(30) ? shortNumber(r) : Number(longNumber(r) >> 32n));
      state.fpc = r.pick([0, 0, 0, 1, 2, 3]) | (r.chance(30) ? 0x00f80000 : 0);
      // Exceptions that interrupt, where QEMU has their results: it does not scale them.
      if (r.chance(10) && !/^cl?[fg][edx]br$/.test(i.name)) state.fpc |= r.pick([0x80000000, 0x40000000, 0xc0000000]);
      state.fpc >>>= 0;
      if (/^m[as][ed]br?$/.test(i.name)) onlyOneSpecial(state, fields, r);
      if (i.name === 'sfpc')
        state.gpr.forEach((_, n) => {
          state.gpr[n] = BigInt(r.chance(70) ? r.word() & 0xf8f8ff07 : r.word());
        });
      if (i.name === 'lfpc')
        for (let at = 0; at < state.memory.length; at++)
          if (r.chance(70)) state.memory[at] &= [0xf8, 0xf8, 0xff, 0x03][at % 4];
    },
  });
}

export function addAll(set: CaseSet, i: S390Instruction, random: Random): void {
  const pair = (field: string, r: Random): number | undefined => (/^R[13]$/.test(field) ? r.below(14) : undefined);
  if (floats.has(i)) addFloat(set, i, random);
  else if (/^(lpq|stpq)$/.test(i.name)) addCases(set, i, random, 30, { alignment: 16, choose: pair });
  else if (/^cds?[yg]?$|^cs[yg]?$/.test(i.name)) addSwaps(set, i, random);
  else if (LONG_OPERANDS[i.name]) addLong(set, i, random);
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
