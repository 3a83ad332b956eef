import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import { readElf } from '../../../src/image/elf.ts';
import { readElfSymbols } from '../../../src/image/elf-symbols.ts';
import { type Gfn, MSR } from '../../../src/powerpc/abi.ts';
import { gfnState, isUvmem } from '../../../src/powerpc/kvm/gfn.ts';
import { PowerMachine, type PowerMachineOptions } from '../../../src/powerpc/machine.ts';
import type { PageState } from '../../../src/powerpc/ultravisor/page.ts';
import { pageAt } from '../../../src/powerpc/ultravisor/pages.ts';

/**
 * Whenever a secure VM executes, its hypervisor and the Ultravisor must agree on each of its frames. The states are those of Linux commit
 * 651a6310111e: Secure and paged in, Secure and paged out, Shared.
 */
type Backing = 'in' | 'out' | 'shared';

const MIB = 1 << 20;
const LIMIT = 1e8;
const GUEST_FRAMES = 256;
const IN_SVM = MSR.S | MSR.HV;

const image = (name: string) => {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};
const hypervisor = image('hypervisor');

/** What the Ultravisor has of a frame; a page that is on its way from one to the other must not be while the SVM executes. */
const BACKING: Readonly<Partial<Record<PageState, Backing>>> = {
  SECURE: 'in',
  PAGEDOUT: 'out',
  SHARED: 'shared',
  SHARED_INV: 'shared',
  SHARED_IMPLICIT: 'shared',
  SHARED_IMPLICIT_INV: 'shared',
};

function ultravisorBooks(machine: PowerMachine): (Backing | undefined)[] | null {
  const svm = machine.ultravisor?.save().state.svms.get(1);
  if (svm === undefined) return null;
  return Array.from({ length: GUEST_FRAMES }, (_, gfn) => BACKING[pageAt(svm, gfn as Gfn)?.state ?? 'HV_SHARING']);
}

/** `pfns` of the native KVM. */
function nativeBooks(machine: PowerMachine): (Backing | 'normal')[] {
  return (machine.guests[0]?.vm.slots ?? []).flatMap(({ pfns }) =>
    Array.from(pfns, (pfn) => {
      const state = gfnState(pfn);
      return state === 'secure' ? (isUvmem(pfn) ? 'in' : 'out') : state;
    }),
  );
}

/** `gfns` of the machine-code hypervisor, in its memory: 16 bytes a frame, the state in the third word (hypervisor/gfn.c). */
const STATES = ['normal', 'in', 'out', 'shared'] as const;
const GFNS = readElfSymbols(readElf(hypervisor.bytes, hypervisor.file)).get('gfns')?.value;

function machineCodeBooks(machine: PowerMachine): (Backing | 'normal' | undefined)[] {
  const normal = machine.memory.regions.find(({ name }) => name === 'normal');
  const { view } = machine.memory.store;
  return Array.from(
    { length: GUEST_FRAMES },
    (_, gfn) => STATES[view.getUint32((normal?.host ?? 0) + Number(GFNS) + 16 * gfn + 8)],
  );
}

function makeMachine(native: boolean, name: string, secureMemory: number, console: ConsoleBuffer): PowerMachine {
  const guest = { name, image: image(name), initrd: null, memory: 16 * MIB, entry: 'fdt' as const };
  const shared = { cmdline: '', cpus: 1, console };
  const software: PowerMachineOptions['software'] = native
    ? { role: 'guest', guests: [{ ...guest, ...shared }] }
    : { role: 'host', image: hypervisor, initrd: image(name), memory: 20 * MIB, ...shared };
  const options = { protected: true, seed: '1', interpret: false, crypto: nodeProvider, trace: null };
  return new PowerMachine({ ...options, secureMemory, software });
}

/** Runs the guest, and compares the books each time it is found executing in secure state. */
function compare(native: boolean, name: string, secureMemory: number): { looks: number; seen: Set<string> } {
  const machine = makeMachine(native, name, secureMemory, new ConsoleBuffer());
  const seen = new Set<string>();
  let looks = 0;
  for (let limit = 0; limit < LIMIT; limit += 4999) {
    if (machine.run(limit).kind !== 'limit') return { looks, seen };
    const { MSR: msr = 0n } = machine.cpus[0]?.architectedRegisters() ?? {};
    if ((msr & IN_SVM) !== MSR.S) continue;
    const books = ultravisorBooks(machine);
    expect(native ? nativeBooks(machine) : machineCodeBooks(machine)).toEqual(books);
    for (const state of books ?? []) seen.add(`${state}`);
    looks += 1;
  }
  throw new Error(`${name} did not end`);
}

describe.each([
  ['native', true],
  ['in machine code', false],
] as const)('books of the Ultravisor and of the hypervisor %s', (_, native) => {
  it.each([
    ['secret_shared', 32 * MIB, ['in', 'shared']],
    ['pager', 2.5 * MIB, ['in', 'out', 'shared']],
    ['victim', MIB, ['in', 'shared']],
    ['reboot', 32 * MIB, ['in', 'shared']],
  ] as const)('agree on every frame of %s, with %i bytes of secure memory', (name, secureMemory, states) => {
    const { looks, seen } = compare(native, name, secureMemory);
    expect(looks).toBeGreaterThan(2);
    expect([...seen]).toEqual(expect.arrayContaining([...states]));
    expect([...seen].every((state) => ['in', 'out', 'shared'].includes(state))).toBe(true);
  });
});

describe('an abort of UV_ESM after page-outs, below the hypervisor in machine code', () => {
  /** A frame of the guest that it never touches. */
  const UNTOUCHED = 0xe8;

  it('gives the normal VM all its memory back: the pager finds no word wrong', () => {
    const console = new ConsoleBuffer();
    const machine = makeMachine(false, 'pager', 2.5 * MIB, console);
    const out = () => machineCodeBooks(machine).filter((state) => state === 'out').length;
    for (let limit = 0; out() < 50; limit += 1999) expect(machine.run(limit).kind).toBe('limit');
    // It takes the frame for one that is secure already, refuses H_SVM_PAGE_IN, and the Ultravisor gives up.
    const { host = 0 } = machine.memory.regions.find(({ name }) => name === 'normal') ?? {};
    machine.memory.store.view.setUint32(host + Number(GFNS) + 16 * UNTOUCHED + 8, STATES.indexOf('in'));
    expect(machine.run(LIMIT).kind).toBe('poweroff');
    const { esmFailures, vmStates } = machine.statistics();
    expect(esmFailures).toMatchObject([{ reason: 'the hypervisor answered -4 in stage pages' }]);
    expect(Object.values(vmStates)).toEqual(['normal']);
    // QEMU's: `test/oracle/guests-powerpc.test.ts`.
    const pager = `${'160 pages checked and changed\n'.repeat(3)}0 words wrong\nchecksum b7f2c4990c9e7d65\n`;
    expect(new TextDecoder().decode(console.written())).toBe(pager);
  });
});
