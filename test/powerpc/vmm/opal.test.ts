import { describe, expect, it } from 'vitest';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import { Store } from '../../../src/engine/store.ts';
import { asU64, findNode, readFdt, writeFdt } from '../../../src/image/fdt.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { hostTree } from '../../../src/powerpc/vmm/host-tree.ts';
import { Opal } from '../../../src/powerpc/vmm/opal.ts';
import { FakePort } from '../kvm/fake-port.ts';

const SECURE = 0x0001_0000_0000_0000;
const LENGTH = 0x100;
const BUFFER = 0x200;

function host() {
  const memory = new RealMemory(new Store(0x60000), [
    { name: 'normal', base: 0 as RealAddress, size: 0x10000, secure: false },
    { name: 'secure', base: SECURE as RealAddress, size: 0x10000, secure: true },
  ]);
  const port = new FakePort();
  const view = new HostView(memory, { agent: 'firmware', secure: false }, null, () => 0n);
  const terminal = new ConsoleBuffer();
  const opal = new Opal(terminal, null);
  const call = (token: number | bigint, ...args: readonly (number | bigint)[]): bigint => {
    port.setGpr(0, BigInt(token));
    for (let i = 0; i < 6; i++) port.setGpr(3 + i, BigInt.asUintN(64, BigInt(args[i] ?? 0)));
    opal.call(port, view);
    return BigInt.asIntN(64, port.gpr(3));
  };
  const u64 = (at: number) => view.readU64(at as RealAddress);
  const put = (at: number, value: bigint) => view.writeU64(at as RealAddress, value);
  return { memory, view, terminal, opal, call, u64, put };
}

describe('OPAL', () => {
  it('OPAL_CONSOLE_WRITE writes as many bytes as the big-endian length says', () => {
    const { view, terminal, call, put, u64 } = host();
    view.write(BUFFER as RealAddress, new TextEncoder().encode('hello'));
    put(LENGTH, 4n);
    expect(call(1, 0, LENGTH, BUFFER)).toBe(0n);
    expect(new TextDecoder().decode(terminal.written())).toBe('hell');
    expect(u64(LENGTH)).toBe(4n);
  });

  it('takes no more than it has room for, and tells how much', () => {
    const { call, put, u64, terminal } = host();
    put(LENGTH, 1n << 40n);
    expect(call(1, 0, LENGTH, BUFFER)).toBe(0n);
    expect(u64(LENGTH)).toBe(4096n);
    expect(terminal.written()).toHaveLength(4096);
    expect(call(25, 0, LENGTH)).toBe(0n);
    expect(u64(LENGTH)).toBe(4096n);
  });

  it('OPAL_CONSOLE_READ gives what was typed', () => {
    const { view, terminal, call, put, u64 } = host();
    terminal.feed(Uint8Array.of(1, 2, 3));
    put(LENGTH, 2n);
    expect(call(2, 0, LENGTH, BUFFER)).toBe(0n);
    expect(u64(LENGTH)).toBe(2n);
    expect(view.read(BUFFER as RealAddress, 3)).toEqual(Uint8Array.of(1, 2, 0));
    put(LENGTH, 9n);
    call(2, 0, LENGTH, BUFFER);
    expect(u64(LENGTH)).toBe(1n);
  });

  it.each([
    ['another terminal', [1, LENGTH, BUFFER]],
    ['a length in secure memory', [0, SECURE, BUFFER]],
    ['a buffer in secure memory', [0, LENGTH, SECURE]],
    ['a buffer beyond memory', [0, LENGTH, 0x10000 - 4]],
    ['an address that is none', [0, -1, BUFFER]],
  ])('refuses %s', (_name, args) => {
    for (const token of [1, 2]) {
      const { call, put, terminal } = host();
      put(LENGTH, 8n);
      terminal.feed(Uint8Array.of(1));
      expect(call(token, ...args)).toBe(-1n);
      expect(terminal.written()).toHaveLength(0);
      expect(terminal.input(9)).toHaveLength(1);
    }
  });

  it('OPAL_CEC_POWER_DOWN and OPAL_CEC_REBOOT end the host; the first counts', () => {
    const { opal, call } = host();
    expect(opal.end).toBeNull();
    expect(call(5)).toBe(0n);
    expect(opal.end?.kind).toBe('poweroff');
    expect(call(6)).toBe(0n);
    expect(opal.end?.kind).toBe('poweroff');
    const other = host();
    other.call(6);
    expect(other.opal.end?.kind).toBe('stopped');
  });

  it('OPAL_POLL_EVENTS has none', () => {
    const { call, put, u64 } = host();
    put(LENGTH, ~0n & 0xffffffffffffffffn);
    expect(call(10, LENGTH)).toBe(0n);
    expect(u64(LENGTH)).toBe(0n);
    expect(call(10, 0)).toBe(0n);
    expect(call(10, SECURE)).toBe(-1n);
  });

  it('any other token is OPAL_UNSUPPORTED, and OPAL_CHECK_TOKEN tells', () => {
    const { call } = host();
    for (const token of [0, 3, 41, 999, 1n << 40n, 0xffffffffffffffffn]) expect(call(token)).toBe(-7n);
    expect(call(80, 1)).toBe(1n);
    expect(call(80, 3)).toBe(0n);
  });
});

describe('the device tree of a host', () => {
  const options = {
    memory: [{ base: 0, size: 0x8000000 }],
    cpus: 1,
    cmdline: 'quiet',
    initrd: { base: 0x2000000, size: 0x1234 },
    opal: { base: 0x30000000, entry: 0x30000100, size: 0x10000 },
    secureMemory: [{ base: SECURE, size: 0x2000000 }],
    reserved: [{ base: 0x30000000, size: 0x10000 }],
  };

  it('tells OPAL, initrd, Ultravisor and secure memory', () => {
    const { root, reservations } = readFdt(writeFdt(hostTree(options)));
    const opal = findNode(root, '/ibm,opal')?.properties;
    expect(asU64(opal?.get('opal-base-address') as Uint8Array)).toBe(0x30000000n);
    expect(asU64(opal?.get('opal-entry-address') as Uint8Array)).toBe(0x30000100n);
    expect(asU64(findNode(root, '/chosen')?.properties.get('linux,initrd-end') as Uint8Array)).toBe(0x2001234n);
    expect(findNode(root, '/ibm,ultravisor/firmware')).toBeDefined();
    const reg = findNode(root, '/secure-memory')?.properties.get('reg') as Uint8Array;
    expect(asU64(reg.subarray(0, 8))).toBe(BigInt(SECURE));
    expect(reservations).toEqual([{ address: 0x30000000n, size: 0x10000n }]);
  });

  it('of a machine without an Ultravisor has neither', () => {
    const { root } = hostTree({ ...options, secureMemory: null });
    expect(findNode(root, '/ibm,ultravisor')).toBeUndefined();
    expect(findNode(root, '/secure-memory')).toBeUndefined();
  });
});
