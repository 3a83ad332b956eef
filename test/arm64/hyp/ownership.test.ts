import { describe, expect, it } from 'vitest';
import { ARM_PAGE_SIZE, ERRNO, type Errno } from '../../../src/arm64/abi.ts';
import { PROT } from '../../../src/arm64/hyp/stage2-format.ts';
import { OwnershipMachine } from './ownership-machine.ts';
import { MIB, RAM } from './tables.ts';

const PAGE = RAM + 4 * MIB;
const RANGE = { start: PAGE, count: 1 };
const IPA = 0x8000_0000;
const OTHER_IPA = 0x8000_1000;
const { EPERM, EBUSY, ENOENT, EAGAIN, EHWPOISON } = ERRNO;

/** How a page comes into each state of the sheet's table 3.5. */
const STATES = {
  'hyp page': (m) => m.protect.hostDonateHyp(RANGE),
  'host page': () => 0,
  'shared with hyp': (m) => m.protect.hostShareHyp(RANGE),
  'shared with FF-A': (m) => m.protect.hostShareFfa(RANGE),
  'shared with a guest': (m) => m.protect.hostShareGuest(RANGE, m.guest(0x1001), IPA, PROT.RWX, m.cache),
  'guest page': (m) => m.protect.hostDonateGuest(PAGE, m.guest(0x1000), IPA, m.cache),
  'shared by a guest': (m) =>
    m.protect.hostDonateGuest(PAGE, m.guest(0x1000), IPA, m.cache) || m.protect.guestShareHost(m.guest(0x1000), IPA),
  poisoned: (m) =>
    m.protect.hostDonateGuest(PAGE, m.guest(0x1000), IPA, m.cache) || m.protect.forceReclaimGuestPage(PAGE),
} as const satisfies Record<string, (m: OwnershipMachine) => Errno>;
type State = keyof typeof STATES;

const OPERATIONS = {
  share_hyp: (m) => m.protect.hostShareHyp(RANGE),
  unshare_hyp: (m) => m.protect.hostUnshareHyp(RANGE),
  donate_hyp: (m) => m.protect.hostDonateHyp(RANGE),
  hyp_donate_host: (m) => m.protect.hypDonateHost(RANGE),
  share_ffa: (m) => m.protect.hostShareFfa(RANGE),
  unshare_ffa: (m) => m.protect.hostUnshareFfa(RANGE),
  pin: (m) => m.protect.pin(RANGE),
  share_guest: (m) => m.protect.hostShareGuest(RANGE, m.guest(0x1001), IPA, PROT.RWX, m.cache),
  'share_guest, other gfn': (m) => m.protect.hostShareGuest(RANGE, m.guest(0x1001), OTHER_IPA, PROT.RWX, m.cache),
  unshare_guest: (m) => m.protect.hostUnshareGuest(m.guest(0x1001), IPA, 1),
  donate_guest: (m) => m.protect.hostDonateGuest(PAGE, m.guest(0x1000), IPA, m.cache),
  'donate_guest, other gfn': (m) => m.protect.hostDonateGuest(PAGE, m.guest(0x1000), OTHER_IPA, m.cache),
  guest_share_host: (m) => m.protect.guestShareHost(m.guest(0x1000), IPA),
  guest_unshare_host: (m) => m.protect.guestUnshareHost(m.guest(0x1000), IPA),
  force_reclaim: (m) => m.protect.forceReclaimGuestPage(PAGE),
  reclaim_dying: (m) => m.protect.reclaimDyingGuestPage(m.guest(0x1000), IPA),
} as const satisfies Record<string, (m: OwnershipMachine) => Errno>;
type Operation = keyof typeof OPERATIONS;

/**
 * arm64-pkvm.md 3.5, cell by cell. The guest of the first columns is not protected, that of `donate_guest` and the guest's own calls is; so the sheet's
 * −EPERM for unshare_guest of a protected guest's page is −ENOENT here, where the other guest has nothing at that address.
 */
const MATRIX: Readonly<Record<State, Partial<Record<Operation, Errno>>>> = {
  'hyp page': {
    hyp_donate_host: 0,
    unshare_guest: ENOENT,
    guest_share_host: ENOENT,
    guest_unshare_host: ENOENT,
    reclaim_dying: ENOENT,
  },
  'host page': {
    share_hyp: 0,
    donate_hyp: 0,
    share_ffa: 0,
    share_guest: 0,
    'share_guest, other gfn': 0,
    donate_guest: 0,
    'donate_guest, other gfn': 0,
    unshare_guest: ENOENT,
    guest_share_host: ENOENT,
    guest_unshare_host: ENOENT,
    force_reclaim: EAGAIN,
    reclaim_dying: ENOENT,
  },
  'shared with hyp': {
    unshare_hyp: 0,
    unshare_ffa: 0,
    pin: 0,
    unshare_guest: ENOENT,
    guest_share_host: ENOENT,
    guest_unshare_host: ENOENT,
    force_reclaim: EAGAIN,
    reclaim_dying: ENOENT,
  },
  'shared with FF-A': {
    unshare_ffa: 0,
    unshare_guest: ENOENT,
    guest_share_host: ENOENT,
    guest_unshare_host: ENOENT,
    force_reclaim: EAGAIN,
    reclaim_dying: ENOENT,
  },
  'shared with a guest': {
    unshare_ffa: 0,
    'share_guest, other gfn': 0,
    unshare_guest: 0,
    guest_share_host: ENOENT,
    guest_unshare_host: ENOENT,
    force_reclaim: EAGAIN,
    reclaim_dying: ENOENT,
  },
  'guest page': { unshare_guest: ENOENT, guest_share_host: 0, force_reclaim: 0, reclaim_dying: 0 },
  'shared by a guest': { unshare_guest: ENOENT, guest_unshare_host: 0, force_reclaim: EAGAIN, reclaim_dying: 0 },
  poisoned: {
    share_hyp: 0,
    donate_hyp: 0,
    share_ffa: 0,
    share_guest: 0,
    'share_guest, other gfn': 0,
    'donate_guest, other gfn': 0,
    unshare_guest: ENOENT,
    guest_share_host: EHWPOISON,
    guest_unshare_host: EHWPOISON,
    force_reclaim: EAGAIN,
    reclaim_dying: 0,
  },
};

/** After these the sheet itself names a hazard: the proxy must only pass what it recorded (3.4 #8). */
const HAZARDS: readonly (readonly [State, Operation])[] = [
  ['shared with hyp', 'unshare_ffa'],
  ['shared with a guest', 'unshare_ffa'],
];

const CELLS = (Object.keys(STATES) as State[]).flatMap((state) =>
  (Object.keys(OPERATIONS) as Operation[]).map(
    (operation) => [state, operation, MATRIX[state][operation] ?? EPERM] as const,
  ),
);

describe('ownership transitions (arm64-pkvm.md 3.4, 3.5)', () => {
  it.each(CELLS)('%s: %s gives %s', (state, operation, expected) => {
    const m = new OwnershipMachine();
    expect(STATES[state](m)).toBe(0);
    m.checkInvariants();
    const before = m.dump();
    expect(OPERATIONS[operation](m)).toBe(expected);
    if (expected !== 0) expect(m.dump()).toBe(before);
    else if (!HAZARDS.some(([s, o]) => s === state && o === operation)) m.checkInvariants();
  });

  it('writes the annotation of the sheet’s vectors', () => {
    const m = new OwnershipMachine();
    expect(STATES['guest page'](m)).toBe(0);
    expect(m.host.leaf(PAGE)).toEqual({ pte: 0x2000_0080_0001_0004n, level: 3 });
    const n = new OwnershipMachine();
    expect(STATES['hyp page'](n)).toBe(0);
    expect(n.host.leaf(PAGE).pte).toBe(0x2000_0000_0000_0002n);
  });

  it('cannot take back what is pinned', () => {
    const m = new OwnershipMachine();
    expect(m.protect.hostShareHyp(RANGE) || m.protect.pin(RANGE)).toBe(0);
    m.checkInvariants();
    expect(m.protect.hostUnshareHyp(RANGE)).toBe(EBUSY);
    m.protect.unpin(RANGE);
    expect(m.protect.hostUnshareHyp(RANGE)).toBe(0);
    m.checkInvariants();
  });

  it('clears what only the guest could read, and leaves what it had shared', () => {
    for (const [shared, expected] of [
      [false, 0],
      [true, 0x5a],
    ] as const) {
      const m = new OwnershipMachine();
      m.host.view.fill(PAGE as never, ARM_PAGE_SIZE, 0x5a);
      expect(STATES[shared ? 'shared by a guest' : 'guest page'](m)).toBe(0);
      expect(m.protect.reclaimDyingGuestPage(m.guest(0x1000), IPA)).toBe(0);
      expect(m.host.view.read(PAGE as never, 1)[0]).toBe(expected);
    }
  });

  it('refuses ranges that straddle memory and devices, and devices', () => {
    const m = new OwnershipMachine();
    const end = RAM + 16 * MIB;
    expect(m.protect.hostShareHyp({ start: end - ARM_PAGE_SIZE, count: 2 })).toBe(ERRNO.EINVAL);
    expect(m.protect.hostShareHyp({ start: 0x900_0000, count: 1 })).toBe(EPERM);
    expect(m.protect.hostShareHyp({ start: RAM - ARM_PAGE_SIZE, count: 2 })).toBe(ERRNO.EINVAL);
  });

  it('needs every table page before it changes anything (10.1 #20)', () => {
    const m = new OwnershipMachine();
    m.cache.pages.length = 1;
    const before = m.dump();
    expect(m.protect.hostDonateGuest(PAGE, m.guest(0x1000), IPA, m.cache)).toBe(ERRNO.ENOMEM);
    expect(m.dump()).toBe(before);
  });

  it('shares and unshares 2 MiB as one, and only as one (10.1 #19)', () => {
    const m = new OwnershipMachine();
    const block = { start: PAGE, count: 512 };
    const guest = m.guest(0x1001);
    expect(m.protect.hostShareGuest(block, guest, IPA, PROT.RWX, m.cache)).toBe(0);
    m.checkInvariants();
    const before = m.dump();
    expect(m.protect.hostUnshareGuest(guest, IPA, 1)).toBe(ERRNO.E2BIG);
    expect(m.protect.hostShareGuest({ start: PAGE, count: 3 }, guest, OTHER_IPA, PROT.RWX, m.cache)).toBe(ERRNO.EINVAL);
    expect(m.dump()).toBe(before);
    expect(m.protect.hostUnshareGuest(guest, IPA, 512)).toBe(0);
    m.checkInvariants();
  });
});

/** The kernel's self-test idea: after each legal step, every illegal one is tried, and nothing may change. */
describe('random walks over all transitions', () => {
  it('keeps the invariants, and a refused call changes nothing', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const m = new OwnershipMachine();
      let state = seed;
      const next = (below: number): number => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        return (state >>> 8) % below;
      };
      const page = (): { start: number; count: number } => ({ start: PAGE + next(3) * ARM_PAGE_SIZE, count: 1 });
      const ipa = (): number => IPA + next(3) * ARM_PAGE_SIZE;
      const moves: (() => Errno)[] = [
        () => m.protect.hostShareHyp(page()),
        () => m.protect.hostUnshareHyp(page()),
        () => m.protect.hostDonateHyp(page()),
        () => m.protect.hypDonateHost(page()),
        () => m.protect.hostShareGuest(page(), m.guest(0x1001), ipa(), PROT.RWX, m.cache),
        () => m.protect.hostUnshareGuest(m.guest(0x1001), ipa(), 1),
        () => m.protect.hostDonateGuest(page().start, m.guest(0x1000), ipa(), m.cache),
        () => m.protect.guestShareHost(m.guest(0x1000), ipa()),
        () => m.protect.guestUnshareHost(m.guest(0x1000), ipa()),
        () => m.protect.forceReclaimGuestPage(page().start),
        () => m.protect.reclaimDyingGuestPage(m.guest(0x1000), ipa()),
      ];
      for (let step = 0; step < 60; step++) {
        const before = m.dump();
        const error = (moves[next(moves.length)] as () => Errno)();
        if (error !== 0) expect(m.dump()).toBe(before);
        else m.checkInvariants();
      }
    }
  });
});
