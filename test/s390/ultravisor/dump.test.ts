import { createDecipheriv, hkdfSync } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { UVCB } from '../../../src/s390/abi.ts';
import { SecureGuest } from './secure-guest.ts';
import { AT, GUEST_SIZE, HIGH, UvHost } from './uv-host.ts';

/** Dumps: s390-pv.md 2.15 and 6.13, read with node:crypto alone, as the owner of the customer communication key would. */

const PAGE = 4096;
const MIB = 0x10_0000;
let host: UvHost;
let config: bigint;
let guest: SecureGuest;
beforeEach(() => {
  host = new UvHost().init();
  config = host.createVerified({ image: host.dumpable });
  for (const page of [0, 0x1000, 0x18_0000, 0x18_1000, 0x1f_0000]) host.import(config, page);
  host.setState(host.cpus[0] ?? 0n, 5);
  guest = new SecureGuest(host);
  expect(guest.enter()).toBe('runs');
});

const [cpu, init] = [() => host.cpus[0] ?? 0n, () => host.call('DUMP_INIT', [[UVCB.HANDLE, 8, config]])];
const area = (length: number): Uint8Array => host.view.read(AT.area as never, length).slice();

/** The owner's key: the Ultravisor has it from the header. */
function communicationKey(): Uint8Array {
  const key = host.uv.state.configs.get(config)?.image?.secrets.communicationKey;
  if (key === undefined) throw new Error('no image');
  return key;
}

interface Blob {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function open(blob: Uint8Array, aad: number, ivAt: number, seed: Uint8Array): Blob {
  const key = hkdfSync('sha512', communicationKey(), seed, 'IBM Z Ultravisor Dump', 32);
  const decipher = createDecipheriv('aes-256-gcm', Buffer.from(key), blob.subarray(ivAt, ivAt + 12));
  decipher.setAAD(blob.subarray(0, aad));
  decipher.setAuthTag(blob.subarray(blob.length - 16));
  const plain = Buffer.concat([decipher.update(blob.subarray(aad, blob.length - 16)), decipher.final()]);
  const bytes = new Uint8Array(plain);
  return { bytes, view: new DataView(bytes.buffer) };
}

const header = (blob: Uint8Array): readonly number[] => {
  const view = new DataView(blob.buffer, blob.byteOffset);
  return [view.getUint32(0), view.getUint32(4)];
};

test('an image whose header does not allow it is not dumped', () => {
  const other = new UvHost().init();
  const closed = other.createVerified();
  const before = other.snapshot();
  const answer = other.call('DUMP_INIT', [[UVCB.HANDLE, 8, closed]]);
  expect(answer.cc).toBe(1);
  expect(answer.rc).toBeGreaterThan(0x0100);
  expect(other.snapshot()).toBe(before);
});

test('while it is dumped nothing runs, a second dump does not begin, and it runs on afterwards', () => {
  guest.stop();
  expect(init().rc).toBe(1);
  expect(guest.enter()).toEqual({ validity: 0x2005 });
  expect(init()).toMatchObject({ cc: 1, rc: 0x0003 });
  expect(host.dump('DUMP_COMPLETE', config).rc).toBe(1);
  expect(guest.enter()).toBe('runs');
  guest.stop();
  expect(host.dump('DUMP_COMPLETE', config)).toMatchObject({ cc: 1, rc: 0x0003 });
  expect(init().rc).toBe(1);
});

test('pages that the host has read are decrypted by what the dump tells', () => {
  const secret = Uint8Array.from({ length: PAGE }, (_, i) => (i * 31 + 5) & 0xff);
  guest.write('absolute', 0x18_0000n, secret);
  guest.write('absolute', 0x18_1000n, secret);
  guest.stop();
  expect(init().rc).toBe(1);
  const exported = [0x18_0000, 0x18_1000].map((page) => {
    expect(host.onPage('CONVERT_FROM', AT.guest + page).rc).toBe(1);
    return host.view.read((AT.guest + page) as never, PAGE).slice();
  });
  expect(host.dump('DUMP_STORAGE_STATE', config, MIB).rc).toBe(1);
  const state = area(PAGE);
  expect(host.dump('DUMP_COMPLETE', config).rc).toBe(1);
  const blob = area(288);
  expect(header(blob)).toEqual([1, 288]);
  const { bytes } = open(blob, 96, 80, blob.slice(16, 80));
  const [nonce, key] = [bytes.slice(0, 16), bytes.slice(16, 80)];
  exported.forEach((page, n) => {
    const component = state.slice((0x80 + n) * 16, (0x81 + n) * 16);
    expect(component.slice(0, 4)).not.toEqual(new Uint8Array(4).fill(0xff));
    const tweak = component.map((byte, i) => byte | (nonce[i] ?? 0));
    const decipher = createDecipheriv('aes-256-xts', key, tweak);
    expect(new Uint8Array(Buffer.concat([decipher.update(page), decipher.final()]))).toEqual(secret);
  });
  // Without the nonce they are not.
  const wrong = createDecipheriv('aes-256-xts', key, state.slice(0x80 * 16, 0x81 * 16));
  expect(new Uint8Array(wrong.update(exported[0] ?? secret))).not.toEqual(secret);
  // And they come back.
  expect(host.import(config, 0x18_0000).rc).toBe(1);
  expect(host.contents(AT.guest + 0x18_0000)).toEqual(secret);
});

test('the state of storage says which pages are zero, shared, and there', () => {
  expect(guest.uvc('SET_SHARED', 0x18_1000n)).toBe(1);
  guest.stop();
  init();
  host.dump('DUMP_STORAGE_STATE', config, MIB);
  const flags = (page: number): number => {
    const component = area(PAGE).slice(((page - MIB) / PAGE) * 16, ((page - MIB) / PAGE + 1) * 16);
    expect(component.slice(0, 4)).toEqual(new Uint8Array(4).fill(0xff));
    expect(component.slice(4, 15)).toEqual(new Uint8Array(11));
    return component[15] ?? 0;
  };
  expect(flags(0x18_1000)).toBe(0x06);
  expect(flags(0x18_0000)).toBe(0x04);
  // Never touched.
  expect(flags(0x19_0000)).toBe(0x01);
});

test('registers of a CPU are where zgetdump looks for them, and nobody else reads them', () => {
  const record = host.uv.state.cpus.get(cpu());
  if (record === undefined) throw new Error('no CPU');
  guest.stop();
  const state = record.guest;
  state.gr.forEach((_, n) => {
    state.gr[n] = 0x1111_0000_0000_0000n + BigInt(n);
    state.cr[n] = 0x2222_0000_0000_0000n + BigInt(n);
    state.ar[n] = 0x3300_0000 + n;
    state.fpr[n] = 0x4444_0000_0000_0000n + BigInt(n);
  });
  Object.assign(state, { pswMask: 0x0706_0001_8000_0000n, pswAddress: 0x1234n, prefix: 0x8000, fpc: 0x00f8_0000 });
  Object.assign(state, { todProgrammable: 0x99, cpuTimer: 0x77n, clockComparator: 0x88n });
  init();
  expect(host.dump('DUMP_CPU', cpu()).rc).toBe(1);
  const blob = area(1568);
  expect(header(blob)).toEqual([1, 1568]);
  expect(Buffer.from(blob).includes(Buffer.from('1111000000000001', 'hex'))).toBe(false);
  host.dump('DUMP_COMPLETE', config);
  const seed = area(288).slice(16, 80);
  const { view } = open(blob, 32, 8, seed);
  // Offsets count from the blob's beginning.
  const at = (offset: number): number => offset - 32;
  for (const n of [0, 7, 15]) {
    expect(view.getBigUint64(at(32 + 8 * n))).toBe(0x1111_0000_0000_0000n + BigInt(n));
    expect(view.getUint32(at(224 + 4 * n))).toBe(0x3300_0000 + n);
    expect(view.getBigUint64(at(288 + 8 * n))).toBe(0x2222_0000_0000_0000n + BigInt(n));
    expect(view.getBigUint64(at(416 + 16 * n))).toBe(0x4444_0000_0000_0000n + BigInt(n));
  }
  expect([view.getBigUint64(at(160)), view.getBigUint64(at(168))]).toEqual([0x0706_0001_8000_0000n, 0x1234n]);
  expect([view.getUint32(at(184)), view.getUint32(at(188)), view.getUint32(at(196))]).toEqual([
    0x8000, 0x00f8_0000, 0x99,
  ]);
  expect([view.getBigUint64(at(200)), view.getBigUint64(at(208))]).toEqual([0x77n, 0x88n]);
  expect(view.getUint16(at(1536))).toBe(0);
});

test('a CPU in the middle of an instruction is marked as such', () => {
  guest.setGr(1, 3n);
  expect(guest.instruction('diag', 0x8300_0500)).toBe('leave');
  init();
  host.dump('DUMP_CPU', cpu());
  const blob = area(1568);
  host.dump('DUMP_COMPLETE', config);
  const { view } = open(blob, 32, 8, area(288).slice(16, 80));
  expect(view.getUint16(1536 - 32)).toBe(1);
});

test('a dump is not read with the key of another, nor with a wrong communication key', () => {
  guest.stop();
  init();
  host.dump('DUMP_CPU', cpu());
  const blob = area(1568);
  host.dump('DUMP_COMPLETE', config);
  init();
  host.dump('DUMP_COMPLETE', config);
  const seed = area(288).slice(16, 80);
  expect(() => open(blob, 32, 8, seed)).toThrow();
});

test('no two blobs of a dump have the same IV', () => {
  guest.stop();
  init();
  const ivs = new Set<string>();
  for (let n = 0; n < 8; n++) {
    host.dump('DUMP_CPU', host.cpus[n % 2] ?? 0n);
    ivs.add(Buffer.from(area(20).slice(8)).toString('hex'));
  }
  host.dump('DUMP_COMPLETE', config);
  ivs.add(Buffer.from(area(92).slice(80)).toString('hex'));
  expect(ivs.size).toBe(9);
});

describe('operands', () => {
  beforeEach(() => {
    guest.stop();
    init();
  });

  test('an area that the host does not reach is refused, and the dump goes on', () => {
    for (const name of ['DUMP_CPU', 'DUMP_COMPLETE', 'DUMP_STORAGE_STATE'] as const) {
      const before = host.snapshot();
      for (const at of [HIGH, AT.base, AT.guest, 0x4000_0000_0000]) {
        const F = UVCB.DUMP;
        const handle = name === 'DUMP_CPU' ? cpu() : config;
        const answer = host.call(name, [
          [F.HANDLE, 8, handle],
          [F.AREA, 8, at],
        ]);
        expect(answer.cc).toBe(1);
        expect(answer.rc).toBeGreaterThan(0x0100);
      }
      expect(host.snapshot()).toBe(before);
    }
    expect(host.dump('DUMP_COMPLETE', config).rc).toBe(1);
  });

  test('storage state is asked for by whole MiB of the guest', () => {
    for (const address of [GUEST_SIZE, 0x1000, MIB - 1]) {
      expect(host.dump('DUMP_STORAGE_STATE', config, address).cc).toBe(1);
    }
    for (const address of [0, MIB]) expect(host.dump('DUMP_STORAGE_STATE', config, address).rc).toBe(1);
  });
});
