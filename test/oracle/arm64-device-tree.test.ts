import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { virtTree } from '../../src/arm64/vmm/device-tree.ts';
import { type FdtNode, readFdt } from '../../src/image/fdt.ts';
import { requireTool } from '../support/tools.ts';

const MEMORY = 128 << 20;

/** The tree that QEMU makes of the same machine. */
function judge(cpus: number): FdtNode {
  const directory = mkdtempSync(join(tmpdir(), 'cloister-dtb-'));
  try {
    const file = join(directory, 'virt.dtb');
    const machine = ['-M', `virt,gic-version=3,its=off,dumpdtb=${file}`, '-cpu', 'cortex-a57', '-m', '128'];
    const args = [...machine, '-smp', `${cpus}`, '-nodefaults', '-nographic'];
    const { status, stderr } = spawnSync('qemu-system-aarch64', args, { encoding: 'utf8', timeout: 60_000 });
    if (status !== 0) throw new Error(stderr);
    return readFdt(new Uint8Array(readFileSync(file))).root;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** QEMU's are random, and it puts the command line in when it loads a kernel. */
const SEEDS = ['rng-seed', 'kaslr-seed'];

/** Every node's properties by its path; what differs from machine to machine only is left out. */
function flatten(node: FdtNode, path = ''): Map<string, Readonly<Record<string, string>>> {
  const at = `${path}/${node.name}`.replace('//', '/');
  const properties = [...node.properties]
    .filter(([name]) => !SEEDS.includes(name))
    .map(([name, value]) => [name, Buffer.from(value).toString('hex')] as const);
  const all = new Map([[at, Object.fromEntries(properties)]]);
  for (const child of node.children) {
    for (const [where, of] of flatten(child, at)) all.set(where, of);
  }
  return all;
}

describe.skipIf(!requireTool('qemu-system-aarch64').available)('the device tree of virt', () => {
  test.each([1, 4, 17])('each node that we have is as QEMU tells it, with %d CPUs', (cpus) => {
    const theirs = flatten(judge(cpus));
    const ours = flatten(
      virtTree({
        memory: MEMORY,
        cpus,
        cmdline: '',
        initrd: null,
        conduit: 'hvc',
        rngSeed: new Uint8Array(32),
        kaslrSeed: new Uint8Array(8),
      }),
    );
    for (const [path, properties] of ours) expect({ path, ...properties }).toEqual({ path, ...theirs.get(path) });
    // What they have on top is devices that we have not.
    const missing = [...theirs.keys()].filter((path) => !ours.has(path)).map((path) => path.split(/[@/]/)[1]);
    expect([...new Set(missing)].sort()).toEqual([
      'flash',
      'fw-cfg',
      'gpio-keys',
      'pcie',
      'pl031',
      'pl061',
      'platform-bus',
      'pmu',
    ]);
  });
});
