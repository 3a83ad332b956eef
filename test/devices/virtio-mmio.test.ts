import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../src/devices/disk.ts';
import { VirtioCore } from '../../src/devices/virtio.ts';
import { VirtioBlk } from '../../src/devices/virtio-blk.ts';
import { VirtioMmio } from '../../src/devices/virtio-mmio.ts';

const NOWHERE = {
  read: (): Uint8Array => new Uint8Array(0),
  write: (): void => {},
};

/** A block device of 8 sectors behind the transport; offsets are those of virtio 1.2, table 4.1. */
function transport(platform: boolean): { at: VirtioMmio; core: VirtioCore; line: boolean[] } {
  const core = new VirtioCore(new VirtioBlk(new MemoryDisk(new Uint8Array(8 * 512))), NOWHERE, platform);
  const line: boolean[] = [];
  return { at: new VirtioMmio(core, (level) => line.push(level)), core, line };
}

describe('the MMIO transport (virtio 1.2, 4.2)', () => {
  it('says what it is, and what is plugged in', () => {
    const { at } = transport(false);
    expect([0x000, 0x004, 0x008].map((offset) => at.read(offset, 4))).toEqual([0x74726976n, 2n, 2n]);
    const empty = new VirtioMmio(null, () => {});
    expect([0x000, 0x004, 0x008].map((offset) => empty.read(offset, 4))).toEqual([0x74726976n, 2n, 0n]);
    empty.write(0x070, 4, 1n);
    expect(empty.read(0x070, 4)).toBe(0n);
  });

  it('shows features in two words, of which the second has VERSION_1 and ACCESS_PLATFORM', () => {
    for (const platform of [false, true]) {
      const { at } = transport(platform);
      at.write(0x014, 4, 1n);
      expect(at.read(0x010, 4)).toBe(platform ? 3n : 1n);
      at.write(0x014, 4, 2n);
      expect(at.read(0x010, 4)).toBe(0n);
    }
  });

  it('agrees on features that have VERSION_1, and on no others', () => {
    const { at } = transport(false);
    at.write(0x070, 4, 3n);
    at.write(0x070, 4, 11n);
    expect(at.read(0x070, 4)).toBe(3n);
    at.write(0x024, 4, 1n);
    at.write(0x020, 4, 1n);
    at.write(0x070, 4, 11n);
    expect(at.read(0x070, 4)).toBe(11n);
  });

  it('sets a queue up in halves, and not while it is ready', () => {
    const { at, core } = transport(false);
    expect(at.read(0x034, 4)).toBe(256n);
    at.write(0x038, 4, 8n);
    for (const [offset, value] of [
      [0x080, 0x1000n],
      [0x084, 1n],
      [0x090, 0x2000n],
      [0x0a0, 0x3000n],
      [0x044, 1n],
      [0x080, 0x9000n],
    ] as const) {
      at.write(offset, 4, value);
    }
    const [queue] = core.queues;
    expect(queue?.setup).toEqual({
      size: 8,
      enabled: true,
      descriptors: 0x1_0000_1000n,
      available: 0x2000n,
      used: 0x3000n,
    });
    at.write(0x030, 4, 1n);
    expect([at.read(0x034, 4), at.read(0x044, 4)]).toEqual([0n, 0n]);
  });

  it('has the interrupt line up until all of its reasons are acknowledged', () => {
    const { at, core, line } = transport(false);
    core.isr = 3;
    expect(at.read(0x060, 4)).toBe(3n);
    at.write(0x064, 4, 1n);
    expect([at.read(0x060, 4), line.at(-1)]).toEqual([2n, true]);
    at.write(0x064, 4, 2n);
    expect([at.read(0x060, 4), line.at(-1)]).toEqual([0n, false]);
  });

  it('gives configuration by bytes, halfwords and words', () => {
    const { at } = transport(false);
    expect([at.read(0x100, 4), at.read(0x100, 1), at.read(0x114, 4), at.read(0x1fc, 4)]).toEqual([8n, 8n, 512n, 0n]);
    expect(at.read(0x000, 2)).toBe(0n);
  });
});
