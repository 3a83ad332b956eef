import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  cellsValue,
  type Fdt,
  type FdtNode,
  fdtNode,
  readFdt,
  stringListValue,
  stringValue,
  u32Value,
  u64Value,
  writeFdt,
} from '../../src/image/fdt.ts';
import { type Random, random } from '../image/random.ts';
import { requireTool } from '../support/tools.ts';

/** Runs dtc; a warning is no failure, but `-q` hides only warnings, so that an error still shows. */
function dtc(from: 'dts' | 'dtb', to: 'dts' | 'dtb', input: string | Uint8Array, ...options: string[]): Uint8Array {
  const stdout = execFileSync('dtc', ['-q', '-I', from, '-O', to, ...options, '-'], { input, maxBuffer: 1 << 28 });
  return Uint8Array.from(stdout);
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const source = `/dts-v1/;
/memreserve/ 0x0000000000001000 0x2000;
/memreserve/ 0xfedcba9800000000 0x10000;
/ {
  #address-cells = <2>;
  #size-cells = <2>;
  compatible = "qemu,pseries", "ibm,esm", "";
  empty;
  chosen {
    bootargs = "console=hvc0 \\"quoted\\" svm=on";
    linux,initrd-start = <0x1 0x80000000>;
    stdout-path = &vty;
  };
  cpus {
    #address-cells = <1>;
    #size-cells = <0>;
    PowerPC,POWER9@0 { device_type = "cpu"; reg = <0>; ibm,processor-radix-AP-encodings = <0xc 0xa0000010>; };
    PowerPC,POWER9@8 { device_type = "cpu"; reg = <8>; size-cells = [01 02 03]; };
  };
  vdevice {
    vty: vty@71000000 { compatible = "hvterm1"; reg = <0x71000000>; phandle = <7>; };
  };
};
`;

const tree: Fdt = {
  root: fdtNode(
    '',
    {
      '#address-cells': u32Value(2),
      '#size-cells': u32Value(2),
      compatible: stringListValue('qemu,pseries', 'ibm,esm', ''),
      empty: new Uint8Array(0),
    },
    [
      fdtNode('chosen', {
        bootargs: stringValue('console=hvc0 "quoted" svm=on'),
        'linux,initrd-start': u64Value(0x1_8000_0000n),
        'stdout-path': stringValue('/vdevice/vty@71000000'),
      }),
      fdtNode('cpus', { '#address-cells': u32Value(1), '#size-cells': u32Value(0) }, [
        fdtNode('PowerPC,POWER9@0', {
          device_type: stringValue('cpu'),
          reg: u32Value(0),
          'ibm,processor-radix-AP-encodings': cellsValue(0xc, 0xa0000010),
        }),
        // This name is the end of #size-cells: dtc gives both the same bytes in the strings block.
        fdtNode('PowerPC,POWER9@8', {
          device_type: stringValue('cpu'),
          reg: u32Value(8),
          'size-cells': Uint8Array.of(1, 2, 3),
        }),
      ]),
      fdtNode('vdevice', {}, [
        fdtNode('vty@71000000', {
          compatible: stringValue('hvterm1'),
          reg: u32Value(0x71000000),
          phandle: u32Value(7),
        }),
      ]),
    ],
  ),
  reservations: [
    { address: 0x1000n, size: 0x2000n },
    { address: 0xfedcba9800000000n, size: 0x10000n },
  ],
  bootCpuidPhys: 8,
};

describe.skipIf(!requireTool('dtc').available)('dtc', () => {
  it('makes a blob of the source that we read as the tree', () => {
    expect(readFdt(dtc('dts', 'dtb', source, '-b', '8'))).toEqual(tree);
  });

  it('makes a blob of version 16, and one with room, that we read as the same tree', () => {
    expect(readFdt(dtc('dts', 'dtb', source, '-b', '8', '-V', '16'))).toEqual(tree);
    expect(readFdt(dtc('dts', 'dtb', source, '-b', '8', '-p', '1000'))).toEqual(tree);
  });

  it('makes the same bytes as we do', () => {
    expect(writeFdt(tree)).toEqual(dtc('dts', 'dtb', source, '-b', '8'));
    expect(writeFdt(tree, 1000)).toEqual(dtc('dts', 'dtb', source, '-b', '8', '-p', '1000'));
  });

  it('reads our blob as it reads its own', () => {
    const ours = text(dtc('dtb', 'dts', writeFdt(tree)));
    expect(ours).toBe(text(dtc('dtb', 'dts', dtc('dts', 'dtb', source, '-b', '8'))));
    expect(ours).toContain('bootargs = "console=hvc0 \\"quoted\\" svm=on";');
    expect(ours).toContain('/memreserve/\t0xfedcba9800000000 0x0000000000010000;');
  });

  it('agrees on random trees, in both directions', () => {
    const next = random(0xd7c);
    for (let i = 0; i < 40; i++) {
      const fdt: Fdt = {
        root: randomNode('', 5, next),
        reservations: Array.from({ length: next(3) }, (_, j) => ({
          address: BigInt(next(2 ** 31)),
          size: BigInt(j + 1),
        })),
        bootCpuidPhys: 0,
      };
      const bytes = dtc('dts', 'dtb', sourceOf(fdt), '-f');
      expect(readFdt(bytes)).toEqual(fdt);
      expect(writeFdt(fdt)).toEqual(bytes);
      // Through dtc's own reader: what it understands of our bytes, written as source, means the same tree.
      expect(readFdt(dtc('dts', 'dtb', dtc('dtb', 'dts', writeFdt(fdt), '-f'), '-f'))).toEqual(fdt);
    }
  });
});

function randomNode(name: string, depth: number, next: Random): FdtNode {
  const count = depth > 1 ? next(5) : 0;
  return fdtNode(
    name,
    Object.fromEntries(
      Array.from({ length: next(6) }, (_, i) => [
        `${'abc'.slice(next(3))}${i}-${'suffix'.slice(next(6))}`,
        Uint8Array.from({ length: next(40) }, () => next(256)),
      ]),
    ),
    Array.from({ length: count }, (_, i) => randomNode(`node${next(10)}@${i}`, depth - 1, next)),
  );
}

/** Device tree source in which every value is a byte string, so that it leaves nothing to interpretation. */
function sourceOf(fdt: Fdt): string {
  const reservations = fdt.reservations.map(({ address, size }) => `/memreserve/ 0x${address.toString(16)} ${size};\n`);
  return `/dts-v1/;\n${reservations.join('')}${nodeSource(fdt.root)}`;
}

function nodeSource(node: FdtNode): string {
  const properties = [...node.properties].map(([name, value]) =>
    value.length === 0 ? `${name};` : `${name} = [${Buffer.from(value).toString('hex')}];`,
  );
  return `${node.name || '/'} {\n${[...properties, ...node.children.map(nodeSource)].join('\n')}\n};\n`;
}
