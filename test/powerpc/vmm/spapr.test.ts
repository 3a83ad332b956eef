import { describe, expect, it } from 'vitest';
import { ImageError } from '../../../src/image/error.ts';
import { asCells, asString, asU32, findNode, readFdt } from '../../../src/image/fdt.ts';
import { OptionError } from '../../../src/machine/types.ts';
import { MSR } from '../../../src/powerpc/abi.ts';
import { placeKernel } from '../../../src/powerpc/vmm/kernel-image.ts';
import { elf, Guest, KERNEL, MIB } from './machine.ts';

const TWO_SEGMENTS = elf([
  { paddr: 0x1000, bytes: Uint8Array.of(1, 2, 3, 4) },
  { paddr: 0x200000, bytes: Uint8Array.of(5, 6, 7, 8, 9), memsz: 0x30008 },
]);

describe('where an image goes', () => {
  it('physical addresses modulo 256 MiB, from 0x400000, entered at the lowest; either byte order', () => {
    for (const littleEndian of [false, true]) {
      const bytes = elf([{ paddr: 0x30002000, bytes: Uint8Array.of(1) }], { littleEndian });
      expect(placeKernel({ file: 'k', bytes }, 64 * MIB)).toEqual({
        segments: [{ base: 0x402000, bytes: Uint8Array.of(1), end: 0x402001 }],
        base: 0x402000,
        size: 1,
        end: 0x402001,
      });
    }
  });

  it('its size is the sum of its segments, as QEMU 7.2 tells for this file: base 0x401000, size 0x3000c', () => {
    expect(placeKernel({ file: 'k', bytes: TWO_SEGMENTS }, 64 * MIB)).toMatchObject({
      base: 0x401000,
      size: 0x3000c,
      end: 0x630008,
    });
  });

  it.each([
    ['another machine', elf([{ paddr: 0, bytes: Uint8Array.of(1) }], { machine: 22 }), /e_machine/],
    ['no ELF file', new TextEncoder().encode('hello'), /ELF/],
    ['nothing to load', elf([]), /nothing to load/],
    ['more than guest memory', elf([{ paddr: 0x8000000, bytes: Uint8Array.of(1) }]), /program header 0: it reaches/],
    [
      'segments over each other',
      elf([
        { paddr: 0, bytes: new Uint8Array(8) },
        { paddr: 4, bytes: new Uint8Array(8) },
      ]),
      /overlaps/,
    ],
  ])('refuses %s with the name of the file', (_name, bytes, message) => {
    const place = () => placeKernel({ file: 'bad.elf', bytes }, 64 * MIB);
    expect(place).toThrow(ImageError);
    expect(place).toThrow(message);
    expect(place).toThrow(/^bad\.elf: /);
  });
});

describe('a start as QEMU 7.2 does it with x-vof=on', () => {
  it('MSR 0, R1 0xff60, R5 the client entry; image in place, the rest zero', () => {
    const g = new Guest();
    expect(g.vm.vcpus[0].context).toMatchObject({ pc: 0x400000n, msr: 0n });
    expect([1, 3, 4, 5].map((n) => g.port.gpr(n))).toEqual([0xff60n, 0n, 0n, 0x10cn]);
    expect(g.spapr.memory.read(g.vm, 0x400000, 6)).toEqual(Uint8Array.of(1, 2, 3, 4, 0, 0));
    // mr r4,r3; lis r3,0; ori r3,r3,0xf005; sc 1; blr
    expect(g.readWords(0x10c, 5)).toEqual([0x7c641b78, 0x3c600000, 0x6063f005, 0x44000022, 0x4e800020]);
  });

  it('an initrd lies where QEMU puts it, in R3 and R4', () => {
    const initrd = { file: 'initrd', bytes: new Uint8Array(100000).fill(7) };
    const g = new Guest({ initrd });
    expect([g.port.gpr(3), g.port.gpr(4)]).toEqual([0x420000n, 100000n]);
    expect(g.spapr.memory.read(g.vm, 0x420000 + 99999, 2)).toEqual(Uint8Array.of(7, 0));
  });

  it('behind the kernel where the sum of its segments is less than its extent', () => {
    const initrd = { file: 'initrd', bytes: Uint8Array.of(7) };
    const g = new Guest({ initrd, image: { file: 'two.elf', bytes: TWO_SEGMENTS } });
    expect(g.port.gpr(3)).toBe(0x640000n);
  });
});

describe('a flat-tree start', () => {
  const initrd = { file: 'initrd', bytes: new Uint8Array(70000).fill(7) };
  const g = new Guest({ entry: 'fdt', cmdline: 'a=1 b', cpus: 2, initrd });
  const at = Number(g.port.gpr(3));
  const size = g.readWords(at + 4, 1)[0];
  const fdt = readFdt(g.spapr.memory.read(g.vm, at, size));

  it('64-bit big-endian real mode, R3 the tree, R4 the kernel, R5 zero', () => {
    expect(g.vm.vcpus[0].context).toMatchObject({ pc: 0x400000n, msr: MSR.SF | MSR.ME });
    expect([g.port.gpr(4), g.port.gpr(5)]).toEqual([0x400000n, 0n]);
    expect(at % 0x10000).toBe(0);
  });

  it('the tree tells command line, memory, CPUs, initrd and console', () => {
    const chosen = findNode(fdt.root, '/chosen')?.properties;
    expect(asString(chosen?.get('bootargs') as Uint8Array)).toBe('a=1 b');
    expect(asU32(chosen?.get('linux,initrd-start') as Uint8Array)).toBe(0x420000);
    expect(asU32(chosen?.get('linux,initrd-end') as Uint8Array)).toBe(0x420000 + 70000);
    expect([...(findNode(fdt.root, '/memory@0')?.properties.get('reg') ?? [])]).toEqual([
      ...[0, 0, 0, 0, 0, 0, 0, 0],
      ...[0, 0, 0, 0, 0, 0x80, 0, 0],
    ]);
    expect(findNode(fdt.root, '/cpus')?.children).toHaveLength(2);
    expect(findNode(fdt.root, '/vdevice/vty@71000000')).toBeDefined();
  });

  it('the tree tells the interrupt controller and the console interrupt as the one that QEMU 7.2 dumps', () => {
    const value = (path: string, name: string): Uint8Array =>
      findNode(fdt.root, path)?.properties.get(name) as Uint8Array;
    const xicp = '/interrupt-controller';
    expect(asU32(value(xicp, 'phandle'))).toBe(0x1111);
    expect(asU32(value(xicp, 'linux,phandle'))).toBe(0x1111);
    expect(asU32(value(xicp, '#interrupt-cells'))).toBe(2);
    expect(asCells(value(xicp, 'ibm,interrupt-server-ranges'))).toEqual([0, 2]);
    expect(value(xicp, 'interrupt-controller')).toHaveLength(0);
    expect(asString(value(xicp, 'compatible'))).toBe('IBM,ppc-xicp');
    expect(asString(value(xicp, 'device_type'))).toBe('PowerPC-External-Interrupt-Presentation');
    expect(value('/vdevice', 'interrupt-controller')).toHaveLength(0);
    expect(asU32(value('/vdevice', '#interrupt-cells'))).toBe(2);
    expect(asCells(value('/vdevice/vty@71000000', 'interrupts'))).toEqual([0x1100, 0]);
    for (const [name, token] of [
      ['ibm,set-xive', 0x200a],
      ['ibm,get-xive', 0x200b],
      ['ibm,int-off', 0x200c],
      ['ibm,int-on', 0x200d],
    ] as const) {
      expect(asU32(value('/rtas', name))).toBe(token);
    }
  });

  it('RTAS is there: 20 bytes at linux,rtas-base', () => {
    const rtas = findNode(fdt.root, '/rtas')?.properties;
    const base = asU32(rtas?.get('linux,rtas-base') as Uint8Array);
    expect(asU32(rtas?.get('linux,rtas-entry') as Uint8Array)).toBe(base);
    expect(g.readWords(base, 6)).toEqual([0x7c641b78, 0x3c600000, 0x6063f000, 0x44000022, 0x4e800020, 0]);
    expect(asU32(rtas?.get('power-off') as Uint8Array)).toBe(0x2003);
  });

  it('kernel, initrd and RTAS are reserved, and the tree has room for more', () => {
    expect(fdt.reservations.map(({ address }) => Number(address))).toEqual([0x400000, 0x420000, 0x7f0000]);
    expect(size).toBeGreaterThan(4096);
  });
});

describe('options that cannot be had', () => {
  it.each([
    ['--memory', { memory: 8 * MIB + 1 }],
    ['--memory', { memory: 0 }],
    ['--memory', { memory: Number.NaN }],
    ['--memory', { memory: 0x410000, entry: 'fdt' as const }],
    ['--cpus', { cpus: 0 }],
    ['--cpus', { cpus: 1.5 }],
    ['--cpus', { cpus: 257 }],
    ['--cmdline', { cmdline: 'a\0b' }],
  ])('%s %o', (option, options) => {
    const make = () => new Guest(options);
    expect(make).toThrow(OptionError);
    expect(make).toThrow(new RegExp(`^${option}: `));
  });

  it('an initrd that does not fit', () => {
    const initrd = { file: 'big.img', bytes: new Uint8Array(4 * MIB) };
    expect(() => new Guest({ initrd })).toThrow(/^big\.img: initrd: /);
  });

  it('a machine without memory for the image', () => {
    const image = { file: 'k', bytes: elf([{ paddr: 0, bytes: new Uint8Array(MIB) }]) };
    expect(() => new Guest({ image }, MIB / 2)).toThrow(/^--memory: guest: /);
  });
});

describe('the console', () => {
  it('H_PUT_TERM_CHAR takes up to 16 characters, the first in the highest byte; 0 is the first console', () => {
    const g = new Guest();
    expect(g.call('H_PUT_TERM_CHAR', [0x71000000, 3, 0x6869210000000000n])).toBe(0);
    expect(g.call('H_PUT_TERM_CHAR', [0, 16, 0x4142434445464748n, 0x494a4b4c4d4e4f50n])).toBe(0);
    expect(g.call('H_PUT_TERM_CHAR', [0, 0])).toBe(0);
    expect(new TextDecoder().decode(g.console.written())).toBe('hi!ABCDEFGHIJKLMNOP');
    expect(g.trace.ofType('console').map(({ vm, bytes }) => [vm, bytes.length])).toEqual([
      [1, 3],
      [1, 16],
      [1, 0],
    ]);
  });

  it.each([
    [0x71000000, 17],
    [0x71000001, 1],
    [0x71000000, -1],
  ])('H_PUT_TERM_CHAR to %i of %i characters is H_PARAMETER', (reg, length) => {
    const g = new Guest();
    expect(g.call('H_PUT_TERM_CHAR', [reg, length])).toBe(-4);
    expect(g.console.written()).toHaveLength(0);
  });

  it('H_GET_TERM_CHAR gives what was typed, with a NUL behind each carriage return', () => {
    const g = new Guest();
    g.console.feed(new TextEncoder().encode('a\rb'));
    expect(g.call('H_GET_TERM_CHAR', [0x71000000])).toBe(0);
    expect([4, 5, 6].map((n) => g.port.gpr(n))).toEqual([4n, 0x610d006200000000n, 0n]);
    expect(g.call('H_GET_TERM_CHAR', [0x71000000])).toBe(0);
    expect(g.port.gpr(4)).toBe(0n);
    expect(g.call('H_GET_TERM_CHAR', [0x71000002])).toBe(-4);
  });

  it('what is typed into an empty terminal is an interrupt, and only that', () => {
    const g = new Guest();
    const source = g.vm.xics.sources.get(0x1100);
    const pulsed = (): boolean => {
      const came = source?.maskedPending === true;
      if (source !== undefined) source.maskedPending = false;
      return came;
    };
    g.call('H_CPPR', [0xff]);
    expect(pulsed()).toBe(false);
    g.console.feed(new TextEncoder().encode('a'));
    g.call('H_CPPR', [0xff]);
    expect(pulsed()).toBe(true);
    g.console.feed(new TextEncoder().encode('b'));
    g.call('H_CPPR', [0xff]);
    expect(pulsed()).toBe(false);
    g.call('H_GET_TERM_CHAR', [0]);
    expect([g.port.gpr(4), g.port.gpr(5)]).toEqual([2n, 0x6162000000000000n]);
    g.console.feed(new TextEncoder().encode('c'));
    g.call('H_CPPR', [0xff]);
    expect(pulsed()).toBe(true);
  });

  it('H_VIO_SIGNAL knows one kind of interrupt of the terminal', () => {
    const g = new Guest();
    expect(g.call('H_VIO_SIGNAL', [0x71000000, 1])).toBe(0);
    expect(g.call('H_VIO_SIGNAL', [0x71000000, 0])).toBe(0);
    expect(g.call('H_VIO_SIGNAL', [0x71000000, 2])).toBe(-4);
    expect(g.call('H_VIO_SIGNAL', [0x71000002, 1])).toBe(-4);
  });

  it('a carriage return that does not fit with its NUL waits for the next call', () => {
    const g = new Guest();
    g.console.feed(new TextEncoder().encode(`${'x'.repeat(15)}\ry`));
    g.call('H_GET_TERM_CHAR', [0]);
    expect(g.port.gpr(4)).toBe(15n);
    g.call('H_GET_TERM_CHAR', [0]);
    expect([g.port.gpr(4), g.port.gpr(5)]).toEqual([3n, 0x0d00790000000000n]);
  });
});

describe('H_LOGICAL_CI_LOAD and H_LOGICAL_CI_STORE', () => {
  it.each([1, 2, 4, 8])('%i bytes, big-endian, zero-extended', (size) => {
    const g = new Guest();
    expect(g.call('H_LOGICAL_CI_STORE', [size, 0x20000, 0x1122334455667788n])).toBe(0);
    expect(g.call('H_LOGICAL_CI_LOAD', [size, 0x20000])).toBe(0);
    expect(g.port.gpr(4)).toBe(0x1122334455667788n & ((1n << BigInt(8 * size)) - 1n));
  });

  it.each([
    [3, 0x20000],
    [16, 0x20000],
    [4, 0x10000000],
    [4, -1],
  ])('%i bytes at %i is H_PARAMETER', (size, address) => {
    const g = new Guest();
    expect(g.call('H_LOGICAL_CI_LOAD', [size, address])).toBe(-4);
    expect(g.call('H_LOGICAL_CI_STORE', [size, address])).toBe(-4);
  });
});

describe('hypercalls that nobody serves', () => {
  it.each(['H_ENTER', 'H_SEND_CRQ', 'H_CAS', 'H_TPM_COMM', 'H_RPT_INVALIDATE'] as const)('%s is H_FUNCTION', (name) => {
    expect(new Guest().call(name, [])).toBe(-2);
  });

  it('the Open Firmware client interface after a flat-tree start', () => {
    expect(new Guest({ entry: 'fdt', image: KERNEL }).call('H_VOF_CLIENT', [0x10000])).toBe(-2);
  });
});
