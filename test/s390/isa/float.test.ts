import { describe, expect, it } from 'vitest';
import { DXC, PGM } from '../../../src/s390/abi.ts';
import { fpc, fpr } from '../../../src/s390/isa/state.ts';
import { FlatMachine } from './flat-model.ts';

/** What qemu-s390x 7.2 is no judge of; numbers are plain IEEE 754. */

const bytes = (text: string): number[] => [...Buffer.from(text.replace(/ /g, ''), 'hex')];

function machineWith(code: string, cr0?: bigint): FlatMachine {
  const machine = new FlatMachine({
    translate: false,
    ranges: [{ start: 0n, bytes: 0x4000 }],
    ...(cr0 !== undefined && { cr0 }),
  });
  machine.write(0x1000n, bytes(`${code} 0a00`));
  return machine;
}

const float = (v: number): bigint => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, v);
  return view.getBigUint64(0);
};
const short = (v: number): bigint => BigInt(new Uint32Array(new Float32Array([v]).buffer)[0]) << 32n;

describe('binary floating point', () => {
  it('multiplies short numbers to a long one', () => {
    // mdebr %f1,%f2
    const machine = machineWith('b30c0012');
    machine.context.set64(fpr.slots[1], short(1.5));
    machine.context.set64(fpr.slots[2], short(-2.25));
    expect(machine.run(0x1000n)).toMatchObject({ kind: 'svc' });
    expect(machine.context.get64(fpr.slots[1])).toBe(float(-3.375));
  });

  it('multiplies long numbers to an extended one', () => {
    // mxdbr %f0,%f4: 3 * 0.5 = 1.5
    const machine = machineWith('b3070004');
    machine.context.set64(fpr.slots[0], float(3));
    machine.context.set64(fpr.slots[4], float(0.5));
    machine.run(0x1000n);
    expect(machine.context.get64(fpr.slots[0])).toBe(0x3fff800000000000n);
    expect(machine.context.get64(fpr.slots[2])).toBe(0n);
  });

  it('quiets what a load and test finds signalling', () => {
    // ltdbr %f1,%f2
    const machine = machineWith('b3120012');
    machine.context.set64(fpr.slots[2], 0x7ff4000000000000n);
    machine.run(0x1000n);
    expect(machine.context.get64(fpr.slots[1])).toBe(0x7ffc000000000000n);
    expect(machine.context.get32(fpc)).toBe(0x00800000);
  });

  it('scales an overflow that interrupts, and tells whether it was inexact', () => {
    // mdbr %f1,%f2: 2^1000 * 2^1000 = 2^2000, delivered as 2^(2000 - 1536)
    const machine = machineWith('b31c0012');
    machine.context.set32(fpc, 0x20000000);
    machine.context.set64(fpr.slots[1], float(2 ** 1000));
    machine.context.set64(fpr.slots[2], float(2 ** 1000));
    expect(machine.run(0x1000n)).toMatchObject({ code: PGM.DATA, dataException: DXC.IEEE_OVERFLOW, next: 0x1004n });
    expect(machine.context.get64(fpr.slots[1])).toBe(float(2 ** 464));
  });

  it('is not there without CR0[AFP], and neither are most registers', () => {
    // adbr %f0,%f2; ld %f1,0(%r2); ld %f2,0(%r2)
    expect(machineWith('b31a0002', 0n).run(0x1000n)).toMatchObject({
      code: PGM.DATA,
      dataException: DXC.BFP_INSTRUCTION,
    });
    expect(machineWith('68102000', 0n).run(0x1000n)).toMatchObject({ code: PGM.DATA, dataException: DXC.AFP_REGISTER });
    expect(machineWith('68202000', 0n).run(0x1000n)).toMatchObject({ kind: 'svc' });
  });
});
