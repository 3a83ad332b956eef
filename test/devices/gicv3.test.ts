import { describe, expect, test } from 'vitest';
import { GicV3 } from '../../src/devices/gicv3.ts';

/** Two PEs, 64 shared interrupts; both groups on. Offsets and bits: Arm IHI 0069H, chapter 12. */
function makeGic(): GicV3 {
  const gic = new GicV3({ affinities: [0, 1], spis: 64 });
  gic.distributor.write(0, 4, 3n);
  return gic;
}

const BOTH = 3;
const SGI_FRAME = 0x10000;
const PE1 = 0x20000;

/** Enables a shared interrupt in group 1 for PE 0. */
function enable(gic: GicV3, intid: number, priority: number): void {
  const { distributor } = gic;
  const bit = 1n << BigInt(intid % 32);
  const word = 4 * Math.floor(intid / 32);
  distributor.write(0x80 + word, 4, distributor.read(0x80 + word, 4) | bit);
  distributor.write(0x100 + word, 4, bit);
  distributor.write(0x400 + intid, 1, BigInt(priority));
}

describe('the distributor', () => {
  test('says what it is', () => {
    const { distributor } = makeGic();
    // DS, ARE and both enables; ITLinesNumber for 96 INTIDs; GICv3 in PIDR2.
    expect(distributor.read(0, 4)).toBe(0x53n);
    expect(distributor.read(4, 4) & 0x1fn).toBe(2n);
    expect(distributor.read(0xffe8, 4) & 0xf0n).toBe(0x30n);
  });

  test('gives the interrupt of highest priority, and the lower INTID of two', () => {
    const gic = makeGic();
    for (const [intid, priority] of [
      [40, 0xa0],
      [41, 0x80],
      [42, 0x80],
    ] as const) {
      enable(gic, intid, priority);
      gic.setSpi(intid - 32, true);
    }
    expect(gic.pending(0, BOTH)).toEqual({ intid: 41, priority: 0x80, group: 1 });
    gic.activate(0, 41);
    expect(gic.pending(0, BOTH)?.intid).toBe(42);
    gic.setSpi(10, false);
    expect(gic.pending(0, BOTH)?.intid).toBe(40);
    gic.deactivate(0, 41);
    expect(gic.pending(0, BOTH)?.intid).toBe(41);
  });

  test('a level-sensitive interrupt follows its line, an edge stays', () => {
    const gic = makeGic();
    enable(gic, 33, 0xa0);
    gic.setSpi(1, true);
    expect(gic.distributor.read(0x204, 4)).toBe(2n);
    gic.setSpi(1, false);
    expect(gic.pending(0, BOTH)).toBeNull();
    gic.distributor.write(0xc08, 4, 8n);
    gic.setSpi(1, true);
    gic.setSpi(1, false);
    expect(gic.pending(0, BOTH)?.intid).toBe(33);
    gic.distributor.write(0x284, 4, 2n);
    expect(gic.pending(0, BOTH)).toBeNull();
  });

  test('ICPENDR does not lower a line, ISPENDR needs none', () => {
    const gic = makeGic();
    enable(gic, 33, 0xa0);
    gic.setSpi(1, true);
    gic.distributor.write(0x284, 4, 2n);
    expect(gic.pending(0, BOTH)?.intid).toBe(33);
    gic.setSpi(1, false);
    gic.distributor.write(0x204, 4, 2n);
    expect(gic.pending(0, BOTH)?.intid).toBe(33);
    gic.activate(0, 33);
    gic.deactivate(0, 33);
    expect(gic.pending(0, BOTH)).toBeNull();
  });

  test('groups are held back by either side', () => {
    const gic = makeGic();
    enable(gic, 33, 0xa0);
    gic.setSpi(1, true);
    expect(gic.pending(0, 1)).toBeNull();
    expect(gic.pending(0, 2)?.intid).toBe(33);
    gic.distributor.write(0, 4, 1n);
    expect(gic.pending(0, BOTH)).toBeNull();
  });

  test('IROUTER says which PE, in one access of 64 bits or two of 32', () => {
    const gic = makeGic();
    enable(gic, 34, 0xa0);
    gic.setSpi(2, true);
    gic.distributor.write(0x6000 + 8 * 34, 8, 1n);
    expect([gic.pending(0, BOTH), gic.pending(1, BOTH)?.intid]).toEqual([null, 34]);
    gic.distributor.write(0x6000 + 8 * 34, 4, 0n);
    expect([gic.pending(0, BOTH)?.intid, gic.pending(1, BOTH)]).toEqual([34, null]);
    gic.distributor.write(0x6004 + 8 * 34, 4, 1n);
    expect(gic.pending(0, BOTH)).toBeNull();
    expect(gic.distributor.read(0x6000 + 8 * 34, 8)).toBe(1n << 32n);
  });

  test('only 5 bits of a priority are there', () => {
    const gic = makeGic();
    gic.distributor.write(0x420, 4, 0xffff0701n);
    expect(gic.distributor.read(0x420, 4)).toBe(0xf8f80000n);
  });
});

describe('redistributors', () => {
  test('say whose they are, and which is the last', () => {
    const { redistributors } = makeGic();
    expect(redistributors.read(8, 8)).toBe(1n << 24n);
    expect(redistributors.read(PE1 + 8, 8)).toBe((1n << 32n) | (1n << 24n) | (1n << 8n) | (1n << 4n));
  });

  test('what is behind them wakes when they do', () => {
    const { redistributors } = makeGic();
    expect(redistributors.read(0x14, 4)).toBe(6n);
    redistributors.write(0x14, 4, 0n);
    expect(redistributors.read(0x14, 4)).toBe(0n);
    expect(redistributors.read(PE1 + 0x14, 4)).toBe(6n);
  });

  test('an SGI reaches one PE, in its group only', () => {
    const gic = makeGic();
    gic.redistributors.write(PE1 + SGI_FRAME + 0x80, 4, 0xffffn);
    gic.redistributors.write(PE1 + SGI_FRAME + 0x100, 4, 0xffffn);
    gic.sendSgi(1, 3, 0);
    expect(gic.pending(1, BOTH)).toBeNull();
    gic.sendSgi(1, 3, 1);
    expect(gic.pending(1, BOTH)).toEqual({ intid: 3, priority: 0, group: 1 });
    expect(gic.pending(0, BOTH)).toBeNull();
  });

  test('SGIs stay edge-triggered, private peripherals may change', () => {
    const { redistributors } = makeGic();
    redistributors.write(SGI_FRAME + 0xc00, 4, 0n);
    redistributors.write(SGI_FRAME + 0xc04, 4, 0xffffffffn);
    expect(redistributors.read(SGI_FRAME + 0xc00, 4)).toBe(0xaaaaaaaan);
    expect(redistributors.read(SGI_FRAME + 0xc04, 4)).toBe(0xaaaaaaaan);
  });
});
