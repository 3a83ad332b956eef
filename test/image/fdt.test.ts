import { describe, expect, it } from 'vitest';
import {
  asCells,
  asString,
  asStringList,
  asU32,
  asU64,
  cellsValue,
  type Fdt,
  FdtError,
  type FdtNode,
  fdtNode,
  fdtTotalSize,
  findNode,
  readFdt,
  stringListValue,
  stringValue,
  u32Value,
  u64Value,
  writeFdt,
} from '../../src/image/fdt.ts';
import { mutate, random } from './random.ts';

const none = new Uint8Array(0);

function sample(): Fdt {
  return {
    root: fdtNode(
      '',
      { '#address-cells': u32Value(2), compatible: stringListValue('qemu,pseries', 'ibm,esm'), empty: none },
      [
        fdtNode('chosen', { bootargs: stringValue('svm=on'), 'linux,initrd-start': u64Value(0x1_0000_0000n) }),
        fdtNode('cpus', { '#address-cells': u32Value(1) }, [
          fdtNode('PowerPC,POWER9@0', { device_type: stringValue('cpu'), reg: u32Value(0) }),
          fdtNode('PowerPC,POWER9@8', { device_type: stringValue('cpu'), reg: u32Value(8) }),
        ]),
        fdtNode('memory@0', { reg: cellsValue(0, 0, 0, 0x400_0000), odd: Uint8Array.of(1, 2, 3) }),
      ],
    ),
    reservations: [
      { address: 0x1000n, size: 0x2000n },
      { address: 0xffff_ffff_0000_0000n, size: 0n },
    ],
    bootCpuidPhys: 8,
  };
}

/** A blob from its parts, laid out by hand from Devicetree Specification v0.4, 5.2 to 5.5. */
function blob(struct: readonly (number | string)[], strings = '', header: Partial<Record<string, number>> = {}) {
  const words = struct.flatMap((item) => {
    if (typeof item === 'number') return [item];
    const padded = item.padEnd((item.length & ~3) + 4, '\0');
    return (padded.match(/.{4}/gs) ?? []).map((part) =>
      [...part].reduce((word, c) => ((word << 8) | c.charCodeAt(0)) >>> 0, 0),
    );
  });
  const stringsAt = 56 + 4 * words.length;
  const fields = {
    magic: 0xd00dfeed,
    totalsize: stringsAt + strings.length,
    off_dt_struct: 56,
    off_dt_strings: stringsAt,
    off_mem_rsvmap: 40,
    version: 17,
    last_comp_version: 16,
    boot_cpuid_phys: 0,
    size_dt_strings: strings.length,
    size_dt_struct: 4 * words.length,
    ...header,
  };
  const out = new Uint8Array(stringsAt + strings.length);
  const view = new DataView(out.buffer);
  for (const [i, word] of [...Object.values(fields), 0, 0, 0, 0, ...words].entries())
    view.setUint32(4 * i, word as number);
  out.set(
    Array.from(strings, (c) => c.charCodeAt(0)),
    stringsAt,
  );
  return out;
}

const [BEGIN, END_NODE, PROP, NOP, END] = [1, 2, 3, 4, 9];

function failure(bytes: Uint8Array): FdtError {
  try {
    readFdt(bytes);
  } catch (error) {
    if (error instanceof FdtError) return error;
    throw error;
  }
  throw new Error('the tree was read');
}

describe('readFdt', () => {
  it('reads a blob laid out by hand', () => {
    const bytes = blob(
      [BEGIN, '', PROP, 5, 2, 0x61620000, 0, NOP, BEGIN, 'b@1', END_NODE, NOP, END_NODE, END],
      'xyname\0',
    );
    expect(readFdt(bytes)).toEqual({
      root: fdtNode('', { name: Uint8Array.of(0x61, 0x62, 0, 0, 0) }, [fdtNode('b@1')]),
      reservations: [],
      bootCpuidPhys: 0,
    });
  });

  it('reads version 16, whose structure block has no size of its own', () => {
    const bytes = blob([BEGIN, '', END_NODE, END], '', { version: 16, size_dt_struct: 0xffffffff });
    expect(readFdt(bytes).root).toEqual(fdtNode(''));
  });

  it('ignores what follows the tree', () => {
    const bytes = writeFdt(sample());
    expect(readFdt(Uint8Array.of(...bytes, 1, 2, 3))).toEqual(sample());
    expect(fdtTotalSize(Uint8Array.of(...bytes, 1, 2, 3))).toBe(bytes.length);
  });

  it('shares no memory with the blob', () => {
    const bytes = writeFdt(sample());
    const tree = readFdt(bytes);
    bytes.fill(0xff);
    expect(tree).toEqual(sample());
  });

  const good = [BEGIN, '', END_NODE, END];
  it.each<[string, Uint8Array, number | undefined, RegExp]>([
    ['nothing', none, 0, /too few/],
    ['another magic', blob(good, '', { magic: 0xedfe0dd0 }), 0, /magic/],
    ['a total size past the end', blob(good, '', { totalsize: 77 }), 4, /passes the end/],
    ['a total size below a header', blob(good, '', { totalsize: 35 }), 4, /less than a header/],
    ['a total size below a header of version 17', blob(good, '', { totalsize: 39 }), 4, /less than a header/],
    ['version 3', blob(good, '', { version: 3, last_comp_version: 2 }), 20, /too old/],
    ['a version that is not compatible', blob(good, '', { version: 18, last_comp_version: 18 }), 24, /compatible/],
    ['an unaligned structure block', blob(good, '', { off_dt_struct: 58 }), 8, /multiple of 4/],
    ['a structure block in the header', blob(good, '', { off_dt_struct: 36 }), 8, /outside/],
    ['a structure block past the end', blob(good, '', { off_dt_struct: 0x1000 }), 8, /outside/],
    ['a structure block that is too long', blob(good, '', { size_dt_struct: 20 }), 36, /passes the end/],
    ['strings past the end', blob(good, '', { off_dt_strings: 0xffffffff }), 12, /outside/],
    ['strings that are too long', blob(good, '', { size_dt_strings: 1 }), 32, /passes the end/],
    ['unaligned reservations', blob(good, '', { off_mem_rsvmap: 44 }), 16, /multiple of 8/],
    ['reservations without an end', blob(good, '', { off_mem_rsvmap: 56 }), 72, /no end/],
    ['no tokens', blob([]), 56, /no end/],
    ['an unknown token', blob([5]), 56, /unknown token 0x5/],
    ['no root', blob([END]), 56, /within a node/],
    ['an open node', blob([BEGIN, '', END]), 64, /within a node/],
    ['an end too many', blob([BEGIN, '', END_NODE, END_NODE, END]), 68, /never began/],
    ['no final token', blob([BEGIN, '', END_NODE]), 68, /no end/],
    ['two roots', blob([BEGIN, '', END_NODE, BEGIN, '', END_NODE, END]), 68, /second root/],
    ['a root with a name', blob([BEGIN, 'root', END_NODE, END]), 56, /root node with a name/],
    ['a child without a name', blob([BEGIN, '', BEGIN, '', END_NODE, END_NODE, END]), 64, /without a name/],
    [
      'two children of a name',
      blob([BEGIN, '', BEGIN, 'a', END_NODE, BEGIN, 'a', END_NODE, END_NODE, END]),
      76,
      /second/,
    ],
    ['a slash in a name', blob([BEGIN, '', BEGIN, 'a/b', END_NODE, END_NODE, END]), 68, /character/],
    ['a name without an end', blob([BEGIN, 0x61616161]), 60, /no end/],
    ['a property outside every node', blob([PROP, 0, 0, ...good], 'a\0'), 56, /outside every node/],
    ['a property past the end', blob([BEGIN, '', PROP, 0xfffffff0, 0, END_NODE, END], 'a\0'), 64, /passes the end/],
    ['half a property', blob([BEGIN, '', PROP, 0], 'a\0'), 64, /passes the end/],
    [
      'a property name past the strings',
      blob([BEGIN, '', PROP, 0, 2, END_NODE, END], 'a\0'),
      64,
      /outside the strings/,
    ],
    ['a property name without an end', blob([BEGIN, '', PROP, 0, 0, END_NODE, END], 'a'), 84, /no end/],
    ['a property without a name', blob([BEGIN, '', PROP, 0, 0, END_NODE, END], '\0'), 64, /without a name/],
    ['a property name with a space', blob([BEGIN, '', PROP, 0, 0, END_NODE, END], 'a b\0'), 84, /character/],
    ['two properties of a name', blob([BEGIN, '', PROP, 0, 0, PROP, 0, 0, END_NODE, END], 'a\0'), 76, /second/],
    [
      'a property after a child',
      blob([BEGIN, '', BEGIN, 'c', END_NODE, PROP, 0, 0, END_NODE, END], 'a\0'),
      76,
      /follows/,
    ],
  ])('refuses %s', (_what, bytes, offset, reason) => {
    const error = failure(bytes);
    expect(error.offset).toBe(offset);
    expect(error.reason).toMatch(reason);
    expect(error.message).toBe(`device tree at 0x${offset?.toString(16)}: ${error.reason}`);
  });

  it('reads 64 levels of nodes and refuses 65', () => {
    const nested = (depth: number) =>
      blob([
        BEGIN,
        '',
        ...Array(depth - 1)
          .fill([BEGIN, 'n'])
          .flat(),
        ...Array(depth).fill(END_NODE),
        END,
      ]);
    expect(readFdt(nested(64)).root.children).toHaveLength(1);
    expect(failure(nested(65)).reason).toMatch(/64 levels/);
  });

  it('reads names of 255 bytes and refuses 256', () => {
    const named = (length: number) => blob([BEGIN, '', BEGIN, 'n'.repeat(length), END_NODE, END_NODE, END]);
    expect(readFdt(named(255)).root.children[0].name).toHaveLength(255);
    expect(failure(named(256)).reason).toMatch(/255 bytes/);
  });

  it('refuses a very long property name, which many properties could share', () => {
    const strings = `${'x'.repeat(1 << 20)}\0`;
    const properties = Array.from({ length: 20_000 }, () => [PROP, 0, 0]).flat();
    expect(failure(blob([BEGIN, '', ...properties, END_NODE, END], strings)).reason).toMatch(/255 bytes/);
  });
});

describe('writeFdt', () => {
  it('writes what readFdt reads back', () => {
    expect(readFdt(writeFdt(sample()))).toEqual(sample());
  });

  it('adds spare room inside the total size', () => {
    const bytes = writeFdt(sample());
    const roomy = writeFdt(sample(), 100);
    expect(roomy).toHaveLength(bytes.length + 100);
    expect(fdtTotalSize(roomy)).toBe(roomy.length);
    expect(readFdt(roomy)).toEqual(sample());
  });

  it('reads back random trees', () => {
    const next = random(1);
    for (let i = 0; i < 200; i++) {
      const tree: Fdt = { root: randomNode('', 4, next), reservations: [], bootCpuidPhys: next(8) };
      expect(readFdt(writeFdt(tree))).toEqual(tree);
    }
  });

  const deep = (levels: number): FdtNode => fdtNode(levels === 1 ? '' : 'n', {}, []);
  it.each<[string, Fdt]>([
    ['a root with a name', { ...sample(), root: fdtNode('root') }],
    ['a child without a name', { ...sample(), root: fdtNode('', {}, [fdtNode('')]) }],
    ['a slash in a node name', { ...sample(), root: fdtNode('', {}, [fdtNode('a/b')]) }],
    ['a long node name', { ...sample(), root: fdtNode('', {}, [fdtNode('n'.repeat(256))]) }],
    ['two children of a name', { ...sample(), root: fdtNode('', {}, [fdtNode('a'), fdtNode('a')]) }],
    ['a property without a name', { ...sample(), root: fdtNode('', { '': none }) }],
    ['a property name with a NUL', { ...sample(), root: fdtNode('', { 'a\0': none }) }],
    ['a property name beyond ASCII', { ...sample(), root: fdtNode('', { ä: none }) }],
    ['a reservation that looks like the end', { ...sample(), reservations: [{ address: 0n, size: 0n }] }],
    [
      '65 levels of nodes',
      {
        ...sample(),
        root: Array.from({ length: 65 }, (_, i) => deep(65 - i)).reduce((child, node) =>
          fdtNode(node.name, {}, [child]),
        ),
      },
    ],
  ])('refuses %s', (_what, fdt) => {
    expect(() => writeFdt(fdt)).toThrow(FdtError);
  });
});

describe('findNode', () => {
  const { root } = sample();
  it.each([
    ['/', ''],
    ['/chosen', 'chosen'],
    ['/memory@0', 'memory@0'],
    ['/memory', 'memory@0'],
    ['/cpus/PowerPC,POWER9', 'PowerPC,POWER9@0'],
    ['/cpus/PowerPC,POWER9@8', 'PowerPC,POWER9@8'],
    ['/cpus/', 'cpus'],
  ])('finds %s', (path, name) => {
    expect(findNode(root, path)?.name).toBe(name);
  });

  it.each(['/mem', '/memory@1', '/chosen/x', '/x/chosen', '/cpus/PowerPC'])('finds no %s', (path) => {
    expect(findNode(root, path)).toBeUndefined();
  });

  it('refuses a path that does not begin at the root', () => {
    expect(() => findNode(root, 'chosen')).toThrow(FdtError);
  });
});

describe('values', () => {
  it('are big-endian cells and strings with their NUL', () => {
    expect(u32Value(0x12345678)).toEqual(Uint8Array.of(0x12, 0x34, 0x56, 0x78));
    expect(u64Value(0x123456789n)).toEqual(Uint8Array.of(0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89));
    expect(cellsValue(1, 0xffffffff)).toEqual(Uint8Array.of(0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff));
    expect(stringValue('hé')).toEqual(Uint8Array.of(0x68, 0xc3, 0xa9, 0));
    expect(stringListValue('a', '', 'b')).toEqual(Uint8Array.of(0x61, 0, 0, 0x62, 0));
  });

  it('are read back', () => {
    expect(asU32(u32Value(0xfedcba98))).toBe(0xfedcba98);
    expect(asU64(u64Value(0xfedcba9876543210n))).toBe(0xfedcba9876543210n);
    expect(asCells(cellsValue(1, 2, 0xffffffff))).toEqual([1, 2, 0xffffffff]);
    expect(asCells(none)).toEqual([]);
    expect(asString(stringValue('hé'))).toBe('hé');
    expect(asString(stringValue(''))).toBe('');
    expect(asStringList(stringListValue('a', '', 'b'))).toEqual(['a', '', 'b']);
    expect(asStringList(none)).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    ['a number above 32 bits', () => u32Value(2 ** 32)],
    ['a negative cell', () => cellsValue(-1)],
    ['a fraction', () => u32Value(1.5)],
    ['a number above 64 bits', () => u64Value(1n << 64n)],
    ['a negative number', () => u64Value(-1n)],
    ['a NUL within a string', () => stringValue('a\0b')],
    ['3 bytes as a number', () => asU32(new Uint8Array(3))],
    ['4 bytes as a long number', () => asU64(new Uint8Array(4))],
    ['5 bytes as cells', () => asCells(new Uint8Array(5))],
    ['a string without NUL', () => asString(Uint8Array.of(0x61))],
    ['nothing as a string', () => asString(none)],
    ['two strings as one', () => asString(stringListValue('a', 'b'))],
    ['bytes that are not UTF-8', () => asString(Uint8Array.of(0xff, 0))],
  ])('refuse %s', (_what, act) => {
    expect(act).toThrow(FdtError);
  });
});

describe('a damaged blob', () => {
  it('is refused with an FdtError or read as a tree that can be written, whatever the damage', () => {
    const next = random(0xfd7);
    const originals = [
      writeFdt(sample()),
      writeFdt(sample(), 64),
      writeFdt({ ...sample(), root: randomNode('', 5, next) }),
    ];
    let refused = 0;
    for (let i = 0; i < 6000; i++) {
      const bytes = mutate(originals[i % originals.length], next);
      try {
        const tree = readFdt(bytes);
        expect(readFdt(writeFdt(tree))).toEqual(tree);
      } catch (error) {
        if (!(error instanceof FdtError)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1000);
    expect(refused).toBeLessThan(6000);
  });
});

function randomNode(name: string, depth: number, next: (below: number) => number): FdtNode {
  const properties = Array.from({ length: next(5) }, (_, i) => [
    `p${i},${'x'.repeat(next(8))}`,
    Uint8Array.from({ length: next(20) }, () => next(256)),
  ]);
  const count = depth > 1 ? next(4) : 0;
  const children = Array.from({ length: count }, (_, i) => randomNode(`n${'y'.repeat(next(8))}@${i}`, depth - 1, next));
  return fdtNode(name, Object.fromEntries(properties), children);
}
