import { expect, test } from 'vitest';
import { SD, SDF, UVCB } from '../../../src/s390/abi.ts';
import type { PvCommand } from '../../../src/s390/kvm/pv-command.ts';
import { ScriptedHost, UV_SIZES } from './scripted-host.ts';

const EIO = -5;
const EINVAL = -22;

function run(host: ScriptedHost, command: PvCommand): { result: number | undefined; rc: number; rrc: number } {
  const job = host.kvm.schedule(host.vm, command);
  host.interrupt();
  return { result: job.result, rc: job.rc, rrc: job.rrc };
}

function enabled(): ScriptedHost {
  const host = new ScriptedHost();
  expect(run(host, { name: 'ENABLE' }).result).toBe(0);
  host.take();
  return host;
}

const u64 = (block: Uint8Array, at: number): bigint => new DataView(block.buffer).getBigUint64(at);

test('the host comes up by QUI and INIT_UV with storage above 2 GiB (5.12)', () => {
  const host = new ScriptedHost();
  const [query, init] = host.take();
  expect([query?.name, init?.name]).toEqual(['QUERY', 'INIT']);
  const origin = u64(init?.block as Uint8Array, UVCB.INIT.ORIGIN);
  expect(origin).toBeGreaterThanOrEqual(0x8000_0000n);
  expect(origin % 0x10_0000n).toBe(0n);
  expect(u64(init?.block as Uint8Array, UVCB.INIT.LENGTH)).toBe(BigInt(UV_SIZES.base));
});

test('ENABLE donates what QUI asks for and makes the state descriptions format 4 (1.2, 2.8, 2.9)', () => {
  const host = new ScriptedHost();
  host.take();
  expect(run(host, { name: 'ENABLE' }).result).toBe(0);
  const [config, ...cpus] = host.take();
  expect([config, ...cpus].map((one) => one?.name)).toEqual(['CREATE_CONFIG', 'CREATE_CPU', 'CREATE_CPU']);
  const block = config?.block as Uint8Array;
  expect(u64(block, UVCB.CREATE_CONFIG.ASCE)).toBe(host.vm.gmap.asce);
  expect(u64(block, UVCB.CREATE_CONFIG.ASCE) & 0x100n).toBe(0x100n);
  expect(u64(block, UVCB.CREATE_CONFIG.GUEST_LENGTH)).toBe(0x20_0000n);
  expect(u64(block, UVCB.CREATE_CONFIG.BASE) % 0x4000n).toBe(0n);
  expect(host.vm.secure?.variable.size).toBe(UV_SIZES.variableBase + 2 * UV_SIZES.perMiB);
  for (const { sie, secure, id } of host.vm.vcpus) {
    expect(sie.u8(SD.SDF)).toBe(SDF.secure);
    expect(sie.u64(SD.CONFIG_HANDLE)).toBe(host.vm.secure?.handle);
    expect(sie.u64(SD.CPU_HANDLE)).toBe(secure?.handle);
    expect(u64(cpus[id]?.block as Uint8Array, UVCB.CREATE_CPU.STATE)).toBe(BigInt(sie.address));
  }
  expect(run(host, { name: 'ENABLE' }).result).toBe(EINVAL);
});

test('DISABLE destroys CPUs before the configuration, and everything comes back (1.7)', () => {
  const host = new ScriptedHost();
  host.take();
  const before = free(host);
  run(host, { name: 'ENABLE' });
  host.take();
  expect(run(host, { name: 'DISABLE' }).result).toBe(0);
  expect(host.names().slice(0, 3)).toEqual(['DESTROY_CPU', 'DESTROY_CPU', 'DESTROY_CONFIG']);
  expect(free(host)).toBe(before);
  for (const { sie } of host.vm.vcpus) {
    expect(sie.u8(SD.SDF)).toBe(SDF.normal);
    // Not the freed SIDA's address (case 3).
    expect(sie.u64(SD.GBEA_OR_SIDA)).toBe(1n);
  }
  expect(run(host, { name: 'DISABLE' }).result).toBe(EINVAL);
});

test('storage of what the Ultravisor does not destroy is lost, and nothing else (1.2)', () => {
  const host = new ScriptedHost();
  const before = free(host);
  run(host, { name: 'ENABLE' });
  host.script.set('DESTROY_CPU', [{ rc: 0x21 }]);
  expect(run(host, { name: 'DISABLE' }).result).toBe(EIO);
  expect(free(host)).toBe(before - UV_SIZES.cpu);
  expect(host.vm.secure).toBeNull();
});

test.each([
  ['no configuration came of it', { rc: 0x0105 }, ['CREATE_CONFIG'], 0],
  ['a configuration is there and goes', { rc: 0x8105, handle: 0x77n }, ['CREATE_CONFIG', 'DESTROY_CONFIG'], 0],
] as const)('ENABLE that fails: %s (case 11)', (_, answer, names, lost) => {
  const host = new ScriptedHost();
  host.take();
  const before = free(host);
  host.script.set('CREATE_CONFIG', [answer]);
  const { result, rc } = run(host, { name: 'ENABLE' });
  expect(result).toBe(EIO);
  if (names.length === 1) expect(rc).toBe(0x0105);
  expect(host.names()).toEqual(names);
  expect(free(host)).toBe(before - lost);
  expect(host.vm.secure).toBeNull();
});

test('ENABLE whose second CPU is refused takes the first and the configuration back', () => {
  const host = new ScriptedHost();
  host.take();
  const before = free(host);
  host.script.set('CREATE_CPU', [{}, { rc: 0x0103 }]);
  const { result, rc } = run(host, { name: 'ENABLE' });
  expect({ result, rc }).toEqual({ result: EIO, rc: 0x0103 });
  expect(host.names().slice(0, 5)).toEqual([
    'CREATE_CONFIG',
    'CREATE_CPU',
    'CREATE_CPU',
    'DESTROY_CPU',
    'DESTROY_CONFIG',
  ]);
  expect(free(host)).toBe(before);
});

test('UNPACK goes page by page with the offset in the tweak, and maps what was not there (2.12, case 30)', () => {
  const host = enabled();
  host.script.set('UNPACK', [{}, { rc: 0x010a }]);
  expect(run(host, { name: 'UNPACK', address: 0x10000, size: 0x3000, tweak: 0x28n << 48n }).result).toBe(0);
  const blocks = host.take().map(({ block }) => block);
  expect(blocks.map((block) => Number(u64(block, UVCB.UNPACK.ADDRESS)))).toEqual([0x10000, 0x11000, 0x11000, 0x12000]);
  expect(blocks.map((block) => Number(u64(block, UVCB.UNPACK.TWEAK + 8)))).toEqual([0, 0x1000, 0x1000, 0x2000]);
  expect(host.vm.pages[0x11]).not.toBe(0);
});

test.each([
  [{ name: 'UNPACK', address: 0x10001, size: 0x1000, tweak: 0n }],
  [{ name: 'UNPACK', address: 0x10000, size: 0x1001, tweak: 0n }],
  [{ name: 'UNPACK', address: 0x10000, size: 0, tweak: 0n }],
  [{ name: 'SET_SEC_PARMS', header: new Uint8Array(0x10_0001) }],
  [{ name: 'DUMP_COMPLETE', buffer: new Uint8Array(UV_SIZES.dumpComplete) }],
] as const)('refused before the Ultravisor hears of it: %o (7.2)', (command) => {
  const host = enabled();
  expect(run(host, command).result).toBe(EINVAL);
  expect(host.names()).toEqual([]);
});

test.each([
  'DISABLE',
  'VERIFY',
  'PREP_RESET',
  'UNSHARE_ALL',
  'DUMP_INIT',
] as const)('%s without protection is EINVAL (7.2)', (name) => {
  const host = new ScriptedHost();
  host.take();
  expect(run(host, { name }).result).toBe(EINVAL);
  expect(host.names()).toEqual([]);
});

test('VERIFY that fails gives EINVAL and both response codes (2.10)', () => {
  const host = enabled();
  host.script.set('VERIFY', [{ rc: 0x0102, rrc: 0x1b }]);
  expect(run(host, { name: 'VERIFY' })).toEqual({ result: EINVAL, rc: 0x0102, rrc: 0x1b });
});

test('while a dump is under way no CPU runs, and its parts have their sizes (5.11)', () => {
  const host = enabled();
  const buffer = (size: number): Uint8Array => new Uint8Array(size);
  expect(run(host, { name: 'DUMP_INIT' }).result).toBe(0);
  expect(host.interrupt()).toBe('wait');
  expect(run(host, { name: 'DUMP_INIT' }).result).toBe(EINVAL);
  const [vcpu] = host.vm.vcpus;
  if (vcpu === undefined) throw new Error('a VM has a CPU');
  expect(run(host, { name: 'DUMP_CPU', vcpu, buffer: buffer(UV_SIZES.cpu - 1) }).result).toBe(EINVAL);
  expect(run(host, { name: 'DUMP_CPU', vcpu, buffer: buffer(UV_SIZES.cpu) }).result).toBe(0);
  const state = { name: 'DUMP_STORAGE_STATE', buffer: buffer(UV_SIZES.dumpState) } as const;
  expect(run(host, { ...state, address: 0x1000 }).result).toBe(EINVAL);
  expect(run(host, { ...state, address: 0x10_0000 }).result).toBe(0);
  expect(run(host, { name: 'DUMP_COMPLETE', buffer: buffer(UV_SIZES.dumpComplete) }).result).toBe(0);
  expect(host.names()).toEqual(['DUMP_INIT', 'DUMP_CPU', 'DUMP_STORAGE_STATE', 'DUMP_COMPLETE']);
  expect(host.interrupt()).toBe('sie');
});

function free(host: ScriptedHost): number {
  return host.kvm.freeStorage;
}
