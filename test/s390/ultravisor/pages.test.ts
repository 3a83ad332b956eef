import { beforeEach, describe, expect, test } from 'vitest';
import { UVCB } from '../../../src/s390/abi.ts';
import { checkAccess } from '../../../src/s390/ultravisor/pages.ts';
import { SecureGuest } from './secure-guest.ts';
import { ASCE, AT, GUEST_SIZE, HIGH, UvHost } from './uv-host.ts';

/** Secure storage: s390-pv.md 2.14, 2.16, 3.1 to 3.3, and the cases of its section 9. */

const PAGE = 4096;
/** The page that is tried, guest absolute, and where the host has it. */
const TRIED = 0x18_0000;
const WHERE = AT.guest + TRIED;
const CODE = { address: 0x0101, state: 0x0107, notPresent: 0x010a } as const;

let host: UvHost;
let config: bigint;
let guest: SecureGuest;
beforeEach(() => {
  host = new UvHost().init();
  config = host.createVerified();
  for (const page of [0, 0x1000, 0x1f_0000]) expect(host.import(config, page).rc).toBe(1);
  host.setState(host.cpus[0] ?? 0n, 5);
  guest = new SecureGuest(host);
  expect(guest.enter()).toBe('runs');
});

const pattern = (n: number): Uint8Array => Uint8Array.from({ length: PAGE }, (_, i) => (i * n + 3) & 0xff);
const CLEAR = pattern(7);
const ZEROS = new Uint8Array(PAGE);

const byHost = (at: number): number => checkAccess(host.uv, at, null);
const byGuest = (at: number, page: number, of = config): number =>
  checkAccess(host.uv, at, { configuration: host.uv.state.configs.get(of) ?? {}, page });

/** The guest stores to a page of its own. */
function stores(bytes: Uint8Array, page = TRIED): void {
  expect(guest.write('absolute', BigInt(page), bytes)).toBe(true);
}

/** States of a page (3.1) and how it comes to be in it, with `CLEAR` as the guest's contents where it has some. */
const STATES = {
  NORMAL: () => {},
  SECURE: () => {
    expect(host.import(config, TRIED).rc).toBe(1);
    stores(CLEAR);
  },
  SHARED: () => {
    STATES.SECURE();
    expect(guest.uvc('SET_SHARED', BigInt(TRIED))).toBe(1);
  },
  'PINNED-SHARED': () => {
    STATES.SHARED();
    expect(host.onPage('PIN', WHERE).rc).toBe(1);
  },
  EXPORTED: () => {
    STATES.SECURE();
    expect(host.onPage('CONVERT_FROM', WHERE).rc).toBe(1);
  },
  LOST: () => {
    STATES.SECURE();
    expect(host.onPage('DESTROY_STORAGE', WHERE).rc).toBe(1);
  },
  /** Given away by the host without a pin, and still shared. */
  'SHARED-AWAY': () => {
    STATES.SHARED();
    expect(host.onPage('CONVERT_FROM', WHERE).rc).toBe(1);
  },
} as const satisfies Readonly<Record<string, () => void>>;
type State = keyof typeof STATES;

/** What comes of a page: whether the host reaches it, whether the guest does, and what is in it. */
type Reach = 'host' | 'guest' | 'both';
const reach = (): Reach => {
  const [toHost, toGuest] = [byHost(WHERE) === 0, byGuest(WHERE, TRIED) === 0];
  if (toHost && toGuest) return 'both';
  return toHost ? 'host' : 'guest';
};

const OPERATIONS = {
  import: () => host.import(config, TRIED).rc,
  export: () => host.onPage('CONVERT_FROM', WHERE).rc,
  destroy: () => host.onPage('DESTROY_STORAGE', WHERE).rc,
  pin: () => host.onPage('PIN', WHERE).rc,
  unpin: () => host.unpin(config, TRIED).rc,
  share: () => guest.uvc('SET_SHARED', BigInt(TRIED)),
  unshare: () => guest.uvc('REMOVE_SHARED', BigInt(TRIED)),
} as const;
type Operation = keyof typeof OPERATIONS;

/** The matrix of 3.2: answer, and who reaches the page then. A code other than 1 leaves everything as it is. `fault`: the host has to import first. */
const MATRIX: Readonly<Record<State, Readonly<Record<Operation, readonly [number | 'fault' | 'leave', Reach]>>>> = {
  NORMAL: {
    import: [1, 'guest'],
    export: [1, 'host'],
    destroy: [1, 'host'],
    pin: [CODE.state, 'host'],
    unpin: [CODE.state, 'host'],
    share: ['fault', 'host'],
    unshare: [1, 'host'],
  },
  SECURE: {
    import: [1, 'guest'],
    export: [1, 'host'],
    destroy: [1, 'host'],
    pin: [CODE.state, 'guest'],
    unpin: [CODE.state, 'guest'],
    share: [1, 'both'],
    unshare: [1, 'guest'],
  },
  SHARED: {
    import: [1, 'both'],
    export: [1, 'host'],
    destroy: [1, 'both'],
    pin: [1, 'both'],
    unpin: [CODE.state, 'both'],
    share: [1, 'both'],
    unshare: [1, 'guest'],
  },
  'PINNED-SHARED': {
    import: [1, 'both'],
    export: [1, 'both'],
    destroy: [1, 'both'],
    pin: [1, 'both'],
    unpin: [1, 'both'],
    share: [1, 'both'],
    unshare: ['leave', 'both'],
  },
  EXPORTED: {
    import: [1, 'guest'],
    export: [1, 'host'],
    destroy: [1, 'host'],
    pin: [CODE.state, 'host'],
    unpin: [CODE.state, 'host'],
    share: ['fault', 'host'],
    unshare: [1, 'host'],
  },
  LOST: {
    // Section 10: destroyed while its guest lives, it does not come back as zeros.
    import: [0x0120, 'host'],
    export: [1, 'host'],
    destroy: [1, 'host'],
    pin: [CODE.state, 'host'],
    unpin: [CODE.state, 'host'],
    share: ['fault', 'host'],
    unshare: [1, 'host'],
  },
  'SHARED-AWAY': {
    import: [1, 'both'],
    export: [1, 'host'],
    destroy: [1, 'host'],
    pin: [CODE.state, 'host'],
    unpin: [CODE.state, 'host'],
    share: [1, 'host'],
    unshare: ['fault', 'host'],
  },
};

const CELLS = (Object.keys(MATRIX) as State[]).flatMap((state) =>
  (Object.keys(OPERATIONS) as Operation[]).map((operation) => [state, operation] as const),
);

describe('every transition (3.2)', () => {
  test.each(CELLS)('%s: %s', (state, operation) => {
    STATES[state]();
    const was = host.contents(WHERE);
    const [answer, who] = MATRIX[state][operation];
    const before = host.snapshot().replace(/^\S+/, '');
    expect(OPERATIONS[operation]()).toBe(answer);
    expect(reach()).toBe(who);
    if (answer !== 1) {
      expect(host.contents(WHERE)).toEqual(was);
      // But for the exit, of which the CPU's record tells.
      if (answer !== 'leave') expect(host.snapshot().replace(/^\S+/, '')).toBe(before);
    }
  });

  /** What is in the page afterwards, where the guest reaches it. */
  const CONTENTS: readonly (readonly [State, Operation, Uint8Array])[] = [
    ['NORMAL', 'import', ZEROS],
    ['SECURE', 'import', CLEAR],
    ['SECURE', 'share', CLEAR],
    ['SHARED', 'unshare', CLEAR],
    ['SHARED', 'export', CLEAR],
    ['SHARED', 'destroy', CLEAR],
    ['SHARED', 'import', CLEAR],
    ['PINNED-SHARED', 'unpin', CLEAR],
    ['PINNED-SHARED', 'export', CLEAR],
    ['EXPORTED', 'import', CLEAR],
    ['SECURE', 'destroy', ZEROS],
    ['SHARED-AWAY', 'import', CLEAR],
  ];

  test.each(CONTENTS)('%s: %s leaves what has to be there', (state, operation, contents) => {
    if (state === 'NORMAL') host.view.write(WHERE as never, CLEAR);
    STATES[state]();
    OPERATIONS[operation]();
    expect(host.contents(WHERE)).toEqual(contents);
  });

  test('what the host reads of an exported page is nothing of what was in it', () => {
    STATES.EXPORTED();
    const seen = host.view.read(WHERE as never, PAGE);
    for (let at = 0; at < PAGE; at += 16) {
      const block = Buffer.from(CLEAR.subarray(at, at + 16));
      expect(Buffer.from(seen).indexOf(block)).toBe(-1);
    }
    // Equal blocks at different places, and zeros, do not show either.
    STATES.SECURE();
    stores(ZEROS);
    host.onPage('CONVERT_FROM', WHERE);
    const blocks = new Set<string>();
    const bytes = Buffer.from(host.view.read(WHERE as never, PAGE));
    for (let at = 0; at < PAGE; at += 16) blocks.add(bytes.toString('hex', at, at + 16));
    expect(blocks.size).toBe(PAGE / 16);
  });
});

describe('what comes back has to be what left (3.2)', () => {
  const OTHER = TRIED + PAGE;
  const refusedImport = (page = TRIED, of = config) => {
    const before = host.snapshot();
    expect(host.import(of, page)).toMatchObject({ cc: 1, rc: 0x0120 });
    expect(host.snapshot()).toBe(before);
  };

  test('any bit of it', () => {
    STATES.EXPORTED();
    const left = host.view.read(WHERE as never, PAGE).slice();
    for (let bit = 0; bit < PAGE * 8; bit += 977) {
      const changed = left.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      host.view.write(WHERE as never, changed);
      expect(host.import(config, TRIED)).toMatchObject({ cc: 1, rc: 0x0120 });
    }
    host.view.write(WHERE as never, left);
    expect(host.import(config, TRIED).rc).toBe(1);
    expect(host.contents(WHERE)).toEqual(CLEAR);
  });

  test('not an older one, though it was right once', () => {
    STATES.EXPORTED();
    const old = host.view.read(WHERE as never, PAGE).slice();
    expect(host.import(config, TRIED).rc).toBe(1);
    expect(host.onPage('CONVERT_FROM', WHERE).rc).toBe(1);
    // The same contents, and another ciphertext.
    const now = host.view.read(WHERE as never, PAGE).slice();
    expect(now).not.toEqual(old);
    host.view.write(WHERE as never, old);
    refusedImport();
    host.view.write(WHERE as never, now);
    expect(host.import(config, TRIED).rc).toBe(1);
  });

  test('not another page’s, nor another guest’s', () => {
    STATES.EXPORTED();
    expect(host.import(config, OTHER).rc).toBe(1);
    stores(CLEAR, OTHER);
    expect(host.onPage('CONVERT_FROM', WHERE + PAGE).rc).toBe(1);
    const [one, two] = [WHERE, WHERE + PAGE].map((at) => host.view.read(at as never, PAGE).slice());
    host.view.write(WHERE as never, two ?? ZEROS);
    host.view.write((WHERE + PAGE) as never, one ?? ZEROS);
    refusedImport();
    refusedImport(OTHER);
    const second = host.createVerified({ second: true });
    const there = AT.otherGuest + TRIED;
    // MSO of the second is a MiB.
    expect(host.import(second, TRIED + 0x10_0000).rc).toBe(1);
    expect(host.onPage('CONVERT_FROM', there).rc).toBe(1);
    host.view.write(there as never, one ?? ZEROS);
    refusedImport(TRIED + 0x10_0000, second);
  });

  test('zeros do not do for what has left, nor anything for what was never there', () => {
    STATES.EXPORTED();
    host.view.fill(WHERE as never, PAGE, 0);
    refusedImport();
    host.view.write((WHERE + PAGE) as never, CLEAR);
    expect(host.import(config, OTHER).rc).toBe(1);
    expect(host.contents(WHERE + PAGE)).toEqual(ZEROS);
  });

  test('it may come back elsewhere in the host’s storage, where the tables say so', () => {
    STATES.EXPORTED();
    const bytes = host.view.read(WHERE as never, PAGE).slice();
    const elsewhere = AT.spare + 0x10_0000;
    host.view.write(elsewhere as never, bytes);
    host.maps.get(ASCE.first)?.set(TRIED, elsewhere);
    expect(host.import(config, TRIED).rc).toBe(1);
    expect(host.contents(elsewhere)).toEqual(CLEAR);
    expect(byGuest(elsewhere, TRIED)).toBe(0);
    expect(byHost(WHERE)).toBe(0);
  });

  test('it is there once: the tables do not give the guest another page for it', () => {
    STATES.SECURE();
    const elsewhere = AT.spare + 0x10_0000;
    host.maps.get(ASCE.first)?.set(TRIED, elsewhere);
    expect(byGuest(elsewhere, TRIED)).toBe(0x3e);
    refusedImport();
    host.maps.get(ASCE.first)?.set(TRIED, WHERE);
    expect(host.contents(WHERE)).toEqual(CLEAR);
    // Nor one page for two.
    host.maps.get(ASCE.first)?.set(OTHER, WHERE);
    expect(byGuest(WHERE, OTHER)).toBe(0x3f);
    expect(host.import(config, OTHER)).toMatchObject({ cc: 1, rc: CODE.state });
  });
});

describe('who may reach what (3.1, 3.3)', () => {
  test.each([
    ['NORMAL', 0, 0x3e],
    ['SECURE', 0x3d, 0],
    ['SHARED', 0, 0],
    ['PINNED-SHARED', 0, 0],
    ['EXPORTED', 0, 0x3e],
    ['LOST', 0, 0x3e],
    ['SHARED-AWAY', 0, 0x3e],
  ] as const)('%s: 0x%s for the host, 0x%s for the guest', (state, forHost, forGuest) => {
    STATES[state]();
    expect(byHost(WHERE)).toBe(forHost);
    expect(byGuest(WHERE, TRIED)).toBe(forGuest);
  });

  test('another protected guest: 0x3f for what is secure, 0x3e for what is shared with the host only', () => {
    const second = host.createVerified({ second: true });
    STATES.SECURE();
    expect(byGuest(WHERE, TRIED, second)).toBe(0x3f);
    expect(guest.uvc('SET_SHARED', BigInt(TRIED))).toBe(1);
    expect(byGuest(WHERE, TRIED, second)).toBe(0x3e);
  });

  test('donated storage: 0x3d for everybody', () => {
    for (const at of [HIGH, AT.base, AT.variable, AT.cpu]) {
      expect(byHost(at)).toBe(0x3d);
      expect(byGuest(at, TRIED)).toBe(0x3d);
    }
  });
});

describe('operands of the commands on pages (2.3)', () => {
  const NAMES = ['CONVERT_FROM', 'DESTROY_STORAGE', 'PIN'] as const;

  test.each(NAMES)('%s of what is no page of storage', (name) => {
    const before = host.snapshot();
    for (const at of [WHERE + 1, WHERE + 8, 0x4000_0000_0000, HIGH - PAGE]) {
      expect(host.onPage(name, at)).toMatchObject({ cc: 1, rc: CODE.address });
    }
    expect(host.snapshot()).toBe(before);
  });

  test.each(NAMES)('%s of donated storage', (name) => {
    const before = host.snapshot();
    for (const at of [HIGH, AT.base, AT.variable, AT.cpu])
      expect(host.onPage(name, at)).toMatchObject({ cc: 1, rc: CODE.state });
    expect(host.snapshot()).toBe(before);
  });

  test('CONVERT_TO and UNPIN of what is no page of the guest’s, or has no page of the host’s', () => {
    host.maps.get(ASCE.first)?.delete(TRIED);
    const before = host.snapshot();
    for (const page of [TRIED + 1, GUEST_SIZE]) {
      expect(host.import(config, page)).toMatchObject({ cc: 1, rc: CODE.address });
      expect(host.unpin(config, page)).toMatchObject({ cc: 1, rc: CODE.address });
    }
    expect(host.import(config, TRIED)).toMatchObject({ cc: 1, rc: CODE.notPresent });
    expect(host.unpin(config, TRIED)).toMatchObject({ cc: 1, rc: CODE.notPresent });
    expect(host.snapshot()).toBe(before);
  });

  test('CONVERT_TO’s address has MSO in it', () => {
    const second = host.createVerified({ second: true });
    expect(host.import(second, 0x10_0000 - PAGE)).toMatchObject({ cc: 1, rc: CODE.address });
    expect(host.import(second, 0x10_0000 + TRIED).rc).toBe(1);
    expect(byGuest(AT.otherGuest + TRIED, TRIED, second)).toBe(0);
  });

  test.each([
    ['a prefix area', 0],
    ['the control block', AT.block],
    ['a state description', AT.description],
    ['donated storage', AT.base],
  ])('CONVERT_TO does not take %s', (_, at) => {
    host.maps.get(ASCE.first)?.set(TRIED, at);
    const before = host.snapshot();
    expect(host.import(config, TRIED)).toMatchObject({ cc: 1, rc: CODE.state });
    expect(host.snapshot()).toBe(before);
  });
});

describe('a page that another guest has', () => {
  let second: bigint;
  beforeEach(() => {
    second = host.createVerified({ second: true });
    // Its tables lead to the first guest's page.
    host.maps.get(ASCE.second)?.set(0x10_0000 + TRIED, WHERE);
  });
  const take = () => host.import(second, 0x10_0000 + TRIED);

  test('is not taken while it is secure', () => {
    STATES.SECURE();
    expect(take()).toMatchObject({ cc: 1, rc: CODE.state });
    expect(host.contents(WHERE)).toEqual(CLEAR);
  });

  test('is not taken while the host holds on to it', () => {
    STATES['PINNED-SHARED']();
    expect(take()).toMatchObject({ cc: 1, rc: CODE.state });
  });

  test('is taken with what is shared, without what was in it, and the first has to have it anew', () => {
    STATES.SHARED();
    expect(take().rc).toBe(1);
    expect(host.contents(WHERE)).toEqual(ZEROS);
    expect(byGuest(WHERE, TRIED)).toBe(0x3f);
    expect(byGuest(WHERE, TRIED, second)).toBe(0);
    // Shared it still is, elsewhere.
    host.maps.get(ASCE.first)?.set(TRIED, AT.spare + 0x10_0000);
    expect(host.import(config, TRIED).rc).toBe(1);
    expect(byHost(AT.spare + 0x10_0000)).toBe(0);
  });

  test('destroyed by the host, it is free', () => {
    STATES.SECURE();
    expect(host.onPage('DESTROY_STORAGE', WHERE).rc).toBe(1);
    expect(take().rc).toBe(1);
    expect(host.contents(WHERE)).toEqual(ZEROS);
  });
});

describe('UVC of a guest’s (2.16)', () => {
  test.each(['SET_SHARED', 'REMOVE_SHARED'] as const)('%s: wrong lengths, and pages that there are not', (name) => {
    for (const length of [0x28, 0x38, 8]) expect(guest.uvc(name, BigInt(TRIED), Math.max(length, 0x28))).toBe(0x0005);
    for (const page of [GUEST_SIZE, TRIED + 1, Number.MAX_SAFE_INTEGER])
      expect(guest.uvc(name, BigInt(page))).toBe(0x0101);
    expect(guest.cc).toBe(1);
    expect(guest.uvc(name, (1n << 64n) - 4096n)).toBe(0x0101);
  });

  test.each([
    'INIT',
    'CREATE_CONFIG',
    'CONVERT_FROM',
    'DESTROY_STORAGE',
    'UNSHARE_ALL',
    'DUMP_INIT',
    'QUERY_KEYS',
  ] as const)('%s is not a guest’s', (name) => {
    expect(guest.uvc(name, BigInt(TRIED))).toBe(0x0002);
    expect(guest.cc).toBe(1);
  });

  test('a block whose page the guest does not have is the host’s business', () => {
    guest.setGr(2, BigInt(TRIED));
    expect(guest.instruction('uvc', 0xb9a4_0002)).toBe('fault');
    expect(guest.refusedByHost).toBe(true);
  });

  test('unsharing a pinned page is shown to the host with the block, and tried again until it is unpinned', () => {
    STATES['PINNED-SHARED']();
    const psw = guest.pswAddress;
    for (let again = 0; again < 3; again++) {
      expect(guest.uvc('REMOVE_SHARED', BigInt(TRIED))).toBe('leave');
      expect(guest.peekByte(0x50)).toBe(0x6c);
      expect(guest.peek(0x50) & 0xffffn).toBe(0xb9a4n);
      expect(guest.pswAddress).toBe(psw);
      const block = new DataView(host.view.read(AT.spare as never, 0x30).buffer);
      expect([block.getUint16(2), block.getBigUint64(UVCB.SHARE.ADDRESS)]).toEqual([0x1001, BigInt(TRIED)]);
      expect(guest.enter()).toBe('runs');
    }
    expect(host.unpin(config, TRIED).rc).toBe(1);
    expect(guest.uvc('REMOVE_SHARED', BigInt(TRIED))).toBe(1);
    expect(byHost(WHERE)).toBe(0x3d);
  });
});

describe('UNSHARE_ALL, and the two ways to destroy (1.7)', () => {
  function stopped(): void {
    guest.stop();
    for (const cpu of host.cpus) host.setState(cpu, 2);
  }
  const nodata = (name: 'UNSHARE_ALL' | 'DESTROY_CPU' | 'DESTROY_CONFIG' | 'DESTROY_CONFIG_FAST', handle: bigint) =>
    host.call(name, [[UVCB.HANDLE, 8, handle]]);

  test.each(['SHARED', 'PINNED-SHARED'] as const)('%s is the guest’s alone, with its contents', (state) => {
    STATES[state]();
    stopped();
    expect(nodata('UNSHARE_ALL', config).rc).toBe(1);
    expect(byHost(WHERE)).toBe(0x3d);
    expect(host.contents(WHERE)).toEqual(CLEAR);
  });

  test('what is shared and nowhere comes back as zeros', () => {
    STATES['SHARED-AWAY']();
    stopped();
    expect(nodata('UNSHARE_ALL', config).rc).toBe(1);
    expect(host.import(config, TRIED).rc).toBe(1);
    expect(host.contents(WHERE)).toEqual(ZEROS);
    expect(byHost(WHERE)).toBe(0x3d);
  });

  test('destroyed, all pages are clear and the host’s', () => {
    STATES.SECURE();
    stopped();
    for (const cpu of host.cpus) expect(nodata('DESTROY_CPU', cpu).rc).toBe(1);
    expect(nodata('DESTROY_CONFIG', config).rc).toBe(1);
    expect(byHost(WHERE)).toBe(0);
    expect(host.contents(WHERE)).toEqual(ZEROS);
    expect(host.import(config, TRIED)).toMatchObject({ cc: 1, rc: 0x0020 });
  });

  test('destroyed fast, secure pages are nobody’s until the host destroys them, and donated storage is back at once', () => {
    STATES.SECURE();
    stopped();
    for (const cpu of host.cpus) nodata('DESTROY_CPU', cpu);
    expect(nodata('DESTROY_CONFIG_FAST', config).rc).toBe(1);
    expect([AT.base, AT.variable].map(byHost)).toEqual([0, 0]);
    expect(byHost(WHERE)).toBe(0x3d);
    expect(host.onPage('CONVERT_FROM', WHERE)).toMatchObject({ cc: 1, rc: CODE.state });
    const second = host.createVerified({ second: true });
    expect(byGuest(WHERE, TRIED, second)).toBe(0x3f);
    host.maps.get(ASCE.second)?.set(0x10_0000 + TRIED, WHERE);
    expect(host.import(second, 0x10_0000 + TRIED)).toMatchObject({ cc: 1, rc: CODE.state });
    expect(host.onPage('DESTROY_STORAGE', WHERE).rc).toBe(1);
    expect(byHost(WHERE)).toBe(0);
    expect(host.contents(WHERE)).toEqual(ZEROS);
  });
});
