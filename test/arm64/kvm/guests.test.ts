import { describe, expect, it, test } from 'vitest';
import { PAGE_STATE } from '../../../src/arm64/hyp/hyp-page.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { AccessRefused, type Agent, type RealAddress } from '../../../src/machine/types.ts';
import { runArmGuest } from '../../support/arm-guest.ts';
import { PkvmGuests, type PkvmRun } from './pkvm-guest.ts';

const PAGE = 4096;
/** Where the guests' images begin. */
const IMAGE = 0x40200000 - 0x40000000;

const KINDS: readonly (readonly [string, PkvmRun])[] = [
  ['protected', { isProtected: true }],
  ['plain', { isProtected: false }],
  ['protected, with memory isolation alone', { isProtected: true, profile: 'M' }],
];

// What the same image says on a machine of its own is what it says on QEMU (test/oracle/guests-arm64.test.ts).
describe.each(KINDS)('our guests below KVM: %s', (_, kind) => {
  test.each([
    ['hello', 1, ''],
    ['timer', 1, ''],
    ['echo', 1, 'each character comes by itself.'],
    ['smp', 4, ''],
    ['smp_lse', 2, ''],
  ])('%s', (name, cpus, typed) => {
    const alone = runArmGuest(name, { interpret: false, cpus, typed });
    const guests = new PkvmGuests([name], { ...kind, cpus, typed });
    expect([guests.run(), guests.console()]).toEqual(['poweroff', alone.console]);
  });
});

// A slice ends between an exit and the entry that would complete it, too: a store to a device was done twice.
it.each([true, false])('runs two guests on one CPU, a little of each in turn, protected %s', (isProtected) => {
  const guests = new PkvmGuests(['victim', 'victim'], { isProtected, timeSlice: 500n });
  expect(guests.run()).toBe('poweroff');
  const alone = new PkvmGuests(['victim'], { isProtected });
  alone.run();
  expect([guests.console(0), guests.console(1)]).toEqual([alone.console(), alone.console()]);
});

it('runs the same interpreted as translated, to the instruction', () => {
  const runs = [false, true].map((interpret) => {
    const guests = new PkvmGuests(['hello'], { isProtected: true, interpret });
    return [guests.run(), guests.console(), guests.machine.clock.now];
  });
  expect(runs[0]).toEqual(runs[1]);
});

describe('what the host has of a guest that waits for its keyboard', () => {
  function waiting(isProtected: boolean) {
    const guests = new PkvmGuests(['echo'], { isProtected });
    expect(guests.run(3_000_000)).toBe('limit');
    const { machine } = guests;
    const frame = IMAGE / PAGE;
    const page = machine.kvm.vms[0]?.frames[frame] as RealAddress;
    const view = (agent: Agent): HostView =>
      new HostView(machine.memory, { agent, secure: false }, guests.trace, () => machine.clock.stamp);
    return { guests, page, view, frame };
  }

  test('a plain one: its memory', () => {
    const { page, view } = waiting(false);
    expect(
      view('hypervisor')
        .read(page, 16)
        .some((byte) => byte !== 0),
    ).toBe(true);
  });

  test.each(['hypervisor', 'vmm', 'device'] as const)('a protected one: nothing for the %s', (agent) => {
    const { guests, page, view } = waiting(true);
    const host = view(agent);
    expect(() => host.read(page, 16)).toThrow(AccessRefused);
    expect(() => host.write(page, new Uint8Array(1))).toThrow(AccessRefused);
    // Not even where an access begins in the host's own page.
    expect(() => host.read((page - 8) as RealAddress, 16)).toThrow(AccessRefused);
    const refused = guests.trace.ofType('refused-access').filter((event) => event.agent === agent);
    expect(refused.map(({ address, write }) => [address, write])).toEqual([
      [BigInt(page), false],
      [BigInt(page), true],
      [BigInt(page - 8), false],
    ]);
  });

  test('nor of the hyp itself: its code to read, its pool not at all', () => {
    const { view } = waiting(true);
    const host = view('hypervisor');
    expect(() => host.write(0x40000000 as RealAddress, new Uint8Array(1))).toThrow(AccessRefused);
    expect(() => host.read(0x40010000 as RealAddress, 1)).toThrow(AccessRefused);
    expect(host.read(0x40000000 as RealAddress, 4)).toEqual(new Uint8Array([0xe0, 0x03, 0x9f, 0xd6]));
  });
});

describe('the end of a VM (arm64-pkvm.md 8.6)', () => {
  it.each([true, false])('gives every page back, protected %s', (isProtected) => {
    const guests = new PkvmGuests(['smp'], { isProtected, cpus: 2 });
    const { machine } = guests;
    expect(guests.run()).toBe('poweroff');
    const { pkvm } = machine.hyp;
    const [range] = pkvm?.pages.ranges ?? [];
    const first = machine.kvm.vms[0]?.frames[0] as number;
    const pages = pkvm?.pages;
    const end = (range?.base ?? 0) + (range?.size ?? 0);
    for (let page = 0x40010000; page < end; page += PAGE) {
      const pooled = pages?.hypState(page) === PAGE_STATE.owned;
      if (pooled && page < first) continue;
      const record = [pages?.hostState(page), pages?.hypState(page), pages?.refcount(page), pages?.guestShares(page)];
      expect([page.toString(16), ...record]).toEqual([page.toString(16), PAGE_STATE.owned, PAGE_STATE.noPage, 0, 0]);
    }
    expect(pkvm?.vms.vms).toEqual([]);
    // The host has as many pages as before the VM, and may read them.
    expect(machine.kvm.pages.used).toBe(0);
    const view = new HostView(machine.memory, { agent: 'hypervisor', secure: false }, null, () => 0n);
    const image = view.read((first + IMAGE) as RealAddress, PAGE);
    expect(image.some((byte) => byte !== 0)).toBe(!isProtected);
  });

  it('tells of states and pages in the words of 1.4 and 3.1', () => {
    const guests = new PkvmGuests(['hello'], { isProtected: true });
    guests.run();
    const states = guests.trace.ofType('vm-state').map(({ vm, from, to }) => [vm, from, to]);
    expect(states).toEqual([
      [0x1000, 'FREE', 'RESERVED'],
      [0x1000, 'RESERVED', 'CREATED'],
      [0x1000, 'CREATED', 'DYING'],
      [0x1000, 'DYING', 'FREE'],
    ]);
    const pages = guests.trace.ofType('page-state').map(({ gfn, from, to }) => [gfn, from, to]);
    expect(pages).toEqual([
      [0x40200n, 'NOPAGE', 'OWNED'],
      [0x40200n, 'OWNED', 'NOPAGE'],
    ]);
    expect(guests.machine.statistics().pages).toEqual({ OWNED: 1 });
  });
});
