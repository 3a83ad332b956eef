import { describe, expect, it } from 'vitest';
import { PGM, PSW } from '../../../src/s390/abi.ts';
import { FlatMachine, type FlatOptions, PROBLEM_PSW } from './flat-model.ts';

const ORIGIN = 0x1000n;

/** Whole bytes from a listing; spaces do not matter. */
const bytes = (text: string): number[] => [...Buffer.from(text.replace(/\s|;.*/gm, ''), 'hex')];

function machineWith(text: string, options: Partial<FlatOptions> = {}): FlatMachine {
  const machine = new FlatMachine({
    translate: false,
    hotThreshold: 1,
    ranges: [{ start: 0n, bytes: 0x4000 }],
    ...options,
  });
  machine.write(ORIGIN, bytes(text));
  return machine;
}

/** Assembled by GNU as 2.40: gcd(1071, 462) by subtraction, then the sum of five words, stored over the first two. */
const PROGRAM = `
  a729042f        ; lghi %r2,1071
  a73901ce        ; lghi %r3,462
  c0e50000001e    ; brasl %r14,gcd
  b90400a2        ; lgr %r10,%r2
  c04000000027    ; larl %r4,array
  a7580005        ; lhi %r5,5
  a7690000        ; lghi %r6,0
  a7790000        ; lghi %r7,0
  e3674000001a    ; sum: algf %r6,0(%r7,%r4)
  41707004        ; la %r7,4(%r7)
  a756fffb        ; brct %r5,sum
  e36040000024    ; stg %r6,0(%r4)
  a75e0000        ; chi %r5,0
  a7740003        ; jne wrong
  0a2a            ; svc 42
  0a01            ; wrong: svc 1
  b9200023        ; gcd: cgr %r2,%r3
  078e            ; ber %r14
  a7440006        ; jl less
  b9090023        ; sgr %r2,%r3
  a7f4fff9        ; j gcd
  b9e92033        ; less: sgrk %r3,%r3,%r2
  c0f4fffffff5    ; jg gcd
  00000001 00000002 00000003 00000004 ffffffff`;

describe.each([false, true])('a program, translated: %s', (translate) => {
  it('runs loops, calls and relative addresses', () => {
    const machine = machineWith(PROGRAM, { translate });
    for (let pass = 0; pass < 4; pass++) {
      machine.write(ORIGIN, bytes(PROGRAM));
      expect(machine.run(ORIGIN)).toEqual({ kind: 'svc', number: 42 });
      expect(machine.gpr(10)).toBe(21n);
      expect(machine.gpr(6)).toBe(0x100000009n);
      expect(machine.gpr(14)).toBe(ORIGIN + 14n);
      expect([...machine.memory(ORIGIN + 0x60n, 8)]).toEqual([0, 0, 0, 1, 0, 0, 0, 9]);
    }
  });
});

describe('addressing modes', () => {
  /** la %r1,8(%r2); basr %r3,0; br %r4 */
  const LINK = '41102008 0d30 07f4';

  it.each([
    ['24-bit', 0n, 0x12345678_00000007n, 0x12345678_00001006n],
    ['31-bit', PSW.BA, 0x12345678_7f000007n, 0x12345678_80001006n],
    ['64-bit', PSW.BA | PSW.EA, 0x9abcdef0_ff000007n, 0x1006n],
  ] as const)('%s mode cuts addresses and saves what goes with it', (_, bits, la, link) => {
    const machine = machineWith(LINK, { psw: PSW.PROBLEM | PSW.DAT | bits });
    machine.setGpr(1, 0x12345678_00000000n);
    machine.setGpr(2, 0x9abcdef0_feffffffn);
    machine.setGpr(3, 0x12345678_00000000n);
    machine.setGpr(4, 0x2000n);
    machine.write(0x2000n, bytes('0a00'));
    expect(machine.run(ORIGIN)).toEqual({ kind: 'svc', number: 0 });
    expect(machine.gpr(1)).toBe(la);
    expect(machine.gpr(3)).toBe(link);
  });
});

describe('program interruptions', () => {
  it('says where execution would go on', () => {
    // ahi %r1,1 with the fixed-point-overflow mask on
    const machine = machineWith('a71a0001', { psw: PROBLEM_PSW | PSW.FIXED_OVERFLOW });
    machine.setGpr(1, 0x7fffffffn);
    expect(machine.run(ORIGIN)).toEqual({
      kind: 'program',
      code: PGM.FIXED_POINT_OVERFLOW,
      dataException: 0,
      next: ORIGIN + 4n,
    });
    expect(machine.gpr(1)).toBe(0x80000000n);
  });

  it('finds odd branch targets once the branch is taken', () => {
    // basr %r14,%r1
    const machine = machineWith('0de1');
    machine.setGpr(1, 0x2001n);
    expect(machine.run(ORIGIN)).toEqual({ kind: 'program', code: PGM.SPECIFICATION, dataException: 0, next: 0x2001n });
    expect(machine.gpr(14)).toBe(ORIGIN + 2n);
  });

  it('knows what is no instruction', () => {
    expect(machineWith('0000').run(ORIGIN)).toMatchObject({ kind: 'program', code: PGM.OPERATION });
  });
});
