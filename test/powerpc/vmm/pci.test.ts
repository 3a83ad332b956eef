import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../src/devices/disk.ts';
import { PciConfig, type PciFunction } from '../../../src/powerpc/vmm/pci.ts';
import { PHB_INTERRUPTS, Phb } from '../../../src/powerpc/vmm/phb.ts';
import { Guest } from './machine.ts';

/** QEMU's first host bridge: its BUID, and where its two memory windows are (hw/ppc/spapr_pci.c). */
const BUID = [0x8000000, 0x20000000] as const;
const LOW_WINDOW = 0x2000_8000_0000;
const HIGH_WINDOW = 0x2100_0000_0000;
const IDENTITY = {
  vendor: 0x1234,
  device: 0x5678,
  subsystemVendor: 0x9abc,
  subsystem: 0xdef0,
  revision: 7,
  classCode: 0x010203,
};
/** Offsets of PCI 3.0, 6.1. */
const [COMMAND, STATUS, BAR4, LINE, PIN] = [0x04, 0x06, 0x20, 0x3c, 0x3d];

function config(): PciConfig {
  return new PciConfig(IDENTITY, { index: 4, size: 0x4000 }, [
    { offset: 0x40, bytes: Uint8Array.of(9, 0, 16) },
    { offset: 0x60, bytes: Uint8Array.of(9, 0, 20) },
  ]);
}

/** A function whose BAR says which offset is read, and notes what is written. */
class Plain implements PciFunction {
  readonly config = config();
  readonly written: [number, number[]][] = [];
  interrupt = false;
  reset(): void {
    this.config.reset();
  }
  configRead(offset: number, size: number): number {
    return this.config.read(offset, size);
  }
  configWrite(offset: number, size: number, value: number): void {
    this.config.write(offset, size, value);
  }
  barRead(offset: number, size: number): Uint8Array {
    return new Uint8Array(size).fill(offset);
  }
  barWrite(offset: number, bytes: Uint8Array): void {
    this.written.push([offset, [...bytes]]);
  }
}

describe('configuration space of a function (PCI 3.0, chapter 6)', () => {
  it('is little-endian, and the same read by bytes, halfwords and words', () => {
    const c = config();
    expect(c.read(0, 4)).toBe(0x56781234);
    expect([0, 1, 2, 3].map((at) => c.read(at, 1))).toEqual([0x34, 0x12, 0x78, 0x56]);
    expect(c.read(0x08, 4)).toBe(0x01020307);
    expect(c.read(0x2c, 4)).toBe(0xdef09abc);
    expect(c.read(PIN, 1)).toBe(1);
  });

  it('identity, class and pin cannot be written; the interrupt line can', () => {
    const c = config();
    for (const at of [0x00, 0x08, 0x0c, 0x28, 0x2c, 0x30, 0x34, 0x38]) {
      const before = c.read(at, 4);
      c.write(at, 4, ~before >>> 0);
      expect(c.read(at, 4), `0x${at.toString(16)}`).toBe(before);
    }
    c.write(LINE, 4, 0xffffffff);
    expect([c.read(LINE, 1), c.read(PIN, 1)]).toEqual([0xff, 1]);
  });

  it('its capabilities are a list that ends', () => {
    const c = config();
    expect(c.read(STATUS, 2) & 0x10).toBe(0x10);
    const list: number[] = [];
    for (let at = c.read(0x34, 1); at !== 0; at = c.read(at + 1, 1)) list.push(at);
    expect(list).toEqual([0x40, 0x60]);
  });

  it('the BAR tells its size when it is written with ones, and keeps its type bits (6.2.5.1)', () => {
    const c = config();
    for (const at of [BAR4, BAR4 + 4]) c.write(at, 4, 0xffffffff);
    expect([c.read(BAR4, 4), c.read(BAR4 + 4, 4)]).toEqual([0xffffc00c, 0xffffffff]);
    for (const at of [0x10, 0x14, 0x18, 0x1c]) {
      c.write(at, 4, 0xffffffff);
      expect(c.read(at, 4)).toBe(0);
    }
  });

  it('memory decoding, bus mastering and the pin are as the command register has them; a reset takes all back', () => {
    const c = config();
    expect([c.barAddress, c.busMaster, c.intxEnabled]).toEqual([undefined, false, true]);
    c.write(BAR4, 4, 0x8000);
    c.write(BAR4 + 4, 4, 0x2100);
    c.write(COMMAND, 2, 0x406);
    expect([c.barAddress, c.busMaster, c.intxEnabled]).toEqual([0x2100_0000_8000, true, false]);
    c.reset();
    expect([c.barAddress, c.busMaster, c.intxEnabled, c.read(BAR4, 4)]).toEqual([undefined, false, true, 0xc]);
  });
});

describe('the host bridge', () => {
  function bridge(): { phb: Phb; fn: Plain } {
    const phb = new Phb();
    const fn = new Plain();
    phb.plug(2, fn);
    return { phb, fn };
  }
  const at = (slot: number, register: number, fn = 0, bus = 0) => (bus << 16) | (slot << 11) | (fn << 8) | register;

  it('reads and writes the registers of the function that is there', () => {
    const { phb } = bridge();
    expect(phb.configRead(BUID, at(2, 0), 4)).toBe(0x56781234);
    expect(phb.configWrite(BUID, at(2, LINE), 1, 5)).toBe(true);
    expect(phb.configRead(BUID, at(2, LINE), 1)).toBe(5);
  });

  it.each([
    ['an empty slot', BUID, at(1, 0), 4],
    ['another function of it', BUID, at(2, 0, 1), 4],
    ['another bus', BUID, at(2, 0, 0, 1), 4],
    ['another bridge', [0x8000000, 0x20000001], at(2, 0), 4],
    ['three bytes', BUID, at(2, 0), 3],
    ['eight bytes', BUID, at(2, 0), 8],
    ['an unaligned register', BUID, at(2, 2), 4],
    ['extended configuration space, which it does not have', BUID, (1 << 28) | at(2, 0), 4],
  ] as const)('%s is no register', (_, buid, address, size) => {
    const { phb, fn } = bridge();
    const before = fn.config.read(COMMAND, 4);
    expect(phb.configRead(buid, address, size)).toBeUndefined();
    expect(phb.configWrite(buid, address, size, 0xffffffff)).toBe(false);
    expect(fn.config.read(COMMAND, 4)).toBe(before);
  });

  it('a BAR is where the guest put it, in either window, and nowhere before or after', () => {
    for (const [bus, gpa] of [
      [0xc000_0000, LOW_WINDOW + 0x4000_0000],
      [0x2100_0001_0000, HIGH_WINDOW + 0x1_0000],
    ] as const) {
      const { phb, fn } = bridge();
      fn.config.write(BAR4, 4, bus % 2 ** 32);
      fn.config.write(BAR4 + 4, 4, Math.floor(bus / 2 ** 32));
      expect(phb.load(gpa, 4)).toBeUndefined();
      fn.config.write(COMMAND, 2, 2);
      expect(phb.load(gpa + 16, 4)).toEqual(Uint8Array.of(16, 16, 16, 16));
      expect(phb.store(gpa + 0x3ff8, new Uint8Array(8))).toBe(true);
      for (const outside of [gpa - 1, gpa + 0x3ffd, gpa + 0x4000]) expect(phb.load(outside, 4)).toBeUndefined();
      expect(phb.store(gpa + 0x3ffc, new Uint8Array(8))).toBe(false);
      expect(fn.written).toEqual([[0x3ff8, new Array(8).fill(0)]]);
    }
  });

  it('pin A of slot n raises interrupt n modulo 4, as PCI swizzles them', () => {
    for (const slot of [0, 1, 2, 3, 4, 31]) {
      const phb = new Phb();
      const fn = new Plain();
      phb.plug(slot, fn);
      expect([...phb.interrupts()]).toEqual([]);
      fn.interrupt = true;
      expect([...phb.interrupts()]).toEqual([PHB_INTERRUPTS[slot % 4]]);
    }
  });
});

describe('the TCE table of a guest (PAPR; hw/ppc/spapr_iommu.c)', () => {
  const LIOBN = 0x80000000;
  const WINDOW = 0x40000000;
  const [SUCCESS, PARAMETER] = [0, -4];
  const withDisk = () => new Guest({ disk: new MemoryDisk(new Uint8Array(512)) });
  const get = (guest: Guest, address: number): bigint => {
    expect(guest.call('H_GET_TCE', [LIOBN, address])).toBe(SUCCESS);
    return guest.port.gpr(4);
  };

  it('H_PUT_TCE puts one entry, H_GET_TCE reads it, one without permissions takes it away', () => {
    const guest = withDisk();
    expect(get(guest, 0x5000)).toBe(0n);
    expect(guest.call('H_PUT_TCE', [LIOBN, 0x5000, 0x123003])).toBe(SUCCESS);
    expect([get(guest, 0x5000), get(guest, 0x4000), get(guest, 0x6000)]).toEqual([0x123003n, 0n, 0n]);
    expect(guest.call('H_PUT_TCE', [LIOBN, 0x5000, 0x123000])).toBe(SUCCESS);
    expect(get(guest, 0x5000)).toBe(0n);
  });

  it('H_STUFF_TCE fills a run; H_PUT_TCE_INDIRECT takes a list from the guest', () => {
    const guest = withDisk();
    expect(guest.call('H_STUFF_TCE', [LIOBN, 0x1000, 0x7001, 3])).toBe(SUCCESS);
    expect([0, 1, 2, 3, 4].map((n) => get(guest, n * 0x1000))).toEqual([0n, 0x7001n, 0x7001n, 0x7001n, 0n]);
    guest.words(0x20000, 0, 0x8003, 0, 0x9002);
    expect(guest.call('H_PUT_TCE_INDIRECT', [LIOBN, 0x1000, 0x20000, 2])).toBe(SUCCESS);
    expect([1, 2, 3].map((n) => get(guest, n * 0x1000))).toEqual([0x8003n, 0x9002n, 0x7001n]);
  });

  it.each([
    ['another table', 'H_PUT_TCE', [LIOBN + 1, 0, 3]],
    ['behind the window', 'H_PUT_TCE', [LIOBN, WINDOW, 3]],
    ['a run over the end of the window', 'H_STUFF_TCE', [LIOBN, WINDOW - 0x1000, 3, 2]],
    ['more than 512 entries', 'H_STUFF_TCE', [LIOBN, 0, 3, 513]],
    ['a list of more than 512', 'H_PUT_TCE_INDIRECT', [LIOBN, 0, 0x20000, 513]],
    ['a list that is on no page boundary', 'H_PUT_TCE_INDIRECT', [LIOBN, 0, 0x20008, 1]],
    ['reading behind the window', 'H_GET_TCE', [LIOBN, WINDOW]],
  ] as const)('%s: H_PARAMETER, and nothing changed', (_, name, args) => {
    const guest = withDisk();
    guest.call('H_PUT_TCE', [LIOBN, 0, 0x123003]);
    guest.call('H_PUT_TCE', [LIOBN, WINDOW - 0x1000, 0x456003]);
    expect(guest.call(name, args)).toBe(PARAMETER);
    expect([get(guest, 0), get(guest, WINDOW - 0x1000)]).toEqual([0x123003n, 0x456003n]);
  });
});
