import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PkvmProfile } from '../../../src/arm64/abi.ts';
import { ArmHostMachine } from '../../../src/arm64/host-machine.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../../src/devices/console.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { armGuest, runArmGuest } from '../../support/arm-guest.ts';

const image = (name: string) => ({ file: armGuest(name), bytes: new Uint8Array(readFileSync(armGuest(name))) });

interface HostRun {
  readonly isProtected?: boolean;
  readonly profile?: PkvmProfile;
  readonly interpret?: boolean;
  readonly initrd?: { readonly file: string; readonly bytes: Uint8Array } | null;
}

/** The machine-code host with a guest, until it has turned the machine off. */
function run(guest: string, { isProtected = true, profile = 'I', interpret = false, initrd }: HostRun = {}) {
  const console = new ConsoleBuffer();
  const trace = new MemoryTrace();
  const machine = new ArmHostMachine({
    image: image('host'),
    initrd: initrd === undefined ? image(guest) : initrd,
    cmdline: isProtected ? '' : '1',
    memory: 64 << 20,
    cpus: 1,
    console,
    profile,
    interpret,
    seed: '1',
    crypto: nodeProvider,
    trace,
  });
  const outcome = machine.run(1_000_000_000);
  expect(outcome).toEqual({ kind: 'poweroff', detail: 'PSCI SYSTEM_OFF' });
  const lines = Buffer.from(console.written()).toString('latin1').split('\n');
  return { machine, trace, lines };
}

/** The number at the end of a line. */
const numberOf = (lines: readonly string[], begin: string): number =>
  Number(lines.find((line) => line.startsWith(begin))?.slice(begin.length));

/** Phases and errors of arm64-pkvm.md 4.2, 4.3 (#7, #29, #30): before `__kvm_hyp_init` nothing answers, from finalise on numbers below 7 do not. */
const START = [
  'init before the hyp is there: no such call',
  'hyp init: 0',
  'share before finalise: no such call',
  'finalise before init: -22',
  'init: 0',
  'finalise: 0',
  'finalise again: -1',
  'init after finalise: no such call',
  "the hyp's memory: not read, not written",
  'share: 0',
  'share again: -1',
  'a shared page: read, written',
  'unshare: 0',
  'unshare again: -1',
];

describe('a host in machine code at EL1', () => {
  it.each([
    ['translated', 'I', false],
    ['interpreted', 'I', true],
    ['with memory isolation alone', 'M', false],
  ] as const)('%s, brings up the hyp, runs a protected guest and has its memory back', (_, profile, interpret) => {
    const { lines, machine, trace } = run('hello', { profile, interpret });
    expect(lines).toEqual([
      ...START,
      'a protected VM runs',
      'hello from aarch64',
      'the guest stopped: it powered off',
      "give a page of the guest's away: -1",
      "the guest's code: not read, not written",
      'reclaim before teardown is refused',
      'teardown while loaded is refused',
      'frames given 1',
      'frames back 1',
      // They held code.
      'frames of zeros 1',
      'pages given to the hyp 7',
      'pages back from the hyp 7',
      "the structures are the host's own",
      "the guest's code afterwards: read, written",
      '',
    ]);
    expect(machine.vmStates()).toEqual({ vm0: 'secure' });
    expect(trace.ofType('vm-state').map(({ to }) => to)).toEqual(['RESERVED', 'CREATED', 'DYING', 'FREE']);
    // Read and write of the hyp's memory, and of the guest's.
    expect(machine.statistics().refused).toEqual({ hypervisor: 4 });
  });

  it('gives a guest frame after frame, and each back as zeros', () => {
    const { lines } = run('kernels/hash');
    const judge = runArmGuest('kernels/hash', { interpret: false }).console.trim().split('\n');
    const start = lines.indexOf('start');
    expect(lines.slice(start, start + 2)).toEqual(judge);
    expect(numberOf(lines, 'frames given ')).toBeGreaterThan(2);
    expect(numberOf(lines, 'frames back ')).toBe(numberOf(lines, 'frames given '));
    expect(numberOf(lines, 'frames of zeros ')).toBe(numberOf(lines, 'frames given '));
    expect(numberOf(lines, 'pages back from the hyp ')).toBe(numberOf(lines, 'pages given to the hyp '));
  });

  it('runs a plain guest, whose memory stays the host’s', () => {
    const { lines, machine } = run('hello', { isProtected: false });
    expect(lines.slice(START.length)).toEqual([
      'a plain VM runs',
      'hello from aarch64',
      'the guest stopped: it powered off',
      "give a page of the guest's away: -1",
      "the guest's code: read, written",
      'teardown while loaded is refused',
      'frames given 1',
      'frames back 1',
      'frames of zeros 0',
      'pages given to the hyp 7',
      'pages back from the hyp 7',
      "the structures are the host's own",
      "the guest's code afterwards: read, written",
      '',
    ]);
    expect(machine.vmStates()).toEqual({ vm0: 'normal' });
  });

  it('ends a guest that can go no further', () => {
    // Sleeps until an interrupt comes, of which this host has none for it.
    const { lines } = run('echo');
    const stopped = lines.find((line) => line.startsWith('the guest stopped: '));
    expect(stopped).toBe('the guest stopped: it waits for ever');
    expect(numberOf(lines, 'frames back ')).toBe(numberOf(lines, 'frames given '));
  });

  it('says so when there is nothing that it could run', () => {
    expect(run('', { initrd: null }).lines.slice(START.length)).toEqual(['no initrd, no guest', '']);
    const junk = { file: 'junk', bytes: new Uint8Array(100) };
    expect(run('', { initrd: junk }).lines.slice(START.length)).toEqual(['the initrd is no ELF file for a guest', '']);
  });
});
