import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import type { Gfn } from '../../../src/powerpc/abi.ts';
import { PowerMachine, type PowerMachineOptions } from '../../../src/powerpc/machine.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';

const MIB = 1 << 20;
const LIMIT = 2e8;

const image = (name: string) => {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};

/** 16 MiB for the guest of the machine-code hypervisor, as guest.dts says, and as little besides as it gets by with. */
const GUEST_MEMORY = 16 * MIB;
const HOST_MEMORY = 18 * MIB;

interface Options {
  readonly protected?: boolean;
  /** MiB. */
  readonly secureMemory?: number;
  readonly esmBlob?: 'auto' | 'none';
}

interface Ending {
  readonly console: string;
  readonly outcome: string;
  /** States of the VM in the Ultravisor's books, in order. */
  readonly vmStates: readonly string[];
  /** The life of each frame of the guest's image in the Ultravisor's books. */
  readonly lives: Readonly<Record<string, readonly string[]>>;
  /** Ultracalls by name. */
  readonly calls: Readonly<Record<string, number>>;
  /** What is left in the Ultravisor at the end. */
  readonly left: unknown;
}

function run(native: boolean, name: string, options: Options): Ending {
  const trace = new MemoryTrace();
  const console = new ConsoleBuffer();
  const guest = { name, image: image(name), initrd: null, memory: GUEST_MEMORY, entry: 'fdt' as const };
  const shared = { cmdline: '', cpus: 1, console, esmBlob: options.esmBlob ?? 'auto' };
  const software: PowerMachineOptions['software'] = native
    ? { role: 'guest', guests: [{ ...guest, ...shared }] }
    : { role: 'host', image: image('hypervisor'), initrd: image(name), memory: HOST_MEMORY, ...shared };
  const machine = new PowerMachine({
    protected: options.protected ?? true,
    secureMemory: (options.secureMemory ?? 32) * MIB,
    seed: '1',
    interpret: false,
    crypto: nodeProvider,
    trace,
    software,
  });
  const outcome = machine.run(LIMIT).kind;
  const calls: Record<string, number> = {};
  for (const call of trace.ofType('call'))
    if (call.kind === 'ultracall') calls[call.name] = (calls[call.name] ?? 0) + 1;
  return {
    console: new TextDecoder().decode(console.written()),
    outcome,
    vmStates: trace.ofType('vm-state').map(({ from, to }) => `${from} → ${to}`),
    lives: livesOf(trace),
    calls,
    left: machine.ultravisor?.report(),
  };
}

/** The image lies at 0x400000 in both, and is not longer than this. */
const IMAGE: readonly [Gfn, Gfn] = [0x40 as Gfn, 0x50 as Gfn];

/** Where a page is backed is the hypervisor's affair: that it was out, or that a shared one moved, is left out. */
const BACKING: Readonly<Record<string, string>> = {
  PAGEDOUT: 'SECURE',
  SHARED_INV: 'SHARED',
  SHARED_IMPLICIT_INV: 'SHARED_IMPLICIT',
};

function livesOf(trace: MemoryTrace): Record<string, string[]> {
  const lives: Record<string, string[]> = {};
  for (const { gfn, from, to } of trace.ofType('page-state')) {
    if (gfn < IMAGE[0] || gfn >= IMAGE[1]) continue;
    lives[`${gfn}`] ??= [from];
    const life = lives[`${gfn}`];
    const state = BACKING[to] ?? to;
    if (life?.at(-1) !== state) life?.push(state);
  }
  return lives;
}

describe('one guest below both hypervisors, native and in machine code', () => {
  it.each([
    ['hello', {}],
    ['timer', {}],
    ['smc', {}],
    ['secret', {}],
    ['secret_shared', {}],
    ['victim', {}],
    ['hypercalls', {}],
    ['reboot', {}],
    ['pager', {}],
    ['passphrase', {}],
    ['secret', { protected: false }],
    ['reboot', { protected: false }],
    ['victim', { protected: false }],
    ['secret', { esmBlob: 'none' }],
    ['pager', { esmBlob: 'none' }],
    ['pager', { secureMemory: 2.5 }],
    ['secret_shared', { secureMemory: 1.25 }],
    ['victim', { secureMemory: 1.25 }],
  ] as const)('%s ends the same, %j', (name, options) => {
    const native = run(true, name, options);
    const machineCode = run(false, name, options);
    expect(native.outcome).toBe('poweroff');
    expect(native.console).toMatch(/\n$/);
    expect(machineCode).toMatchObject({
      console: native.console,
      outcome: native.outcome,
      vmStates: native.vmStates,
      lives: native.lives,
    });
    expect(machineCode.left).toEqual(native.left);
  });

  it('would notice: the lives of a guest that shares a page, and of one that does not, differ', () => {
    const { lives } = run(false, 'secret_shared', {});
    expect(Object.values(lives).map((life) => life.join(' '))).toContain(
      'SECURE HV_SHARING HV_SHARED SHARED HV_UNSHARING HV_UNSHARED SECURE',
    );
    expect(run(false, 'hypercalls', {}).lives).not.toEqual(lives);
  });
});

describe('the hypervisor in machine code', () => {
  it('pages: with a quarter of what the guest touches, each page goes out and comes back several times', () => {
    const { calls } = run(false, 'pager', { secureMemory: 2.5 });
    expect(calls.UV_PAGE_OUT).toBeGreaterThan(500);
    expect(calls.UV_PAGE_IN).toBeGreaterThan(500);
  });

  it('moves shared pages, which the guest does not notice', () => {
    const { calls, console } = run(false, 'secret_shared', {});
    expect(calls.UV_PAGE_INVAL).toBeGreaterThan(0);
    expect(console).toMatch(/secret intact\npage taken back, and empty\n/);
  });

  it('ends a secure VM, and has its frames again: three of 16 MiB, one after the other, in 18 MiB', () => {
    const { calls, vmStates, left } = run(false, 'reboot', {});
    expect(calls).toMatchObject({ UV_SVM_TERMINATE: 3, UV_UNREGISTER_MEM_SLOT: 3, UV_WRITE_PATE: 4 });
    expect(vmStates).toEqual([1, 2, 3].flatMap(() => ['NORMAL → ACTIVE', 'ACTIVE → SECURE', 'SECURE → NORMAL']));
    // One frame is the partition table.
    expect(left).toEqual({ secureFrames: { total: 511, free: 510 }, svms: [] });
  });
});
