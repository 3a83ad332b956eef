import { describe, expect, test } from 'vitest';
import { ProgramMachine } from './s390-program.ts';

const PLACES = [
  { sie: false, interpret: true },
  { sie: true, interpret: false },
];

/** Where the programs leave R2 to R6 by `STMG 2,6,0x800`, before the wait that a supervisor call leads to. */
const STORE_AND_END = 'eb2608000024 0a00';

function registersAfter(code: string, options: { readonly sie: boolean; readonly interpret: boolean }): bigint[] {
  const machine = new ProgramMachine(`${code} ${STORE_AND_END}`, options);
  machine.run();
  return [2, 3, 4, 5, 6].map((_, n) => machine.get(0x800 + 8 * n, 8));
}

// By the Principles of Operation, chapter 7: QEMU 7.2, the judge of the other control instructions, has neither.
describe.each(PLACES)('addressing modes by branches, %o', (place) => {
  test('BSM goes to 31-bit mode and leaves in register 1 that it was 64-bit', () => {
    const found = registersAfter(
      [
        'c01000000008', // larl %r1,target
        'a51a8000', // oilh %r1,0x8000
        'a7290000', // lghi %r2,0
        '0b21', // bsm %r2,%r1
        // target:
        '010b', // tam
        'b2220030', // ipm %r3
        'c04000000008', // larl %r4,back
        'a54b0001', // oill %r4,1
        'a759ffff', // lghi %r5,-1
        '0b54', // bsm %r5,%r4
        // back:
        '010b', // tam
        'b2220060', // ipm %r6
      ].join(' '),
      place,
    );
    expect([found[0], found[1], found[3], found[4]]).toEqual([1n, 0x10000000n, 0xffffffff_ffffffffn, 0x30000000n]);
  });

  test('BASSM leaves the address behind it, with the mode in bit 63 or in bit 32', () => {
    const found = registersAfter(
      [
        'c01000000008', // larl %r1,target
        'a51a8000', // oilh %r1,0x8000
        'a729ffff', // lghi %r2,-1
        '0c21', // bassm %r2,%r1
        // target, at 0x10010:
        'c04000000008', // larl %r4,back
        'a54b0001', // oill %r4,1
        'a759ffff', // lghi %r5,-1
        '0c54', // bassm %r5,%r4
        // back, at 0x10020:
      ].join(' '),
      place,
    );
    expect([found[0], found[3]]).toEqual([0x10011n, 0xffffffff_80010020n]);
  });
});

describe.each(PLACES)('program interruptions without an end, %o', (place) => {
  test('do not hold the clock', () => {
    const machine = new ProgramMachine('0000', place);
    machine.put(464, 0n);
    machine.put(472, 0n);
    expect(machine.run().kind).toBe('limit');
  });
});
