import { describe, expect, it } from 'vitest';
import {
  accept,
  claimSource,
  createXics,
  endOfInterrupt,
  hasExternal,
  LEAST_FAVOURED,
  pulse,
  route,
  setCppr,
  setMfrr,
  XICS_IPI,
  type Xics,
  xirr,
} from '../../../src/powerpc/kvm/xics.ts';

const DISK = 0x1101;
const NET = 0x1102;

/** Two processors that take everything, two sources routed to the first. Expected values are those of QEMU's hw/intc/xics.c. */
function open(): Xics {
  const xics = createXics(2);
  for (const server of [0, 1]) setCppr(xics, server, 0xff);
  for (const [number, priority] of [
    [DISK, 5],
    [NET, 3],
  ] as const) {
    claimSource(xics, number, false);
    route(xics, number, { server: 0, priority, savedPriority: priority });
  }
  return xics;
}

describe('presentation', () => {
  it('nothing is presented after reset: CPPR is 0, MFRR and every priority 0xff', () => {
    const xics = createXics(1);
    claimSource(xics, DISK, false);
    setMfrr(xics, 0, 4);
    pulse(xics, DISK);
    expect(hasExternal(xics, 0)).toBe(false);
    expect(xirr(xics, 0)).toBe(0);
  });

  it('an IPI is 2, accepted with the old CPPR, and is there again after H_EOI unless MFRR is taken back', () => {
    const xics = open();
    setMfrr(xics, 1, 4);
    expect(hasExternal(xics, 1)).toBe(true);
    expect(xirr(xics, 1)).toBe(0xff000000 + XICS_IPI);
    expect(accept(xics, 1)).toBe(0xff000000 + XICS_IPI);
    expect(hasExternal(xics, 1)).toBe(false);
    expect(xirr(xics, 1)).toBe(0x04000000);
    endOfInterrupt(xics, 1, 0xff000002);
    expect(hasExternal(xics, 1)).toBe(true);
    accept(xics, 1);
    setMfrr(xics, 1, 0xff);
    endOfInterrupt(xics, 1, 0xff000002);
    expect(hasExternal(xics, 1)).toBe(false);
  });

  it('H_XIRR with nothing there makes CPPR least favoured', () => {
    const xics = open();
    setCppr(xics, 0, 0x20);
    expect(accept(xics, 0)).toBe(0x20000000);
    expect(xirr(xics, 0)).toBe(0xff000000);
  });

  it('a more favoured interrupt takes the place of one that was not accepted, which comes again', () => {
    const xics = open();
    pulse(xics, DISK);
    pulse(xics, NET);
    expect(accept(xics, 0)).toBe(0xff000000 + NET);
    expect(hasExternal(xics, 0)).toBe(false);
    endOfInterrupt(xics, 0, 0xff000000 + NET);
    expect(accept(xics, 0)).toBe(0xff000000 + DISK);
  });

  it('an IPI gives way and comes again by MFRR', () => {
    const xics = open();
    setMfrr(xics, 0, 4);
    pulse(xics, NET);
    expect(accept(xics, 0)).toBe(0xff000000 + NET);
    endOfInterrupt(xics, 0, 0xff000000 + NET);
    expect(accept(xics, 0)).toBe(0xff000000 + XICS_IPI);
  });

  it('one as favoured as CPPR is not presented', () => {
    const xics = open();
    setCppr(xics, 0, 5);
    pulse(xics, DISK);
    expect(hasExternal(xics, 0)).toBe(false);
    setCppr(xics, 0, 6);
    expect(hasExternal(xics, 0)).toBe(true);
    // A CPPR that shuts it out takes it back.
    setCppr(xics, 0, 5);
    expect(hasExternal(xics, 0)).toBe(false);
    setCppr(xics, 0, 0xff);
    expect(accept(xics, 0)).toBe(0xff000000 + DISK);
  });
});

describe('sources', () => {
  it('one that is masked comes when it is unmasked', () => {
    const xics = open();
    route(xics, DISK, { server: 0, priority: LEAST_FAVOURED, savedPriority: 5 });
    pulse(xics, DISK);
    expect(hasExternal(xics, 0)).toBe(false);
    route(xics, DISK, { server: 1, priority: 5, savedPriority: 5 });
    expect(accept(xics, 1)).toBe(0xff000000 + DISK);
  });

  it('have numbers from 0x1000 to 0x1fff, each once', () => {
    const xics = open();
    for (const number of [0xfff, 0x2000, 2, DISK]) expect(() => claimSource(xics, number, false)).toThrow(RangeError);
    expect(() => pulse(xics, 0x1234)).toThrow(RangeError);
  });

  it('an edge that comes while the one before is presented comes again after it', () => {
    const xics = open();
    pulse(xics, DISK);
    pulse(xics, DISK);
    accept(xics, 0);
    // QEMU rejects the second and sends it again after the end of the first.
    endOfInterrupt(xics, 0, 0xff000000 + DISK);
    expect(accept(xics, 0)).toBe(0xff000000 + DISK);
    endOfInterrupt(xics, 0, 0xff000000 + DISK);
    expect(hasExternal(xics, 0)).toBe(false);
  });
});
