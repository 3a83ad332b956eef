import type { PowerInstruction } from '../../../src/powerpc/isa/common.ts';
import { CORNERS, operand, type Random } from '../../support/random.ts';
import { accessesOf, type CaseSet, emptyState, encode, randomMemory, type State, XER_FLAGS } from './cases.ts';
import { FREE_GPRS, RECORD, type Stub } from './qemu-program.ts';

const GPR_FIELDS: ReadonlySet<string> = new Set(['RT', 'RA', 'RB', 'RS', 'RC']);
const MASK = (1n << 64n) - 1n;

/** Values of some fields; the rest is random. */
export type Choice = (field: string, random: Random) => number | undefined;

/** Random values for all fields of an instruction, registers from those that are free. */
export function randomFields(
  i: PowerInstruction,
  random: Random,
  choose: Choice = () => undefined,
): Record<string, number> {
  const fields: Record<string, number> = {};
  for (const { name, width } of i.pattern.fields.values()) {
    const chosen = choose(name, random);
    fields[name] = chosen ?? (GPR_FIELDS.has(name) ? random.pick(FREE_GPRS) : random.word() & (2 ** width - 1));
  }
  return fields;
}

export function randomState(random: Random, value: (random: Random) => bigint = operand): State {
  return {
    ...emptyState(),
    gpr: Array.from({ length: 32 }, () => value(random)),
    cr: random.word(),
    xer: random.word() & XER_FLAGS,
    ctr: random.chance(30) ? BigInt(random.below(3)) | (random.chance(30) ? 0x5_0000_0000n : 0n) : value(random),
    lr: value(random),
    tar: value(random),
  };
}

/** Adds cases of an instruction that touches registers only. */
export function addRegisterCases(
  set: CaseSet,
  i: PowerInstruction,
  random: Random,
  sets: number,
  choose?: Choice,
): void {
  for (let n = 0; n < sets; n += 3) {
    const word = encode(i, randomFields(i, random, choose));
    const stub = set.stubs.add([word]);
    for (let k = 0; k < 3; k++) set.add(i.name, [word], stub, aimed(i, stub, random, randomState(random)));
  }
}

/** Adds all pairs of corner values in RA or RS and RB. */
export function addCornerCases(set: CaseSet, i: PowerInstruction, random: Random, choose?: Choice): void {
  const second = i.pattern.fields.has('RB') ? CORNERS : [0n];
  const first = i.pattern.fields.has('RA') ? 'RA' : 'RS';
  const source = i.pattern.fields.has('RT') ? first : 'RS';
  const fixed: Record<string, number> = { RA: 4, RB: 5, RS: 6, RT: 7, RC: 8 };
  for (let variant = 0; variant < 2; variant++) {
    const word = encode(
      i,
      randomFields(i, random, (f, r) => fixed[f] ?? choose?.(f, r)),
    );
    const stub = set.stubs.add([word]);
    for (const a of CORNERS) {
      for (const b of second) {
        const state = randomState(random);
        state.gpr[fixed[source] as number] = a;
        state.gpr[5] = b;
        set.add(i.name, [word], stub, state);
      }
    }
  }
}

/** Points LR, CTR and TAR to the stub's target where a branch uses them; also adds the low bits that a branch ignores. */
function aimed(i: PowerInstruction, stub: Stub, random: Random, state: State): State {
  const target = stub.target | BigInt(random.below(4));
  if (i.name === 'bclr') state.lr = target;
  if (i.name === 'bcctr') state.ctr = target;
  if (i.name === 'bctar') state.tar = target;
  return state;
}

/** Singles at which conversions go wrong: zeros, denormals, the ends of the range, infinities, NaNs of both kinds. */
const SINGLES = [
  0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffbfffff,
  0x3f800000,
];

/** Doubles that are singles, denormal as singles or not, or no singles at all; and memory full of singles. */
function floatState(random: Random): Pick<State, 'fpr' | 'memory'> {
  const memory = randomMemory(random);
  if (random.chance(50)) {
    const view = new DataView(memory.buffer);
    for (let at = 0; at < memory.length; at += 4) if (random.chance(50)) view.setUint32(at, random.pick(SINGLES));
    // In the byte order of little-endian programs too.
    if (random.chance(50)) for (let at = 0; at < memory.length; at += 4) view.setUint32(at, view.getUint32(at), true);
  }
  const fpr = Array.from({ length: 32 }, () => {
    const bits = random.doubleword();
    if (random.chance(30)) return bits;
    const exponent = BigInt(
      random.pick([0, 0x7ff, 0x369 + random.below(40), 0x380 + random.below(255), 0x381, 0x380, 0x47f]),
    );
    const fraction = bits & 0xfffffffffffffn & (random.chance(50) ? ~0x1fffffffn : -1n);
    return (bits & (1n << 63n)) | (exponent << 52n) | fraction;
  });
  return { fpr, memory };
}

/** Adds cases of an instruction that loads or stores near (RA) + displacement or (RA|0) + (RB). */
export function addMemoryCases(
  set: CaseSet,
  i: PowerInstruction,
  random: Random,
  sets: number,
  choose?: Choice,
  align = 1,
): void {
  const { fields } = i.pattern;
  const update = /^(l|st)f?[bhwds][a-z]*ux?$/.test(i.name) && !/^(stfiwx|lfiw)/.test(i.name);
  const indexed = fields.has('RB');
  for (let n = 0; n < sets; n++) {
    const f = randomFields(i, random, choose);
    const target = fields.has('RT') ? 'RT' : 'RS';
    if (indexed) {
      if (!update && random.chance(20)) f.RA = 0;
      while (f.RA === f.RB) f.RB = random.pick(FREE_GPRS);
    }
    while ((!indexed || update) && f.RA === 0) f.RA = random.pick(FREE_GPRS);
    while (update && i.name.startsWith('l') && fields.has('RT') && f.RA === f[target])
      f[target] = random.pick(FREE_GPRS);
    while (indexed && f.RA === f.RB) f.RB = random.pick(FREE_GPRS);
    // A pair that is loaded must not hold the address.
    const pair = f.RTp ?? -1;
    while ([f.RA, f.RB].some((n) => n !== undefined && n >> 1 === pair)) {
      f.RA = random.pick(FREE_GPRS.filter((n) => n !== 0 && n !== f.RB));
      if (indexed) f.RB = random.pick(FREE_GPRS.filter((n) => n !== f.RA));
    }
    const word = encode(i, f);
    const stub = set.stubs.add([word]);
    const size = Math.max(1, ...accessesOf(i, word));
    for (let k = 0; k < 2; k++) {
      const state = { ...randomState(random), ...floatState(random) };
      const offset = 64 + Math.floor(random.below(RECORD.memoryBytes - 128 - size) / align) * align;
      const ea = set.memoryOf(set.cases.length) + BigInt(offset);
      pointTo(i, f, state, ea, random);
      set.add(i.name, [word], stub, state);
    }
  }
}

/** Sets base and index registers so that the effective address is `ea`. */
export function pointTo(
  i: PowerInstruction,
  f: Readonly<Record<string, number>>,
  state: State,
  ea: bigint,
  random: Random,
): void {
  const signed = (name: string, width: number, scale: bigint): bigint =>
    BigInt.asIntN(width, BigInt(f[name] as number)) * scale;
  const { fields } = i.pattern;
  if (fields.has('RB')) {
    if (f.RA === 0) state.gpr[f.RB as number] = ea;
    else {
      const index = random.chance(50) ? operand(random) : BigInt.asUintN(64, BigInt(random.below(64) - 32));
      state.gpr[f.RB as number] = index;
      state.gpr[f.RA as number] = (ea - index) & MASK;
    }
    return;
  }
  const displacement = fields.has('D')
    ? signed('D', 16, 1n)
    : fields.has('DS')
      ? signed('DS', 14, 4n)
      : fields.has('DQ')
        ? signed('DQ', 12, 16n)
        : 0n;
  state.gpr[f.RA as number] = (ea - displacement) & MASK;
}

/** Load and reserve followed by a store conditional to the same address, with or without a store in between. */
export function addReservationCases(set: CaseSet, all: readonly PowerInstruction[], random: Random): void {
  const named = (name: string): PowerInstruction => {
    const found = all.find((i) => i.name === name);
    if (found === undefined) throw new Error(`no instruction ${name}`);
    return found;
  };
  // Not q: with QEMU 7.2 stqcx. never succeeds, because lqarx notes the address of the second half.
  for (const size of ['b', 'h', 'w', 'd']) {
    for (let n = 0; n < 40; n++) {
      const words = [encode(named(`l${size}arx`), { RT: 4, RA: 5, RB: 6, EH: n & 1 })];
      if (n % 4 === 1) words.push(encode(named('std'), { RS: 7, RA: 8, DS: 0 }));
      const other = n % 4 === 2 ? 9 : 6;
      words.push(encode(named(`st${size}cx.`), { RS: 7, RA: 5, RB: other }));
      if (n % 4 === 3) words.push(encode(named(`st${size}cx.`), { RS: 8, RA: 5, RB: 6 }));
      const stub = set.stubs.add(words);
      const state = { ...randomState(random), memory: randomMemory(random) };
      const ea = set.memoryOf(set.cases.length) + 64n + 16n * BigInt(random.below(8));
      Object.assign(state.gpr, { 5: ea - 32n, 6: 32n, 8: ea, 9: 48n });
      set.add(`l${size}arx+`, words, stub, state);
    }
  }
}

/** Straight pieces of code of many instructions, so that what one leaves is what the next starts from. */
export function addSequences(set: CaseSet, from: readonly PowerInstruction[], random: Random, count: number): void {
  const base = 31;
  const others = FREE_GPRS.filter((n) => n !== base);
  for (let n = 0; n < count; n++) {
    const few = Array.from({ length: 6 }, () => random.pick(others));
    const words: number[] = [];
    const length = 5 + random.below(25);
    while (words.length < length) {
      const i = random.pick(from);
      const { fields } = i.pattern;
      const f = randomFields(i, random, (name) => (GPR_FIELDS.has(name) ? random.pick(few) : undefined));
      if (accessesOf(i, encode(i, f)).length > 0) {
        // Only displacements from the base register are known to stay inside the buffer.
        if (fields.has('RB') || /u$/.test(i.name)) continue;
        f.RA = base;
        if (fields.has('D')) f.D = random.below(64);
        if (fields.has('DS')) f.DS = random.below(16);
      }
      words.push(encode(i, f));
    }
    const stub = set.stubs.add(words);
    const state = { ...randomState(random), memory: randomMemory(random) };
    state.gpr[base] = set.memoryOf(set.cases.length) + 128n;
    set.add('sequence', words, stub, state);
  }
}
