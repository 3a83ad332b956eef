import { beforeEach, describe, expect, test } from 'vitest';
import { UVC, UVCB, type UvcName } from '../../../src/s390/abi.ts';
import { AT, HIGH, type UvcField, UvHost } from './uv-host.ts';

const NAMES = Object.keys(UVC) as UvcName[];
const hostCommands = NAMES.filter((name) => UVC[name].caller !== 'guest');
const guestCommands = NAMES.filter((name) => UVC[name].caller === 'guest');

/** Commands whose block begins with a configuration's handle, or with a CPU's, and where it is (s390-pv.md 2.3). */
const CONFIG_COMMANDS: readonly (readonly [UvcName, number])[] = [
  ['DESTROY_CONFIG', 0x18],
  ['DESTROY_CONFIG_FAST', 0x18],
  ['CREATE_CPU', 0x20],
  ['CONVERT_TO', 0x18],
  ['SET_PARAMETERS', 0x18],
  ['UNPACK', 0x18],
  ['VERIFY', 0x18],
  ['PREPARE_RESET', 0x18],
  ['UNSHARE_ALL', 0x18],
  ['UNPIN', 0x18],
  ['DUMP_INIT', 0x18],
  ['DUMP_STORAGE_STATE', 0x18],
  ['DUMP_COMPLETE', 0x18],
];
const CPU_COMMANDS: readonly UvcName[] = [
  'DESTROY_CPU',
  'CPU_RESET',
  'CPU_RESET_INITIAL',
  'CPU_RESET_CLEAR',
  'CPU_SET_STATE',
  'DUMP_CPU',
];

let host: UvHost;
beforeEach(() => {
  host = new UvHost();
});

/** Issues it, and has nothing changed but the block. */
function refused(name: UvcName | number, fields: readonly UvcField[] = [], length?: number): number {
  const before = host.snapshot();
  const { cc, rc } = host.call(name, fields, length);
  expect(cc).toBe(1);
  expect(host.snapshot()).toBe(before);
  return rc;
}

describe('checks common to all commands (s390-pv.md 2.2)', () => {
  test.each(
    hostCommands.filter((name) => !['QUERY', 'QUERY_KEYS', 'INIT'].includes(name)),
  )('%s before INIT is an invalid state', (name) => {
    expect(refused(name)).toBe(0x0003);
  });

  test.each([...guestCommands])('%s is a guest’s command', (name) => {
    host.init();
    expect(refused(name)).toBe(0x0002);
  });

  test.each([0x0000, 0x4242, 0x0003, 0xffff])('there is no command 0x%s', (number) => {
    expect(refused(number)).toBe(0x0002);
    host.init();
    expect(refused(number)).toBe(0x0002);
  });

  test.each(hostCommands.filter((name) => name !== 'QUERY_KEYS'))('%s of a wrong length', (name) => {
    if (name !== 'INIT') host.init();
    // QUERY takes more than the least.
    const wrong = name === 'QUERY' ? [0xa0, 8] : [UVC[name].length - 8, UVC[name].length + 8, 8, 0];
    for (const length of wrong) expect(refused(name, [], length)).toBe(0x0005);
  });

  test('a block that is not the host’s is an access exception, with nothing done', () => {
    host.init();
    const before = host.snapshot();
    host.tables = [HIGH];
    expect(() => host.call('QUERY')).not.toThrow();
    expect(host.issue().cc).toBe('fault');
    expect(host.snapshot()).toBe(before);
  });

  test.each(CONFIG_COMMANDS)('%s takes no other handle than a configuration’s', (name, at) => {
    const config = host.init().createConfig();
    const wrong = Array.from({ length: 64 }, (_, bit) => config ^ (1n << BigInt(bit)));
    const before = host.snapshot();
    for (const handle of [...wrong, config + 1n, 0n, ...host.cpus]) {
      expect(host.call(name, [[at, 8, BigInt.asUintN(64, handle)]])).toMatchObject({ cc: 1, rc: 0x0020 });
    }
    expect(host.snapshot()).toBe(before);
  });

  test.each(CPU_COMMANDS)('%s takes no other handle than a CPU’s', (name) => {
    const config = host.init().createConfig();
    const [cpu = 0n] = host.cpus;
    const wrong = Array.from({ length: 64 }, (_, bit) => cpu ^ (1n << BigInt(bit)));
    const before = host.snapshot();
    for (const handle of [...wrong, cpu + 1n, 0n, config]) {
      expect(host.call(name, [[UVCB.HANDLE, 8, BigInt.asUintN(64, handle)]])).toMatchObject({ cc: 1, rc: 0x0021 });
    }
    expect(host.snapshot()).toBe(before);
  });
});

describe('QUERY (2.5)', () => {
  test('works before INIT, says what is there, and truncates for a short block', () => {
    const { cc, rc, block } = host.call('QUERY');
    expect([cc, rc]).toEqual([0, 1]);
    expect(block.getBigUint64(0x40)).toBe(0x10_0000n);
    const short = host.call('QUERY', [], 0xa8);
    expect([short.cc, short.rc]).toEqual([1, 0x0100]);
    expect(short.block.getBigUint64(0x40)).toBe(0x10_0000n);
  });

  test('tells the host of its commands, of none of a guest’s, and of none that it refuses as unknown', () => {
    const { block } = host.call('QUERY');
    const told = NAMES.filter((name) => {
      const { bit } = UVC[name];
      return bit !== null && ((block.getUint8(0x10 + (bit >> 3)) >> (7 - (bit & 7))) & 1) === 1;
    });
    expect(told.filter((name) => UVC[name].caller === 'guest')).toEqual([]);
    host.init();
    for (const name of told) expect(host.call(name, [], 0x20).rc, name).not.toBe(0x0002);
    // Host role: INIT_UV is there (2.1).
    expect(told).toContain('INIT');
  });

  test('QUERY_KEYS names the host key as key slots do', () => {
    const { rc, block } = host.call('QUERY_KEYS', [], 0x200);
    expect(rc).toBe(1);
    expect(new Uint8Array(block.buffer, 0x20, 32)).toEqual(host.uv.se.hostKeyHash);
    expect(new Uint8Array(block.buffer, 0x40, 32)).toEqual(new Uint8Array(32));
  });
});

describe('INIT (2.7)', () => {
  const fields = (origin: number, length = 0x10_0000): UvcField[] => [
    [0x18, 8, origin],
    [0x20, 8, length],
  ];

  const CASES: readonly (readonly [string, readonly UvcField[], readonly number[]])[] = [
    ['a length that is short', fields(HIGH, 0x10_0000 - 8), [0x0103]],
    ['an origin outside of storage', fields(0x4000_0000_0000), [0x0104, 0x0105]],
    ['an end outside of storage', fields(HIGH + 0x38_0000), [0x0105]],
    ['an origin below 2 GiB', fields(0x10_0000), [0x0108]],
  ];

  test.each(CASES)('%s', (_, block, codes) => {
    expect(codes).toContain(refused('INIT', block));
  });

  test('more than one CPU that operates', () => {
    host.operating = 2;
    expect(refused('INIT', fields(HIGH))).toBe(0x0102);
  });

  test('an origin that is not on a MiB is refused', () => {
    expect(refused('INIT', fields(HIGH + 0x1000))).toBeGreaterThan(0x0100);
  });

  test('takes the storage for good, once', () => {
    host.init();
    expect(host.isHosts(HIGH)).toBe(false);
    expect(host.isHosts(HIGH + 0xf_f000)).toBe(false);
    expect(host.isHosts(HIGH + 0x10_0000)).toBe(true);
    expect(refused('INIT', fields(HIGH + 0x10_0000))).toBe(0x0101);
  });
});

/** The fields with one of them other. */
const changed = (fields: readonly UvcField[], offset: number, value: bigint | number): UvcField[] =>
  fields.map((field) => (field[0] === offset ? [field[0], field[1], value] : field));

describe('CREATE_CONFIG (2.8)', () => {
  const F = UVCB.CREATE_CONFIG;
  const CASES: readonly (readonly [string, number, bigint | number, number])[] = [
    ['MSO above all storage', F.GUEST_ORIGIN, 1n << 50n, 0x0101],
    ['an end above all storage', F.GUEST_LENGTH, 1n << 50n, 0x0102],
    ['an ASCE that is not private', F.ASCE, 0xa0_0000n, 0x0105],
    ['an ASCE of a real space', F.ASCE, 0xa0_0120n, 0x0105],
    ['base storage outside of storage', F.BASE, 0x4000_0000_0000n, 0x0108],
    ['base storage that is the Ultravisor’s', F.BASE, HIGH, 0x0108],
    ['base storage with a prefix area', F.BASE, 0, 0x0109],
    ['no SCA', F.SCA, 0, 0x010c],
    ['an SCA outside of storage', F.SCA, 0x4000_0000_0000n, 0x010d],
    ['an SCA that is the Ultravisor’s', F.SCA, HIGH, 0x010d],
  ];

  test.each(CASES)('%s', (_, offset, value, code) => {
    host.init();
    expect(refused('CREATE_CONFIG', changed(host.configFields(), offset, value))).toBe(code);
  });

  test('gives a handle, and takes base and variable storage', () => {
    host.init();
    const { block } = host.expect('CREATE_CONFIG', host.configFields());
    expect(block.getBigUint64(0x18)).not.toBe(0n);
    expect([AT.base, AT.variable, AT.sca].map((at) => host.isHosts(at))).toEqual([false, false, true]);
  });

  test('the same block again, and another with the same ASCE, give no handle', () => {
    host.init().createConfig();
    const again = host.call('CREATE_CONFIG', host.configFields());
    expect(again.rc & 0x7fff).toBeGreaterThanOrEqual(0x0100);
    expect(again.block.getBigUint64(0x18)).toBe(0n);
    const other = changed(host.configFields(true), F.ASCE, host.configFields()[5]?.[2] ?? 0n);
    expect(refused('CREATE_CONFIG', other)).toBeGreaterThanOrEqual(0x0104);
  });

  test('storage that is donated twice in one block is refused', () => {
    host.init();
    expect(refused('CREATE_CONFIG', changed(host.configFields(), F.VARIABLE, AT.base))).toBeGreaterThan(0x0100);
  });

  test('the page of the control block is not donated', () => {
    host.init();
    expect(refused('CREATE_CONFIG', changed(host.configFields(), F.VARIABLE, AT.block))).toBeGreaterThan(0x0100);
  });

  test('a host that donates the table through which it reaches the block is answered all the same', () => {
    host.init();
    host.tables = [AT.base];
    const { cc, block } = host.call('CREATE_CONFIG', host.configFields());
    expect(cc).toBe(0);
    expect(host.uv.state.configs.has(block.getBigUint64(0x18))).toBe(true);
  });

  test('destroyed, it gives its storage back in zeros', () => {
    const config = host.init().createConfig({ cpus: 0 });
    host.uv.view.fill(AT.base as never, 4096, 0xaa);
    host.expect('DESTROY_CONFIG', [[UVCB.HANDLE, 8, config]]);
    expect([AT.base, AT.variable].map((at) => host.isHosts(at))).toEqual([true, true]);
    expect(host.contents(AT.base)).toEqual(new Uint8Array(4096));
    expect(refused('DESTROY_CONFIG', [[UVCB.HANDLE, 8, config]])).toBe(0x0020);
  });
});

describe('CREATE_CPU (2.9)', () => {
  const F = UVCB.CREATE_CPU;
  const CASES: readonly (readonly [string, number, bigint | number, number])[] = [
    ['a number that is too high', F.NUMBER, 0x1000, 0x0103],
    ['a number that is there', F.NUMBER, 0, 0x0104],
    ['storage outside of storage', F.STORAGE, 0x4000_0000_0000n, 0x0105],
    ['storage that is the Ultravisor’s', F.STORAGE, HIGH, 0x0105],
    ['storage in a prefix area', F.STORAGE, 0, 0x0106],
    ['a state description outside of storage', F.STATE, 0x4000_0000_0000n, 0x0107],
    ['a state description that is the Ultravisor’s', F.STATE, HIGH, 0x0107],
    ['a state description that describes another', F.STATE, AT.description, 0x0107],
  ];

  test.each(CASES)('%s', (_, offset, value, code) => {
    const config = host.init().createConfig({ cpus: 1 });
    expect(refused('CREATE_CPU', changed(host.cpuFields(config, 1), offset, value))).toBe(code);
  });

  test('a number that its state description does not have is refused', () => {
    const config = host.init().createConfig({ cpus: 0 });
    expect(refused('CREATE_CPU', host.cpuFields(config, 1))).toBeGreaterThan(0x0100);
  });

  test('a configuration with CPUs is not destroyed; a CPU that is gives its storage back', () => {
    const config = host.init().createConfig({ cpus: 1 });
    const [cpu = 0n] = host.cpus;
    expect(host.isHosts(AT.cpu)).toBe(false);
    expect(host.isHosts(AT.description)).toBe(true);
    expect(refused('DESTROY_CONFIG', [[UVCB.HANDLE, 8, config]])).toBe(0x0003);
    host.expect('DESTROY_CPU', [[UVCB.HANDLE, 8, cpu]]);
    expect(host.isHosts(AT.cpu)).toBe(true);
    expect(host.contents(AT.cpu)).toEqual(new Uint8Array(4096));
    expect(refused('DESTROY_CPU', [[UVCB.HANDLE, 8, cpu]])).toBe(0x0021);
    host.expect('DESTROY_CONFIG', [[UVCB.HANDLE, 8, config]]);
  });
});
