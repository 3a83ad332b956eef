import { beforeEach, describe, expect, test } from 'vitest';
import { SD, UVCB, type UvcName } from '../../../src/s390/abi.ts';
import { SecureGuest } from './secure-guest.ts';
import { ASCE, AT, IMAGE, UvHost } from './uv-host.ts';

/** States of CPUs and of configurations: s390-pv.md 1.4 to 1.6, 2.10, 2.13, 5.9, and the sequences of kvm-unit-tests in its appendix A. */

const STATE = { operating: 1, stopped: 2, checkStop: 3, load: 5 } as const;
/** Validity reasons: 0x20xx says that the Ultravisor refuses (4.4). */
const isValidity = (entered: unknown): boolean =>
  typeof entered === 'object' &&
  entered !== null &&
  'validity' in entered &&
  ((entered as { validity: number }).validity & 0xff00) === 0x2000;

let host: UvHost;
beforeEach(() => {
  host = new UvHost().init();
});

const first = (): bigint => host.cpus[0] ?? 0n;
const second = (): bigint => host.cpus[1] ?? 0n;
const nodata = (name: UvcName, handle: bigint) => host.call(name, [[UVCB.HANDLE, 8, handle]]);

/** Prefix pages of a guest that was not unpacked there. */
function importPrefix(config: bigint): void {
  for (const page of [0, 0x1000]) expect(host.import(config, page).rc).toBe(1);
}

/** Refused, with nothing done. */
function refused(answer: () => { readonly cc: unknown; readonly rc: number }, rc = 0x0003): void {
  const before = host.snapshot();
  expect(answer()).toMatchObject({ cc: 1, rc });
  expect(host.snapshot()).toBe(before);
}

describe('CPU_SET_STATE (1.5)', () => {
  test('there are the states 1, 2, 3 and 5 and no others', () => {
    host.createVerified();
    const before = host.snapshot();
    for (let state = 0; state < 256; state++) {
      if (![1, 2, 3, 5].includes(state)) expect(host.setState(first(), state)).toMatchObject({ cc: 1, rc: 0x0003 });
    }
    expect(host.snapshot()).toBe(before);
  });

  test('a CPU is stopped at first, and does not start before its guest starts it', () => {
    host.createVerified();
    refused(() => host.setState(first(), STATE.operating));
    expect(host.setState(first(), STATE.stopped).cc).toBe(0);
    expect(host.setState(first(), STATE.load).cc).toBe(0);
    refused(() => host.setState(second(), STATE.operating));
  });

  test('the image is loaded once, on one CPU', () => {
    host.createVerified();
    expect(host.setState(first(), STATE.load).cc).toBe(0);
    refused(() => host.setState(first(), STATE.load));
    refused(() => host.setState(second(), STATE.load));
  });

  test('stopped before it has begun, the load is still to come', () => {
    host.createVerified();
    expect(host.setState(first(), STATE.load).cc).toBe(0);
    expect(host.setState(first(), STATE.stopped).cc).toBe(0);
    expect(host.setState(second(), STATE.load).cc).toBe(0);
  });

  test('before VERIFY nothing is loaded, and nothing operates', () => {
    const config = host.createConfig();
    for (const state of [STATE.operating, STATE.load]) refused(() => host.setState(first(), state));
    host.setParameters(config);
    for (const state of [STATE.operating, STATE.load]) refused(() => host.setState(first(), state));
  });

  test('a CPU in check-stop does not run, and does not operate again by itself', () => {
    const config = host.createVerified();
    importPrefix(config);
    host.setState(first(), STATE.load);
    const guest = new SecureGuest(host);
    expect(guest.enter()).toBe('runs');
    guest.stop();
    expect(host.setState(first(), STATE.checkStop).cc).toBe(0);
    expect(isValidity(guest.enter())).toBe(true);
    refused(() => host.setState(first(), STATE.operating));
    refused(() => host.setState(first(), STATE.load));
    refused(() => nodata('CPU_RESET', first()));
  });

  test('a CPU that runs changes no state, and is not destroyed', () => {
    const config = host.createVerified();
    importPrefix(config);
    host.setState(first(), STATE.load);
    const guest = new SecureGuest(host);
    expect(guest.enter()).toBe('runs');
    for (const state of [1, 2, 3, 5]) refused(() => host.setState(first(), state));
    for (const name of ['DESTROY_CPU', 'CPU_RESET', 'CPU_RESET_INITIAL', 'CPU_RESET_CLEAR'] as const) {
      refused(() => nodata(name, first()));
    }
    for (const name of [
      'PREPARE_RESET',
      'UNSHARE_ALL',
      'DUMP_INIT',
      'DESTROY_CONFIG',
      'DESTROY_CONFIG_FAST',
    ] as const) {
      refused(() => nodata(name, config));
    }
    guest.stop();
    expect(host.setState(first(), STATE.stopped).cc).toBe(0);
  });

  test('what was stopped goes on where it was', () => {
    const config = host.createVerified();
    importPrefix(config);
    host.setState(first(), STATE.load);
    const guest = new SecureGuest(host);
    guest.enter();
    guest.stop();
    expect(host.setState(first(), STATE.stopped).cc).toBe(0);
    expect(isValidity(guest.enter())).toBe(true);
    expect(host.setState(first(), STATE.operating).cc).toBe(0);
    expect(guest.enter()).toBe('runs');
  });
});

describe('the reset chain (5.9, kvm-unit-tests pv-ipl)', () => {
  /** A guest that has asked for a reset by DIAGNOSE 0x308 with this subcode. */
  function asksForReset(subcode: bigint): SecureGuest {
    const config = host.createVerified();
    importPrefix(config);
    host.setState(first(), STATE.load);
    const guest = new SecureGuest(host);
    expect(guest.enter()).toBe('runs');
    guest.setGr(3, subcode);
    expect(guest.instruction('diag', 0x8323_0308)).toBe('leave');
    expect(guest.peekByte(SD.ICPTCODE)).toBe(0x6c);
    return guest;
  }

  test.each([0n, 1n])('of subcode %s: validity after every step, until the load', (subcode) => {
    const guest = asksForReset(subcode);
    const [config = 0n] = host.configs;
    const reset = subcode === 0n ? 'CPU_RESET_CLEAR' : 'CPU_RESET';
    const initial = subcode === 0n ? 'CPU_RESET_CLEAR' : 'CPU_RESET_INITIAL';
    // A short PSW at absolute 0, as the guest has left it: 0x000c0180 with an address of 0x12340.
    host.uv.view.write(AT.guest as never, Uint8Array.of(0x00, 0x08, 0x00, 0x01, 0x80, 0x01, 0x23, 0x40));
    const steps: (() => { readonly cc: unknown })[] = [
      () => host.setState(first(), STATE.stopped),
      () => host.setState(second(), STATE.stopped),
      () => nodata('UNSHARE_ALL', config),
      () => nodata('PREPARE_RESET', config),
      () => nodata(initial, first()),
      () => nodata(reset, second()),
    ];
    expect(isValidity(guest.enter())).toBe(true);
    for (const step of steps) {
      expect(step().cc).toBe(0);
      expect(isValidity(guest.enter())).toBe(true);
    }
    expect(host.setState(first(), STATE.load).cc).toBe(0);
    guest.poke(SD.CPU_TIMER, 0n);
    expect(guest.enter()).toBe('runs');
    // Bit 12 of a short PSW is the format's, and no part of the PSW.
    expect(guest.guest.state.pswAddress).toBe(0x1_2340n);
    expect(guest.guest.state.pswMask).toBe(0x0000_0001_8000_0000n);
  });

  test('steps in another order are refused', () => {
    asksForReset(1n);
    const [config = 0n] = host.configs;
    // Not stopped yet.
    refused(() => nodata('UNSHARE_ALL', config));
    refused(() => nodata('PREPARE_RESET', config));
    refused(() => nodata('CPU_RESET', first()));
    host.setState(first(), STATE.stopped);
    // Not prepared yet.
    refused(() => nodata('CPU_RESET', first()));
    refused(() => host.setState(first(), STATE.load));
    refused(() => host.setState(first(), STATE.operating));
    nodata('UNSHARE_ALL', config);
    nodata('PREPARE_RESET', config);
    // Not all of them reset yet.
    nodata('CPU_RESET_INITIAL', first());
    refused(() => host.setState(first(), STATE.load));
    nodata('CPU_RESET', second());
    refused(() => host.setState(first(), STATE.operating));
    expect(host.setState(first(), STATE.load).cc).toBe(0);
    // Once.
    refused(() => host.setState(second(), STATE.load));
  });

  test('PREPARE_RESET wants nothing shared', () => {
    const config = host.createVerified();
    importPrefix(config);
    for (const page of [0x1f_0000, 0x1f_1000]) host.import(config, page);
    host.setState(first(), STATE.load);
    const guest = new SecureGuest(host);
    expect(guest.enter()).toBe('runs');
    expect(guest.uvc('SET_SHARED', 0x1f_1000n)).toBe(1);
    guest.stop();
    host.setState(first(), STATE.stopped);
    expect(host.isHosts(AT.guest + 0x1f_1000)).toBe(true);
    refused(() => nodata('PREPARE_RESET', config));
    expect(nodata('UNSHARE_ALL', config).cc).toBe(0);
    expect(host.isHosts(AT.guest + 0x1f_1000)).toBe(false);
    expect(nodata('PREPARE_RESET', config).cc).toBe(0);
  });
});

describe('resets (Principles of Operation, "Resets")', () => {
  function registers(reset: UvcName) {
    const config = host.createVerified();
    importPrefix(config);
    const record = host.uv.state.cpus.get(second());
    if (record === undefined) throw new Error('no CPU');
    const { guest } = record;
    guest.gr.fill(0x11n);
    guest.fpr.fill(0x22n);
    guest.ar.fill(0x33);
    guest.cr.fill(0x44n);
    Object.assign(guest, { fpc: 0x55, prefix: 0x2000, clockComparator: 0x66n, pswMask: 0x77n, pswAddress: 0x88n });
    expect(nodata(reset, second()).cc).toBe(0);
    return guest;
  }

  test('a CPU reset keeps registers and prefix', () => {
    const guest = registers('CPU_RESET');
    expect([guest.gr[0], guest.cr[1], guest.prefix, guest.fpc]).toEqual([0x11n, 0x44n, 0x2000, 0x55]);
  });

  test('an initial CPU reset clears PSW, prefix, timers, FPC and control registers, and keeps the rest', () => {
    const guest = registers('CPU_RESET_INITIAL');
    expect([guest.pswMask, guest.pswAddress, guest.prefix, guest.fpc, guest.clockComparator]).toEqual([
      0n,
      0n,
      0,
      0,
      0n,
    ]);
    expect(guest.cr.map((value, n) => (n === 0 || n === 14 ? value : value !== 0n))).toEqual([
      0xe0n,
      ...new Array<boolean>(13).fill(false),
      0xc200_0000n,
      false,
    ]);
    expect([guest.gr[5], guest.fpr[5], guest.ar[5]]).toEqual([0x11n, 0x22n, 0x33]);
  });

  test('a clear reset clears general, floating-point and access registers too', () => {
    const guest = registers('CPU_RESET_CLEAR');
    expect([...guest.gr, ...guest.fpr].every((value) => value === 0n)).toBe(true);
    expect(guest.ar.every((value) => value === 0)).toBe(true);
  });

  test('of a CPU that operates are refused', () => {
    host.createVerified();
    host.setState(first(), STATE.load);
    for (const name of ['CPU_RESET', 'CPU_RESET_INITIAL', 'CPU_RESET_CLEAR'] as const)
      refused(() => nodata(name, first()));
  });
});

describe('commands by the state of their configuration (1.4)', () => {
  type Reached = 'CREATED' | 'PARAMS' | 'VERIFIED' | 'RESET-PENDING' | 'DUMPING';
  const REACH: Readonly<Record<Reached, () => bigint>> = {
    CREATED: () => host.createConfig(),
    PARAMS: () => {
      const config = host.createConfig();
      host.setParameters(config);
      return config;
    },
    VERIFIED: () => host.createVerified(),
    'RESET-PENDING': () => {
      const config = host.createVerified();
      nodata('PREPARE_RESET', config);
      return config;
    },
    DUMPING: () => {
      const config = host.createVerified({ image: host.dumpable });
      nodata('DUMP_INIT', config);
      return config;
    },
  };
  const STATES = Object.keys(REACH) as Reached[];
  const F = UVCB.UNPACK;

  /** Commands on a configuration: how to issue one, and where it is legal. */
  const COMMANDS: readonly (readonly [string, (config: bigint) => { cc: unknown; rc: number }, readonly Reached[]])[] =
    [
      ['SET_PARAMETERS', (config) => host.setParameters(config), ['CREATED']],
      [
        'UNPACK',
        (config) => {
          const [page] = IMAGE.pages;
          return host.call('UNPACK', [
            [F.CONFIG, 8, config],
            [F.ADDRESS, 8, page?.address ?? 0],
          ]);
        },
        ['PARAMS'],
      ],
      ['CONVERT_TO', (config) => host.import(config, 0x18_0000), ['VERIFIED', 'RESET-PENDING', 'DUMPING']],
      ['UNSHARE_ALL', (config) => nodata('UNSHARE_ALL', config), ['VERIFIED', 'RESET-PENDING']],
      ['PREPARE_RESET', (config) => nodata('PREPARE_RESET', config), ['VERIFIED', 'RESET-PENDING']],
      ['DUMP_STORAGE_STATE', (config) => host.dump('DUMP_STORAGE_STATE', config), ['DUMPING']],
      ['DUMP_COMPLETE', (config) => host.dump('DUMP_COMPLETE', config), ['DUMPING']],
      ['DUMP_CPU', () => host.dump('DUMP_CPU', first()), ['DUMPING']],
      ['CREATE_CPU', (config) => host.createAnotherCpu(config), ['CREATED', 'PARAMS', 'VERIFIED']],
      ['CPU_SET_STATE load', () => host.setState(first(), STATE.load), ['VERIFIED']],
      // With CPUs it is not destroyed, in no state.
      ['DESTROY_CONFIG', (config) => nodata('DESTROY_CONFIG', config), []],
      ['DESTROY_CONFIG_FAST', (config) => nodata('DESTROY_CONFIG_FAST', config), []],
    ];

  test.each(COMMANDS)('%s', (_, issue, legal) => {
    for (const state of STATES) {
      host = new UvHost().init();
      const config = REACH[state]();
      expect(host.uv.state.configs.get(config)?.state).toBe(state);
      if (legal.includes(state)) expect(issue(config), state).toMatchObject({ rc: 1 });
      else {
        host.settle();
        const before = host.snapshot();
        expect(issue(config), state).toMatchObject({ cc: 1, rc: 0x0003 });
        expect(host.snapshot()).toBe(before);
      }
    }
  });

  test.each(STATES)('a configuration that is %s is destroyed once its CPUs are', (state) => {
    const config = REACH[state]();
    for (const cpu of host.cpus) expect(nodata('DESTROY_CPU', cpu).cc).toBe(0);
    expect(nodata('DESTROY_CONFIG', config).cc).toBe(0);
    expect([...host.uv.state.pages.values()].filter(({ use }) => use !== 'donated')).toEqual([]);
    // What the Ultravisor has for itself is all that is left.
    expect(host.uv.state.pages.size).toBe(0x100);
    for (const { address } of IMAGE.pages) expect(host.isHosts(AT.guest + address)).toBe(true);
  });
});

describe('SIE refuses (1.6, kvm-unit-tests pv-icptcode)', () => {
  let guest: SecureGuest;
  let config: bigint;
  beforeEach(() => {
    config = host.createVerified();
    importPrefix(config);
    host.setState(first(), STATE.load);
    guest = new SecureGuest(host);
    expect(guest.enter()).toBe('runs');
    guest.stop();
  });

  /** Refused with nothing changed but the interception in the state description; and runs once it is put right. */
  function refuses(spoil: () => void, mend: () => void): void {
    spoil();
    const before = guestBooks();
    expect(isValidity(guest.enter())).toBe(true);
    expect(guestBooks()).toBe(before);
    mend();
    expect(guest.enter()).toBe('runs');
    guest.stop();
  }

  const guestBooks = (): string => host.snapshot().replace(/^\S+/, '');

  test.each([SD.CPU_HANDLE, SD.CONFIG_HANDLE])('a handle at 0x%s with any bit flipped', (at) => {
    const right = guest.peek(at);
    for (let bit = 0n; bit < 64n; bit++) {
      guest.poke(at, right ^ (1n << bit));
      expect(isValidity(guest.enter()), `bit ${bit}`).toBe(true);
    }
    refuses(
      () => guest.poke(at, 0n),
      () => guest.poke(at, right),
    );
  });

  test('handles of another configuration, and of another CPU of the same', () => {
    const other = host.createVerified({ second: true });
    const cpu = guest.peek(SD.CPU_HANDLE);
    for (const handle of [host.cpus[2] ?? 0n, second(), other, config]) {
      refuses(
        () => guest.poke(SD.CPU_HANDLE, handle),
        () => guest.poke(SD.CPU_HANDLE, cpu),
      );
    }
    refuses(
      () => guest.poke(SD.CONFIG_HANDLE, other),
      () => guest.poke(SD.CONFIG_HANDLE, config),
    );
  });

  test('another ASCE in CR1', () => {
    refuses(
      () => {
        guest.asce = ASCE.second;
      },
      () => {
        guest.asce = ASCE.first;
      },
    );
  });

  test('a description without extended SCA, and one for another CPU address', () => {
    const ecb2 = guest.peekByte(SD.ECB2);
    refuses(
      () => guest.pokeByte(SD.ECB2, ecb2 & ~0x04),
      () => guest.pokeByte(SD.ECB2, ecb2),
    );
    refuses(
      () => guest.pokeByte(SD.CPU_ADDRESS + 1, 1),
      () => guest.pokeByte(SD.CPU_ADDRESS + 1, 0),
    );
  });

  test('an instruction data area that is not the host’s', () => {
    const right = guest.peek(SD.GBEA_OR_SIDA);
    for (const wrong of [
      BigInt(AT.cpu),
      BigInt(AT.base),
      0x4000_0000_0000n,
      BigInt(AT.guest),
      BigInt(AT.cpu) - 0xfffn,
    ]) {
      refuses(
        () => guest.poke(SD.GBEA_OR_SIDA, wrong),
        () => guest.poke(SD.GBEA_OR_SIDA, right),
      );
    }
  });

  test('a CPU that runs already', () => {
    expect(guest.enter()).toBe('runs');
    expect(isValidity(guest.enter())).toBe(true);
    guest.stop();
  });

  test('a CPU timer that was raised, or lowered by more than the time that has gone', () => {
    guest.poke(SD.CPU_TIMER, 0x1000_0000n);
    expect(isValidity(guest.enter())).toBe(true);
    guest.poke(SD.CPU_TIMER, 0n);
    // A millisecond is 1000 * 4096 units (4.7).
    const ms = 4_096_000n;
    host.tod += ms;
    refuses(
      () => guest.poke(SD.CPU_TIMER, ms),
      () => guest.poke(SD.CPU_TIMER, 0n),
    );
    host.tod += ms;
    refuses(
      () => guest.poke(SD.CPU_TIMER, BigInt.asUintN(64, -ms - 1n)),
      () => guest.poke(SD.CPU_TIMER, BigInt.asUintN(64, -ms)),
    );
  });

  test('not a prefix page that is away: interception 0x70, until it is back', () => {
    for (const page of [0, 0x1000]) {
      expect(host.onPage('CONVERT_FROM', AT.guest + page).cc).toBe(0);
      expect(guest.enter()).toEqual({ intercept: 0x70 });
      expect(guest.enter()).toEqual({ intercept: 0x70 });
      expect(host.import(config, page).cc).toBe(0);
      expect(guest.enter()).toBe('runs');
      guest.stop();
    }
  });

  test('not a shared prefix page that is away either', () => {
    host.import(config, 0x1f_0000);
    expect(guest.enter()).toBe('runs');
    expect(guest.uvc('SET_SHARED', 0n)).toBe(1);
    guest.stop();
    expect(guest.enter()).toBe('runs');
    guest.stop();
    host.onPage('CONVERT_FROM', AT.guest);
    expect(guest.enter()).toEqual({ intercept: 0x70 });
    expect(host.import(config, 0).cc).toBe(0);
    expect(guest.enter()).toBe('runs');
  });
});
