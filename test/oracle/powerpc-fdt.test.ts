import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Fdt, writeFdt } from '../../src/image/fdt.ts';
import { NO_VEC5, pseriesTree } from '../../src/powerpc/vmm/device-tree.ts';
import { hostTree } from '../../src/powerpc/vmm/host-tree.ts';
import { OfTree } from '../../src/powerpc/vmm/of-tree.ts';
import { requireTool } from '../support/tools.ts';

const PSERIES = pseriesTree({
  memory: 0x10000000,
  cpus: 2,
  cmdline: 'root=/dev/vda quiet',
  kernel: { base: 0x400000, size: 0x1234 },
  initrd: { base: 0x420000, size: 100 },
  phb: null,
  rtas: 0xfff0000,
  architectureVec5: NO_VEC5,
});

const TREES: Record<string, Fdt> = {
  'pseries guest': {
    root: PSERIES,
    reservations: [{ address: 0x400000n, size: 0x1234n }],
    bootCpuidPhys: 0,
  },
  'pseries guest with phandles': {
    root: new OfTree(structuredClone(PSERIES)).root,
    reservations: [],
    bootCpuidPhys: 0,
  },
  host: hostTree({
    memory: [{ base: 0, size: 0x10000000 }],
    cpus: 2,
    cmdline: '',
    initrd: { base: 0x2000000, size: 4096 },
    opal: { base: 0x30000000, entry: 0x30000100, size: 0x10000 },
    secureMemory: [{ base: 0x0001_0000_0000_0000, size: 0x2000000 }],
    reserved: [{ base: 0x30000000, size: 0x10000 }],
  }),
};

/** What dtc also says of the tree that QEMU itself makes (`-M pseries,dumpdtb=…`). */
const QEMUS_COMPLAINT = /^.*\/interrupt-controller: Missing #address-cells in interrupt provider\n/m;

function dtc(input: Uint8Array, from: 'dtb' | 'dts', to: 'dtb' | 'dts'): { output: Buffer; messages: string } {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-dtc-'));
  try {
    const file = join(folder, 'in');
    const out = join(folder, 'out');
    writeFileSync(file, input);
    const { status, stderr } = spawnSync('dtc', ['-I', from, '-O', to, '-o', out, file], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    return { output: readFileSync(out), messages: stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(!requireTool('dtc').available)('device trees of Power machines, judged by dtc', () => {
  for (const [name, tree] of Object.entries(TREES)) {
    it(`${name}: dtc reads it without a complaint, and writes the same bytes again`, () => {
      const blob = writeFdt(tree);
      const { output: source, messages } = dtc(blob, 'dtb', 'dts');
      expect(messages.replace(QEMUS_COMPLAINT, '')).toBe('');
      expect(dtc(source, 'dts', 'dtb').output.equals(blob)).toBe(true);
    });
  }
});
