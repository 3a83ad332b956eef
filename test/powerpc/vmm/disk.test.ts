import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMachine, MemoryDisk } from '../../../src/index.ts';

const LIMIT = 400_000_000;
const SECTORS = 64;
const file = 'guests/powerpc/disk.elf';
const image = { file, bytes: new Uint8Array(readFileSync(file)) };

/** What `disk.c` leaves on the disk: sectors 16 to 39 in chunks of 8, byte i of a chunk is sector + 7 i + i / 256. */
function expected(before: Uint8Array): Uint8Array {
  const after = before.slice();
  for (let sector = 16; sector < 40; sector += 8) {
    for (let i = 0; i < 4096; i++) after[sector * 512 + i] = sector + 7 * i + (i >> 8);
  }
  return after;
}

/** Checksum of the whole disk as `disk.c` computes it: FNV-1a of each chunk, rotated together. */
function checksum(disk: Uint8Array): string {
  const mask = (1n << 64n) - 1n;
  let sum = 0n;
  for (let at = 0; at < disk.length; at += 4096) {
    let part = 0xcbf29ce484222325n;
    for (const byte of disk.subarray(at, at + 4096)) part = ((part ^ BigInt(byte)) * 0x100000001b3n) & mask;
    sum = (((sum << 1n) | (sum >> 63n)) & mask) ^ part;
  }
  return sum.toString(16).padStart(16, '0');
}

function lines(before: Uint8Array, last: readonly string[]): string {
  const text = [
    `${SECTORS} sectors`,
    `contents ${checksum(before)}`,
    'write: ok',
    'flush: ok',
    `contents ${checksum(expected(before))}`,
    'beyond the end: I/O error',
    'half a sector: I/O error',
    'unknown request: unsupported',
    'identity: ok',
    'one interrupt',
    ...last,
    `contents ${checksum(expected(before))}`,
  ];
  return text.map((line) => `${line}\n`).join('');
}

const NORMAL = [`${SECTORS} sectors, by load`];
const SECURE = [
  'write from a page that is not shared: I/O error',
  'read into a page that is not shared: I/O error',
  'the page is as it was',
];

describe('a guest with a disk', () => {
  const contents = Uint8Array.from({ length: SECTORS * 512 }, (_, i) => (i * 31) ^ (i >> 8));

  it.each([
    ['as a normal VM, its buffers in place', false, 'of', NORMAL],
    ['as a secure VM, by way of one shared page and the I/O MMU', true, 'of', SECURE],
    ['as a secure VM from a flat tree', true, 'fdt', SECURE],
  ] as const)('%s', (_, offered, entry, last) => {
    const machine = createMachine({ arch: 'powerpc', protected: offered });
    const disk = new MemoryDisk(contents.slice());
    const vm = machine.addVm({ name: 'disk', image, memory: 16 << 20, entry, disk });
    expect(machine.run(LIMIT).kind).toBe('poweroff');
    expect(new TextDecoder().decode(vm.console.written())).toBe(lines(contents, last));
    expect(disk.bytes).toEqual(expected(contents));
    const report = machine.report();
    expect(report.vmState).toBe(offered ? 'secure' : 'normal');
    // A page that the device may not have is not paged out for it either.
    expect(report.calls.UV_PAGE_OUT).toBeUndefined();
    expect(report.hypervisorSaw.refused).toEqual({});
  });

  it('several VMs, normal and secure, each with its own', () => {
    const machine = createMachine({ arch: 'powerpc', protected: true });
    const disks = [1, 2, 3].map((n) => new MemoryDisk(contents.map((byte) => byte ^ n)));
    const before = disks.map(({ bytes }) => bytes.slice());
    const vms = disks.map((disk, i) => machine.addVm({ name: `disk ${i}`, image, memory: 16 << 20, disk }));
    expect(machine.run(3 * LIMIT).kind).toBe('poweroff');
    for (const [i, disk] of disks.entries()) {
      const was = before[i] as Uint8Array;
      expect(disk.bytes).toEqual(expected(was));
      expect(new TextDecoder().decode(vms[i]?.console.written())).toBe(lines(was, SECURE));
    }
  });

  it('without a disk says so', () => {
    const machine = createMachine({ arch: 'powerpc' });
    const vm = machine.addVm({ name: 'disk', image, memory: 16 << 20 });
    expect(machine.run(LIMIT).kind).toBe('poweroff');
    expect(new TextDecoder().decode(vm.console.written())).toBe('there is no PCI\n');
  });
});
