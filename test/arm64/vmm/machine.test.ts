import { describe, expect, test } from 'vitest';
import { PSCI } from '../../../src/arm64/abi.ts';
import { callPsci, type PsciPower } from '../../../src/arm64/kvm/psci.ts';
import { placeKernel } from '../../../src/arm64/vmm/kernel-image.ts';
import { runArmGuest } from '../../support/arm-guest.ts';

const MIB = 1 << 20;

/** A Linux image's header (Documentation/arch/arm64/booting.rst). */
function linuxImage(textOffset: bigint, imageSize: bigint): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, textOffset, true);
  view.setBigUint64(16, imageSize, true);
  bytes.set(new TextEncoder().encode('ARM\x64'), 56);
  return bytes;
}

describe('placing an image', () => {
  const place = (textOffset: bigint, imageSize: bigint, initrd: number | null) =>
    placeKernel(
      { file: 'Image', bytes: linuxImage(textOffset, imageSize) },
      initrd === null ? null : { file: 'initrd', bytes: new Uint8Array(initrd) },
      512 * MIB,
      MIB,
    );

  // Addresses that QEMU 7.2 gives (hw/arm/boot.c): 128 MiB up for the initrd, the tree behind it on 2 MiB.
  test.each([
    [0x80000n, 0n, 0x40080000],
    [0n, 0x100000n, 0x40200000],
    [0x200000n, 0x100000n, 0x40200000],
  ])('a Linux image with text_offset %d and image_size %d goes to %d', (textOffset, imageSize, base) => {
    const placed = place(textOffset, imageSize, 5000);
    expect(placed.entry).toBe(BigInt(base));
    expect(placed.initrd).toEqual({ base: 0x48000000, size: 5000 });
    expect(placed.tree).toBe(0x48200000);
    expect(placed.argument).toBe(0x48200000n);
  });

  test('the initrd goes behind an image that takes the place', () => {
    expect(place(0n, 200n * BigInt(MIB) + 1n, 1).initrd).toEqual({ base: 0x40200000 + 200 * MIB + 4096, size: 1 });
  });

  test.each([
    [new Uint8Array(10), /neither an ELF file nor/],
    [linuxImage(0n, 600n * BigInt(MIB)), /not in guest memory/],
  ])('refuses what it cannot place', (bytes, message) => {
    expect(() => placeKernel({ file: 'bad', bytes }, null, 512 * MIB, MIB)).toThrow(message);
  });
});

describe('PSCI', () => {
  const did: string[] = [];
  const power: PsciPower = {
    find: (affinity) => (affinity < 2n ? Number(affinity) : undefined),
    isOn: (cpu) => cpu === 0,
    on: (cpu, entry, context) => did.push(`on ${cpu} ${entry} ${context}`),
    off: (cpu) => did.push(`off ${cpu}`),
    suspend: (cpu) => did.push(`suspend ${cpu}`),
    systemOff: () => did.push('system off'),
    systemReset: () => did.push('system reset'),
  };
  const call = (id: number, x1 = 0n, x2 = 0n, x3 = 0n): bigint =>
    BigInt.asIntN(64, callPsci(power, id, { cpu: 0, x1, x2, x3 }));

  // DEN0022E, 5.1 and 5.2.2.
  test.each([
    ['VERSION', call(PSCI.VERSION), 0x10001n],
    ['CPU_ON of a PE that is on', call(PSCI.CPU_ON_64, 0n, 0x1000n), -4n],
    ['CPU_ON of no PE', call(PSCI.CPU_ON_64, 5n, 0x1000n), -2n],
    ['CPU_ON at an odd address', call(PSCI.CPU_ON_64, 1n, 0x1001n), -2n],
    ['AFFINITY_INFO of one on', call(PSCI.AFFINITY_INFO_64, 0n), 0n],
    ['AFFINITY_INFO of one off', call(PSCI.AFFINITY_INFO_64, 1n), 1n],
    ['AFFINITY_INFO of none', call(PSCI.AFFINITY_INFO_64, 7n), -2n],
    ['FEATURES of CPU_ON', call(PSCI.FEATURES, BigInt(PSCI.CPU_ON_64)), 0n],
    ['FEATURES of MIGRATE', call(PSCI.FEATURES, BigInt(PSCI.MIGRATE_64)), -1n],
    ['an unknown function', call(0x8400_0050), -1n],
  ])('%s', (_, result, expected) => {
    expect(result).toBe(expected);
  });

  test('32-bit calls look at 32 bits', () => {
    did.length = 0;
    expect(call(PSCI.CPU_ON_32, (9n << 32n) | 1n, (9n << 32n) | 0x1000n, 7n)).toBe(0n);
    expect(did).toEqual(['on 1 4096 7']);
  });
});

test.each([false, true])('hello says hello, interpret %s', (interpret) => {
  const { outcome, console } = runArmGuest('hello', { interpret });
  expect({ outcome, console }).toEqual({ outcome: 'poweroff', console: 'hello from aarch64\n' });
});
