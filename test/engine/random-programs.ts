import fc from 'fast-check';
import { encode, type Program, toyIsa } from './toy-isa.ts';
import type { PageMaps } from './toy-model.ts';

/** RAM of the machines that random programs run on. */
export const RAM_PAGES = 12;
const CODE = 0x1000;
const CODE_BYTES = 0x2000;

/**
 * The address space of random programs, in pages: 0 the vectors, 1 and 2 code, 3 data, 4 data that lies elsewhere, 5 data to read only, 6 code
 * and data at once, which is RAM page 1 again, 7 not mapped, 8 data that no TLB keeps, 9 code that is not contiguous with 2. Space 1 has its own
 * page 3, and page 4 is missing.
 */
export function mapSpaces(maps: PageMaps): void {
  const [first, second] = maps;
  const data = { write: true, execute: false };
  const code = { write: true, execute: true };
  first.set(0, { ram: 0, write: false, execute: true });
  first.set(1, { ram: 1, ...code });
  first.set(2, { ram: 2, ...code });
  first.set(3, { ram: 3, ...code });
  first.set(4, { ram: 7, ...data });
  first.set(5, { ram: 5, write: false, execute: false });
  first.set(6, { ram: 1, ...code });
  first.set(8, { ram: 8, ...data, slow: true });
  second.set(2, { ram: 10, ...data });
  second.set(3, { ram: 9, ...data });
  second.set(5, { ram: 2, ...data });
}

/** Addresses near which things happen: page ends, shared and missing pages, the middle of the code. */
const BASES = [0x1ffc, 0x2800, 0x2ffe, 0x3100, 0x3ff9, 0x4ffc, 0x5ffa, 0x6800, 0x7ffd, 0x8ffa] as const;

/** One instruction with random fields, mostly such that it does something that ends well. */
function instruction(): fc.Arbitrary<number[]> {
  const scratch = fc.nat(7);
  const base = fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 6, max: 15 }) },
    { weight: 1, arbitrary: fc.nat(15) },
  );
  const near = fc.oneof(fc.integer({ min: -16, max: 16 }), fc.integer({ min: -600, max: 600 }));
  const field = (name: string, width: number): fc.Arbitrary<number> => {
    if (name === 'R1') return fc.oneof({ weight: 12, arbitrary: scratch }, { weight: 1, arbitrary: fc.nat(15) });
    if (name === 'B' || name === 'B1' || name === 'B2') return base;
    if (name === 'D') return near;
    if (name === 'disp') return fc.integer({ min: -40, max: 40 });
    if (name === 'L') return fc.oneof(fc.nat(20), fc.nat(255));
    if (name === 'D1' || name === 'D2') return fc.nat(32);
    if (name === 'hi') return fc.constantFrom(0, 0xffff);
    if (name === 'lo') return fc.oneof(fc.nat(200), fc.integer({ min: 0xff80, max: 0xffff }));
    return fc.nat(2 ** width - 1);
  };
  const rare = new Set(['br', 'balr', 'ret', 'trap', 'tlt', 'bal', 'ball']);
  const choices = toyIsa.instructions.flatMap((i) => (rare.has(i.name) ? [i] : [i, i, i, i]));
  const known = fc.constantFrom(...choices).chain((i) => {
    const fields = [...i.pattern.fields.values()];
    return fc
      .tuple(...fields.map((f) => field(f.name, f.width)))
      .map((values) => encode(i.name, Object.fromEntries(fields.map((f, n) => [f.name, values[n]]))));
  });
  const garbage = fc.integer({ min: 0, max: 0xffff }).map((half) => [half >> 8, half & 0xff]);
  return fc.oneof({ weight: 100, arbitrary: known }, { weight: 1, arbitrary: garbage });
}

/** Instructions, some of them in loops and behind calls: what the translator is for. */
function block(depth: number): fc.Arbitrary<number[]> {
  const one = instruction();
  if (depth === 0) return one;
  const body = fc.array(block(depth - 1), { minLength: 1, maxLength: 6 }).map((parts) => parts.flat());
  const counter = fc.integer({ min: 0, max: 7 });
  const loop = fc
    .tuple(body, counter, fc.integer({ min: 2, max: 12 }))
    .map(([bytes, R1, times]) => [
      ...encode('li', { R1, I: times }),
      ...bytes,
      ...encode('addi', { R1, R2: R1, I: -1 }),
      ...encode('cjne', { R1, I: 0, disp: -(bytes.length + 4) / 2 }),
    ]);
  const call = body.map((bytes) => [
    ...encode('bc', { N: 1, mask: 0, disp: (bytes.length + 6) / 2 }),
    ...bytes,
    ...encode('ret', {}),
    ...encode('bal', { R1: 14, disp: -(bytes.length + 2) / 2 }),
  ]);
  return fc.oneof({ weight: 6, arbitrary: one }, { weight: 3, arbitrary: loop }, { weight: 1, arbitrary: call });
}

/** Registers to start with: 6 to 15 hold addresses where things happen. */
const startRegisters = fc.tuple(
  ...Array.from({ length: 6 }, () => fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  ...BASES.map((b) => fc.integer({ min: -8, max: 8 }).map((d) => BigInt(b + d))),
);

/** Kept small, so that a counterexample can be read: `partsOf` makes RAM out of it. */
export interface RandomProgram {
  readonly registers: readonly bigint[];
  /** Instructions in hex; loops and calls are one piece. */
  readonly code: readonly string[];
  readonly data: string;
}

/**
 * Where faults go: restores some of the bases and goes to another place in the code each time, so that one bad register does not end the fun.
 */
function vectors(): Program[] {
  const routine = (n: number): number[] => [
    ...BASES.slice(n, n + 4).flatMap((b, i) => encode('li', { R1: 6 + n + i, I: b })),
    ...encode('addi', { R1: 5, R2: 5, I: 38 }),
    ...encode('li', { R1: 0, I: 0x7ff }),
    ...encode('mov', { R1: 1, R2: 5 }),
    ...encode('ld', { size: 1, R1: 2, B: 0, D: 0x40 + 2 * n }),
    ...encode('addi', { R1: 1, R2: 2, I: CODE + 0x10 }),
    ...encode('br', { R2: 1 }),
  ];
  return [
    { origin: 0x40, bytes: [0x00, 0x00, 0x0a, 0x54, 0x10, 0x32, 0x07, 0xf0, 0x1f, 0x0e, 0x13, 0x58], at: {} },
    { origin: 0x100, bytes: routine(0), at: {} },
    { origin: 0x140, bytes: routine(3), at: {} },
    { origin: 0x180, bytes: routine(5), at: {} },
  ];
}

export const randomProgram: fc.Arbitrary<RandomProgram> = fc.record({
  registers: startRegisters,
  code: fc.array(
    block(2).map((bytes) => Buffer.from(bytes).toString('hex')),
    { minLength: 1, maxLength: 30 },
  ),
  data: fc.uint8Array({ minLength: 64, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('hex')),
});

/** What RAM holds at the start. */
export function partsOf({ code, data }: RandomProgram): Program[] {
  const instructions = code.map((text) => [...Buffer.from(text, 'hex')]);
  // Repeated to fill the code pages, so that all of it is code.
  const bytes: number[] = [];
  while (bytes.length < CODE_BYTES) bytes.push(...instructions.flat());
  const pattern = Buffer.from(data, 'hex');
  const filled = (origin: number): Program => ({
    origin,
    bytes: Array.from({ length: 4096 }, (_, i) => pattern[(i * 7) % 64] as number),
    at: {},
  });
  return [...vectors(), { origin: CODE, bytes: bytes.slice(0, CODE_BYTES), at: {} }, filled(0x3000), filled(0x7000)];
}

/** Instructions that only work on registers and flags, by name; `skip` jumps over the next one or two on some flags. */
const REGISTER_WORK = [
  'add',
  'sub',
  'mov',
  'cmp',
  'cmps',
  'setf',
  'getf',
  'nandf',
  'stick',
  'max',
  'inc',
  'li',
  'addi',
  'tlt',
] as const;

/**
 * A loop of a few instructions on four registers and four flags: dense in what a translator keeps in mind between instructions, such as flags
 * that are not computed yet. In hex; the loop counts in r7 and then traps.
 */
export const hotLoop: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc
          .tuple(
            fc.constantFrom(...REGISTER_WORK),
            fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }),
            fc.integer({ min: -3, max: 3 }),
          )
          .map(([name, [a, b, c], I]): number[] => {
            if (name === 'setf') return encode(name, { F: a, R2: b });
            if (name === 'stick') return encode(name, { R2: a });
            if (name === 'getf') return encode(name, { F: a, R1: b });
            if (name === 'nandf') return encode(name, { F: a, G: b, H: c });
            if (name === 'inc') return encode(name, { R1: a, i: b });
            if (name === 'li') return encode(name, { R1: a, I });
            if (name === 'addi') return encode(name, { R1: a, R2: b, I });
            // Seldom true: r6 is the smallest or so.
            if (name === 'tlt') return encode(name, { R1: c, R2: 6 });
            return encode(name, { R1: a, R2: b });
          }),
      },
      {
        weight: 2,
        arbitrary: fc
          .tuple(fc.nat(1), fc.nat(15), fc.constantFrom(6, 8, 10))
          .map(([N, mask, bytes]) => [
            ...encode('bc', { N, mask, disp: bytes / 2 }),
            ...encode('mov', { R1: 5, R2: 5 }),
          ]),
      },
    ),
    { minLength: 2, maxLength: 14 },
  )
  .map((parts) => {
    // Padding behind the body: a skip at its end may go that far.
    const body = [...parts.flat(), ...encode('mov', { R1: 5, R2: 5 }), ...encode('mov', { R1: 5, R2: 5 })];
    const end = [
      ...encode('addi', { R1: 7, R2: 7, I: -1 }),
      ...encode('cjne', { R1: 7, I: 0, disp: -(body.length + 4) / 2 }),
      ...encode('trap', { code: 1 }),
    ];
    return Buffer.from([...body, ...end]).toString('hex');
  });
