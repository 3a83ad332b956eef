import { describe, expect, it } from 'vitest';
import { PGM } from '../../../src/s390/abi.ts';
import { getCc } from '../../../src/s390/isa/state.ts';
import { FlatMachine } from './flat-model.ts';

/** Decimal arithmetic, which no emulator at hand has: results worked out by hand from chapter 8 of the Principles of Operation. */

const bytes = (text: string): number[] => [...Buffer.from(text.replace(/ /g, ''), 'hex')];
const FIRST = 0x2000n;
const SECOND = 0x2100n;

/** Runs an instruction with its first operand at 0(%r1) and its second at 0(%r2). */
function run(code: string, first: string, second: string): { first: string; cc: number; code: number | undefined } {
  const machine = new FlatMachine({ translate: false, ranges: [{ start: 0n, bytes: 0x4000 }] });
  machine.write(0x1000n, [...bytes(code), 0x0a, 0]);
  machine.write(FIRST, bytes(first));
  machine.write(SECOND, bytes(second));
  machine.setGpr(1, FIRST);
  machine.setGpr(2, SECOND);
  const end = machine.run(0x1000n);
  return {
    first: Buffer.from(machine.memory(FIRST, bytes(first).length)).toString('hex'),
    cc: getCc(machine.context),
    code: end?.kind === 'program' ? end.code : undefined,
  };
}

describe('decimal arithmetic', () => {
  it.each([
    ['ap', 'fa21 1000 2000', '00123c', '045d', '00078c', 2],
    ['ap to a negative', 'fa21 1000 2000', '00012c', '045d', '00033d', 1],
    ['ap to zero', 'fa11 1000 2000', '045c', '045d', '000c', 0],
    ['ap that overflows', 'fa11 1000 2000', '999c', '002c', '001c', 3],
    ['sp', 'fb21 1000 2000', '00123c', '045f', '00078c', 2],
    ['zap', 'f821 1000 2000', 'ffffff', '045b', '00045d', 1],
    ['zap that cuts', 'f812 1000 2000', '0000', '12345c', '345c', 3],
    ['mp', 'fc31 1000 2000', '0000123c', '012d', '0001476d', 0],
    ['dp', 'fd31 1000 2000', '0000125d', '012c', '010d005d', 0],
    ['srp to the left', 'f020 1000 0002', '00123c', '', '12300c', 2],
    ['srp to the right, rounded', 'f025 1000 003f', '00125d', '', '00013d', 1],
  ])('%s', (_, code, first, second, result, cc) => {
    expect(run(code, first, second)).toEqual({ first: result, cc, code: undefined });
  });

  it('compares', () => {
    expect(run('f911 1000 2000', '012c', '013c').cc).toBe(1);
    expect(run('f911 1000 2000', '012d', '013d').cc).toBe(2);
    expect(run('f911 1000 2000', '000d', '000c').cc).toBe(0);
  });

  it('refuses what is no number, and divisors of zero', () => {
    expect(run('fa11 1000 2000', '0a2c', '001c').code).toBe(PGM.DATA);
    expect(run('fa11 1000 2000', '0121', '001c').code).toBe(PGM.DATA);
    expect(run('fd31 1000 2000', '0000125d', '000c').code).toBe(PGM.DECIMAL_DIVIDE);
    expect(run('fc11 1000 2000', '012c', '012c').code).toBe(PGM.SPECIFICATION);
  });

  it('edits', () => {
    // Principles of Operation, appendix A, EDIT: 40 20 20 6b 20 20 21 4b 20 20 40 c3 d9
    expect(run('de0c 1000 2000', '4020206b2020214b202040c3d9', '0257426c')).toEqual({
      first: '40 40 f2 6b f5 f7 f4 4b f2 f6 40 40 40'.replace(/ /g, ''),
      cc: 2,
      code: undefined,
    });
    expect(run('de0c 1000 2000', '4020206b2020214b202040c3d9', '0000026d').first).toBe(
      '40404040404040' + '4bf2f640c3d9',
    );
  });

  it('converts', () => {
    const machine = new FlatMachine({ translate: false, ranges: [{ start: 0n, bytes: 0x4000 }] });
    // cvd %r1,0(%r2); cvb %r3,0(%r2); cvdg %r1,16(%r2); svc 0
    machine.write(0x1000n, bytes('4e102000 4f302000 e3102010002e 0a00'));
    machine.setGpr(1, -1234n);
    machine.setGpr(2, SECOND);
    machine.run(0x1000n);
    expect(Buffer.from(machine.memory(SECOND, 8)).toString('hex')).toBe('000000000001234d');
    expect(machine.gpr(3)).toBe(0xfffffb2en);
    expect(Buffer.from(machine.memory(SECOND + 16n, 16)).toString('hex')).toBe('0000000000000000000000000001234d');
  });
});
