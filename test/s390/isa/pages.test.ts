import { describe, expect, it } from 'vitest';
import { FlatMachine } from './flat-model.ts';

/** Operands on two pages, of which one may be missing: nothing is half done (Principles of Operation, "Interruption of an instruction"). */

const bytes = (text: string): number[] => [...Buffer.from(text.replace(/ /g, ''), 'hex')];
const BOUNDARY = 0x4000n;

/** Pages at 0x1000 (code), 0x3000, and 0x4000 as asked for; operands are addressed by registers 1 and 2. */
function machineWith(code: string, translate: boolean, second: 'there' | 'read-only' | 'missing'): FlatMachine {
  const machine = new FlatMachine({
    translate,
    hotThreshold: 1,
    ranges: [
      { start: 0x1000n, bytes: 0x2000 },
      { start: 0x3000n, bytes: 0x1000 },
      ...(second === 'missing' ? [] : [{ start: BOUNDARY, bytes: 0x1000, readOnly: second === 'read-only' }]),
    ],
  });
  // A loop of two passes, so that the instruction gets translated: code; brct %r3,-; svc 0
  const body = bytes(code);
  const back = 0x10000 - body.length / 2;
  machine.write(0x1000n, [...body, 0xa7, 0x36, back >> 8, back & 0xff, 0x0a, 0]);
  return machine;
}

/** Makes the loop hot on operands far from the boundary, then runs it once at the boundary. */
function run(machine: FlatMachine, first: bigint, second: bigint): ReturnType<FlatMachine['run']> {
  const start = (r1: bigint, r2: bigint, count: bigint): ReturnType<FlatMachine['run']> => {
    machine.setGpr(1, r1);
    machine.setGpr(2, r2);
    machine.setGpr(3, count);
    return machine.run(0x1000n, 10_000);
  };
  start(0x3100n, 0x3400n, 20n);
  for (let n = 0; n < 256; n++) machine.memory(0x3f00n, 256)[n] = n;
  return start(first, second, 1n);
}

const page = (machine: FlatMachine): string => Buffer.from(machine.memory(0x3f00n, 256)).toString('hex');
const untouched = Buffer.from(Uint8Array.from({ length: 256 }, (_, n) => n)).toString('hex');

describe.each([false, true])('translated: %s', (translate) => {
  it.each([
    ['stmg %r4,%r8,0(%r1)', 'eb4810000024'],
    ['stm %r4,%r8,0(%r1)', '90481000'],
    ['stcm %r4,7,0(%r1)', 'be471000'],
    ['mvc 0(24,%r1),0(%r2)', 'd21710002000'],
    ['mvc 0(200,%r1),0(%r2)', 'd2c710002000'],
    ['xc 0(24,%r1),0(%r1)', 'd71710001000'],
    ['oc 0(24,%r1),0(%r2)', 'd61710002000'],
    ['tr 0(24,%r1),0(%r2)', 'dc1710002000'],
    ['stg %r4,0(%r1)', 'e34010000024'],
  ])('%s stores all or nothing', (name, code) => {
    for (const second of ['missing', 'read-only'] as const) {
      const machine = machineWith(code, translate, second);
      expect(run(machine, BOUNDARY - 2n, 0x3400n)).toMatchObject({ kind: 'fault', address: BOUNDARY });
      expect(machine.context.pc).toBe(0x1000n);
      expect(page(machine)).toBe(untouched);
    }
    const machine = machineWith(code, translate, 'there');
    for (let n = 4; n < 9; n++) machine.setGpr(n, BigInt(n) * 0x0101010101010101n);
    expect(run(machine, BOUNDARY - 2n, 0x3400n)).toMatchObject({ kind: 'svc' });
    if (!/^mvc|^st/.test(name)) return;
    // What it stores on two pages is what it stores on one.
    const other = machineWith(code, translate, 'there');
    for (let n = 4; n < 9; n++) other.setGpr(n, BigInt(n) * 0x0101010101010101n);
    run(other, 0x3500n, 0x3400n);
    const across = [...machine.memory(BOUNDARY - 2n, 2), ...machine.memory(BOUNDARY, 1)];
    expect(across).toEqual([...other.memory(0x3500n, 3)]);
  });

  it('loads several registers or none', () => {
    // lmg %r4,%r8,0(%r1)
    const machine = machineWith('eb4810000004', translate, 'missing');
    for (let n = 4; n < 9; n++) machine.setGpr(n, 0n);
    run(machine, BOUNDARY - 32n, 0n);
    const before = [4, 5, 6, 7, 8].map((n) => machine.gpr(n));
    expect(machine.model.end).toMatchObject({ kind: 'fault', access: 'load', address: BOUNDARY });
    // The pass before the fault loaded zeros.
    expect(before).toEqual([0n, 0n, 0n, 0n, 0n]);
  });

  it('copies onto itself byte by byte', () => {
    // mvc 1(23,%r1),0(%r1)
    const machine = machineWith('d21610011000', translate, 'there');
    run(machine, 0x3f10n, 0n);
    expect([...machine.memory(0x3f10n, 25)]).toEqual([...new Array<number>(24).fill(0x10), 0x28]);
  });

  it('interrupts a long move where it faults, with registers that say how far it got', () => {
    // mvcl %r4,%r6 with 64 bytes from 0x3400 to the boundary less 16
    const machine = machineWith('0e46', translate, 'missing');
    machine.setGpr(1, 0n);
    machine.setGpr(3, 1n);
    machine.setGpr(4, BOUNDARY - 16n);
    machine.setGpr(5, 64n);
    machine.setGpr(6, 0x3400n);
    machine.setGpr(7, 64n);
    machine.memory(0x3400n, 64).fill(0xaa);
    expect(machine.run(0x1000n)).toMatchObject({ kind: 'fault', access: 'store', address: BOUNDARY });
    expect([4, 5, 6, 7].map((n) => machine.gpr(n))).toEqual([BOUNDARY, 48n, 0x3410n, 48n]);
    expect([...machine.memory(BOUNDARY - 16n, 16)]).toEqual(new Array(16).fill(0xaa));
  });
});
