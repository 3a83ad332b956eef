import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMachine, MemoryTrace } from '../../../src/index.ts';
import { makeMachine, Program } from '../../support/power-program.ts';

const LIMIT = 400_000_000;
/** The guest keeps its traces a little below this. */
const MEMORY = 34 << 20;

function image(name: string): { file: string; bytes: Uint8Array } {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
}

/** What lines of the guest say. */
const boots = (kind: string, memory: string): string =>
  [1, 2, 3]
    .map((boot) => `boot ${boot}: memory is ${boot === 1 ? 'empty' : memory}\nrunning as a ${kind} VM\n`)
    .join('');

describe('RTAS system-reboot (power-pef.md 5.6, 6.8)', () => {
  it('a normal VM begins anew and finds its memory as it was', () => {
    const machine = createMachine({ arch: 'powerpc' });
    const vm = machine.addVm({ name: 'reboot', image: image('reboot'), memory: MEMORY });
    expect(machine.run(LIMIT).kind).toBe('poweroff');
    expect(new TextDecoder().decode(vm.console.written())).toBe(boots('normal', 'as it was left'));
  });

  it('a secure VM goes through KVM_PPC_SVM_OFF: it begins as a normal one, without anything of its secrets', () => {
    const trace = new MemoryTrace();
    const machine = createMachine({ arch: 'powerpc', protected: true, secureMemory: 80 << 20, trace });
    const vm = machine.addVm({ name: 'reboot', image: image('reboot'), memory: MEMORY });
    expect(machine.run(LIMIT).kind).toBe('poweroff');
    expect(new TextDecoder().decode(vm.console.written())).toBe(boots('secure', 'empty'));
    expect(machine.report()).toMatchObject({
      vmState: 'secure',
      calls: { UV_SVM_TERMINATE: 3, UV_UNREGISTER_MEM_SLOT: 2, H_SVM_INIT_DONE: 3 },
    });
  });

  it('two of either kind side by side, each with its own memory', () => {
    const machine = createMachine({ arch: 'powerpc', protected: true, secureMemory: 80 << 20 });
    const add = (name: string) => machine.addVm({ name, image: image(name), memory: MEMORY });
    const vms = [add('reboot'), add('hello'), add('reboot'), add('secret_shared')];
    expect(machine.run(2 * LIMIT).kind).toBe('poweroff');
    const texts = vms.map((vm) => new TextDecoder().decode(vm.console.written()));
    expect(texts[0]).toBe(boots('secure', 'empty'));
    expect(texts[1]).toBe('hello from ppc64le\n');
    expect(texts[2]).toBe(boots('secure', 'empty'));
    expect(texts[3]).toMatch(/ran as a secure VM\n$/);
    expect(machine.report().vmState).toEqual({ reboot: 'secure', hello: 'normal', secret_shared: 'secure' });
  });

  it.each([
    ['normal', false],
    ['secure', true],
  ] as const)('the other vCPUs of a %s VM stop, wherever they are', (_, secure) => {
    // The second vCPU runs in a loop for ever. The count at 0x700000 tells the boots apart; in a secure VM it is shared.
    const program = new Program().whenSecure('secure');
    if (secure) program.esm(3).label('secure').emit(0x38800070).emit(0x38a00001).li(3, 0xf130).sc(2);
    else program.label('secure');
    program
      .li(20, 0x700000)
      .ld(21, 0, 20)
      .addi(21, 21, 1)
      .std(21, 0, 20)
      .printRegister(21)
      .rtas('start-cpu', [1, 0x400000 + 0x1000, 0])
      .printRegister(3)
      .delay(20_000)
      .rtas('system-reboot', []);
    const spin = new Program(0x401000).label('spin').b('spin');
    const run = makeMachine(secure, [{ program, more: [spin], cpus: 2 }]);
    let bytes = new Uint8Array(0);
    for (let limit = 100_000; bytes.length < 32; limit += 100_000) {
      expect(run.machine.run(limit).kind).toBe('limit');
      bytes = new Uint8Array(run.consoles[0]?.written() ?? []);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const printed = Array.from({ length: 4 }, (_entry, i) => view.getBigUint64(8 * i));
    // A second start-cpu succeeds only if the reset stopped the vCPU. What was shared is zeroed as it is shared again.
    expect(printed).toEqual(secure ? [1n, 0n, 1n, 0n] : [1n, 0n, 2n, 0n]);
  });
});
