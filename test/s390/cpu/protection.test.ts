import { describe, expect, test } from 'vitest';
import { LOWCORE, PGM } from '../../../src/s390/abi.ts';
import { ProgramMachine } from './s390-program.ts';

/** LGHI 1,0x3000. */
const ADDRESS = 'a719 3000';
/** LGHI 2,key; SSKE 2,1. */
const key = (value: number): string => `${ADDRESS} a729 00${value.toString(16).padStart(2, '0')} b22b 0021`;
/** SPKA: the key in the address. */
const spka = (value: number): string => `b20a 00${value.toString(16)}0`;
const SVC = '0a00';

/** The end of a run: the SVC, or a program interruption with the low half of its TEID. */
function run(
  code: string,
  how: object,
  prepare: (m: ProgramMachine) => void = () => {},
): { end: string; teid: bigint; m: ProgramMachine } {
  const m = new ProgramMachine(code, how);
  prepare(m);
  m.run();
  const program = Number(m.get(LOWCORE.PROGRAM_CODE, 2));
  return { end: m.end === 0xc0n ? 'svc' : `program ${program}`, teid: m.get(LOWCORE.TRANSLATION_EXCEPTION_ID, 8), m };
}

const cc = (m: ProgramMachine): number => Number((m.get(LOWCORE.SVC_OLD, 8) >> 44n) & 3n);
const PROTECTION = `program ${PGM.PROTECTION}`;

describe.each([
  { interpret: false },
  { interpret: true },
])('key-controlled protection (Principles of Operation, chapter 3), %o', (how) => {
  test.each([
    ['the same key stores', key(0x38), spka(3), '5010 1000', 'svc'],
    ['another one does not', key(0x30), spka(4), '5010 1000', PROTECTION],
    ['another one fetches', key(0x30), spka(4), '5810 1000', 'svc'],
    ['but not with fetch protection', key(0x38), spka(4), '5810 1000', PROTECTION],
    ['key 0 does all', key(0x38), spka(0), '5010 1000', 'svc'],
  ])('%s', (_, set, own, access, end) => {
    expect(run(set + own + access + SVC, how).end).toBe(end);
  });

  test('the TEID has the page and the kind of access, and neither bit 56 nor 61', () => {
    expect(run(`${key(0x30)}${spka(4)}50101000${SVC}`, how).teid).toBe(0x3400n);
    expect(run(`${key(0x38)}${spka(4)}58101000${SVC}`, how).teid).toBe(0x3800n);
  });

  test('a key counts from the next access on, also where the page was used before', () => {
    expect(run(`${ADDRESS}50101000${key(0x30)}${spka(4)}50101000${SVC}`, how).end).toBe(PROTECTION);
  });

  test('fetch-protection override opens the first 2048 bytes (CR0 bit 38)', () => {
    // LCTLG 0,0,0x200; LGHI 2,0x38; LGHI 3,0; SSKE 2,3; SPKA; LGHI 1,0x7f0 or 0x800; L 4,0(1).
    const code = (at: string): string =>
      `eb00 0200 002f a729 0038 a739 0000 b22b 0023 ${spka(4)} a719 ${at} 5840 1000 ${SVC}`;
    const override = (m: ProgramMachine): void => m.put(0x200, 0x020000e0n);
    expect(run(code('07f0'), how, override).end).toBe('svc');
    expect(run(code('0800'), how, override).end).toBe(PROTECTION);
    expect(run(code('07f0'), how).end).toBe(PROTECTION);
  });

  test('storage-protection override opens pages of key 9 (CR0 bit 39)', () => {
    const code = (of: number): string => `eb00 0200 002f ${key(of)}${spka(4)}50101000${SVC}`;
    const override = (m: ProgramMachine): void => m.put(0x200, 0x010000e0n);
    expect(run(code(0x98), how, override).end).toBe('svc');
    expect(run(code(0x88), how, override).end).toBe(PROTECTION);
  });

  test.each([
    ['its own key', 0x38, 3, 0],
    ['one that fetches', 0x30, 4, 1],
    ['one that does nothing', 0x38, 4, 2],
  ])('TPROT: %s', (_, storage, access, expected) => {
    // TPROT 0(1),access; ISKE 5,1; STC 5,0x300.
    const { m } = run(`${key(storage)}e501 1000 00${access}0 b229 0051 ${SVC}`, how);
    expect(cc(m)).toBe(expected);
  });

  test('TPROT is no access: reference and change bits stay', () => {
    // TPROT 0(1),0; ISKE 5,1; STC 5,0x300.
    const { m } = run(`${key(0x30)}e501 1000 0000 b229 0051 4250 0300 ${SVC}`, how);
    expect(m.get(0x300, 1)).toBe(0x30n);
  });

  test('RRBE gives reference and change bits, and resets the first', () => {
    // ST 2,0(1); RRBE 0,1; ISKE 5,1; STC 5,0x300.
    const { m } = run(`${key(0x30)}5020 1000 b22a 0001 b229 0051 4250 0300 ${SVC}`, how);
    expect(cc(m)).toBe(3);
    expect(m.get(0x300, 1)).toBe(0x32n);
  });
});

test('SIGP stop and store status stores at absolute 0x1200, whatever the prefix', () => {
  // LGHI 1,0x4000 (via ST, SPX); LGHI 4,0x77; SIGP 0,3,9 to itself.
  const m = new ProgramMachine(`a719 4000 5010 0200 b210 0200 a749 0077 ae03 0009`);
  m.run();
  expect(m.get(LOWCORE.SAVE_GPR + 8 * 4, 8)).toBe(0x77n);
  expect(m.get(LOWCORE.SAVE_PREFIX, 4)).toBe(0x4000n);
  expect(m.get(LOWCORE.ARCHITECTURE_MODE, 1)).toBe(1n);
});
