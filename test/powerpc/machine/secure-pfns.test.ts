import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMachine, type SecurePfns } from '../../../src/index.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { Program, image as programImage } from '../../support/power-program.ts';

const MIB = 1 << 20;
const LIMIT = 1e9;
/** As QEMU has it: `test/oracle/guests-powerpc.test.ts`. */
const PAGER = `${'160 pages checked and changed\n'.repeat(3)}0 words wrong\nchecksum b7f2c4990c9e7d65\n`;

const image = (name: string) => {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};

interface Run {
  readonly names: readonly string[];
  readonly memory: number;
  readonly secureMemory: number;
  readonly securePfns: SecurePfns;
  readonly esmScope?: 'all' | 'verified';
  readonly cmdline?: string;
}

function run({ names, memory, cmdline = '', ...options }: Run) {
  const machine = createMachine({ arch: 'powerpc', protected: true, ...options });
  const vms = names.map((name, i) =>
    machine.addVm({ name: `${name} ${i}`, image: image(name), memory, cmdline, entry: 'fdt' }),
  );
  expect(machine.run(LIMIT).kind).toBe('poweroff');
  return { report: machine.report(), consoles: vms.map((vm) => new TextDecoder().decode(vm.console.written())) };
}

describe('the pool of secure-PFNs of the KVM half (power-pef.md 5.4, 5.7)', () => {
  const pager = { names: ['pager'], memory: 24 * MIB, secureMemory: 2.5 * MIB };

  it('as many as frames: the Ultravisor pages out what does not fit', () => {
    const { report, consoles } = run({ ...pager, securePfns: 'guests' });
    expect(consoles).toEqual([PAGER]);
    expect(report.vmState).toBe('secure');
  });

  // 24 MiB are 384 frames, of which the guest touches half; the others take a secure-PFN too, but no secure memory.
  it.each([
    ['too few for all frames', 200, 100],
    ['as Linux, by the size of secure memory', 'memory', 0],
    ['one', 1, 0],
  ] as const)('%s: H_PARAMETER, an abort after page-outs, and the normal VM has all its memory', (_, securePfns, out) => {
    const { report, consoles } = run({ ...pager, securePfns });
    expect(consoles).toEqual([PAGER]);
    expect(report.vmState).toBe('normal');
    expect(report.esmFailures.map(({ reason }) => reason).join()).toMatch(/^the hypervisor answered -4 in stage /);
    expect(report.calls).toMatchObject({ H_SVM_INIT_ABORT: 1, UV_SVM_TERMINATE: 1 });
    expect(report.calls.H_SVM_PAGE_OUT ?? 0).toBeGreaterThanOrEqual(out);
  });

  it('too few for what is left at H_SVM_INIT_DONE: H_STATE, and a normal VM', () => {
    const { report, consoles } = run({ ...pager, secureMemory: 32 * MIB, securePfns: 300, esmScope: 'verified' });
    expect(consoles).toEqual([PAGER]);
    expect(report.vmState).toBe('normal');
    expect(report.esmFailures).toMatchObject([{ reason: 'the hypervisor answered -75 in stage done' }]);
  });

  const shared = { memory: 8 * MIB, secureMemory: 32 * MIB };

  it('the last one will do, and one less will not', () => {
    // 128 frames; the two that the Ultravisor reserves and shares need none.
    const states = [126, 125].map((n) => run({ ...shared, names: ['secret_shared'], securePfns: n }).report.vmState);
    expect(states).toEqual(['secure', 'normal']);
  });

  it('who comes first is served; the other stays a normal VM, which is no harm to the first', () => {
    const two = { ...shared, names: ['secret_shared', 'secret_shared'], cmdline: '100' };
    const { report, consoles } = run({ ...two, securePfns: 200 });
    expect(report.vmState).toEqual({ 'secret_shared 0': 'secure', 'secret_shared 1': 'normal' });
    expect(consoles[0]).toMatch(/secret intact\npage taken back, and empty\nran as a secure VM\n$/);
    expect(consoles[1]).toMatch(/secret intact\nran as a normal VM\n$/);
  });

  it('they come back when a secure VM ends: three times all of them, one boot after the other', () => {
    const { report } = run({ names: ['reboot'], memory: 16 * MIB, secureMemory: 32 * MIB, securePfns: 256 });
    expect(report.vmState).toBe('secure');
    expect(report.calls).toMatchObject({ H_SVM_INIT_DONE: 3, UV_SVM_TERMINATE: 3 });
  });
});

describe('memory plugged into an SVM (power-pef.md 5.5, 10.2 #47)', () => {
  const MEMORY = 8 * MIB;
  const PLUGGED = 2 * 65536;
  /** All frames but the two that the Ultravisor reserves and shares. */
  const ALL = MEMORY / 65536 - 2;
  /** Turns of two instructions: more than a time slice, so that the hypervisor has control in between. */
  const DELAY = 6_000_000;

  /** Becomes secure, has a break in which memory comes, stores to its last word if it is to, and loads it. */
  function plugIn(securePfns: number, touches: boolean) {
    const program = new Program().becomeSecure(true).print('secure\n').delay(DELAY);
    const at = MEMORY + PLUGGED - 8;
    if (touches)
      program
        .li(20, at)
        .ld(22, 0, 20)
        .printRegister(22)
        .li(21, 0x4142434445464748n)
        .std(21, 0, 20)
        .ld(22, 0, 20)
        .printRegister(22);
    program.powerOff();
    const trace = new MemoryTrace();
    const machine = createMachine({ arch: 'powerpc', protected: true, securePfns, trace });
    const file = { file: 'plugged.elf', bytes: programImage(program) };
    const vm = machine.addVm({ name: 'svm', image: file, memory: MEMORY, maxMemory: 9 * MIB, entry: 'fdt' });
    const text = () => new TextDecoder().decode(vm.console.written());
    for (let limit = 10_000; text() === ''; limit += 10_000) expect(machine.run(limit).kind).toBe('limit');
    const before = trace.events.length;
    const { base } = vm.plugMemory(PLUGGED);
    expect(base).toBe(MEMORY);
    const outcome = machine.run(LIMIT);
    const registered = trace.events
      .slice(before)
      .filter((event) => event.type === 'call' && event.name === 'UV_REGISTER_MEM_SLOT').length;
    return { outcome: outcome.kind, text: text(), registered, report: machine.report(), trace };
  }

  it('with as many secure-PFNs as it has frames: the guest finds zeros, and keeps what it stores', () => {
    const { outcome, text, registered } = plugIn(ALL + 2, true);
    expect({ outcome, text, registered }).toEqual({
      outcome: 'poweroff',
      text: 'secure\n\0\0\0\0\0\0\0\0ABCDEFGH',
      registered: 1,
    });
  });

  it.each([
    ['one too few', ALL + 1],
    ['none left', ALL],
  ])('%s: the Ultravisor is not told, and a guest that does not touch it does not notice', (_, securePfns) => {
    const { outcome, text, registered, report } = plugIn(securePfns, false);
    expect({ outcome, text, registered }).toEqual({ outcome: 'poweroff', text: 'secure\n', registered: 0 });
    expect(report.vmState).toBe('secure');
  });

  it.each([
    ['one too few', ALL + 1],
    ['none left', ALL],
  ])('%s: one that touches it is killed, and has said nothing', (_, securePfns) => {
    const { outcome, text, registered, report, trace } = plugIn(securePfns, true);
    expect({ outcome, text, registered }).toEqual({ outcome: 'terminated', text: 'secure\n', registered: 0 });
    expect(report.vmState).toBe('dead');
    const notes = trace.ofType('note').map((event) => event.text);
    expect(notes).toContainEqual(expect.stringMatching(/^the SVM in LPID 1 is killed: .*0x810000, in no slot/));
  });
});
