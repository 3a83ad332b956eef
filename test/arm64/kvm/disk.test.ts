import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../src/devices/disk.ts';
import { diskContents, runArmGuest } from '../../support/arm-guest.ts';
import { PkvmGuests, type PkvmRun } from './pkvm-guest.ts';

const SECTORS = 64;

/** What the guest says and what is on its disk afterwards. */
function run(kind: PkvmRun): { console: string; contents: Buffer; guests: PkvmGuests } {
  const disk = new MemoryDisk(diskContents(SECTORS));
  const guests = new PkvmGuests(['disk'], { ...kind, disk });
  expect(guests.run()).toBe('poweroff');
  return { console: guests.console(), contents: Buffer.from(disk.read(0, SECTORS)), guests };
}

// A machine of its own does as QEMU does (test/oracle/guests-arm64.test.ts).
const alone = new MemoryDisk(diskContents(SECTORS));
const said = runArmGuest('disk', { interpret: false, disk: alone }).console;
const written = Buffer.from(alone.read(0, SECTORS));

describe('a disk (virtio-mmio) below KVM', () => {
  it('of a plain guest is as without', () => {
    const { console, contents } = run({ isProtected: false });
    expect(console).toBe(said);
    expect(contents.equals(written)).toBe(true);
  });

  it('of a protected one bounces through two shared pages, and reaches no other', () => {
    const { console, contents, guests } = run({ isProtected: true });
    expect(console.slice(0, said.length)).toBe(said);
    const sum = /contents (.{16})\nbeyond/.exec(said)?.[1];
    expect(console.slice(said.length)).toBe(
      [
        'write from a page that is not shared: I/O error',
        'read into a page that is not shared: I/O error',
        'the page is as it was',
        `contents ${sum}`,
        '',
      ].join('\n'),
    );
    expect(contents.equals(written)).toBe(true);
    const shared = guests.trace.ofType('page-state').filter(({ to }) => to === 'SHARED_OWNED');
    expect(shared).toHaveLength(2);
    expect(guests.machine.statistics().pages).toMatchObject({ SHARED_OWNED: 2, MMIO: 16 + 32 + 4 + 1 });
  });

  // Upstream lists that devices are not isolated (arm64-pkvm.md 1.2 T6).
  it('with memory isolation alone reaches what the guest did not share', () => {
    const { console } = run({ isProtected: true, profile: 'M' });
    expect(console).toContain('write from a page that is not shared: ok\n');
  });
});
