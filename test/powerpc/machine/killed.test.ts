import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ATTACKS, createMachine } from '../../../src/index.ts';
import { HCALL } from '../../../src/powerpc/abi.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';

const MIB = 1 << 20;
const LIMIT = 1e8;

const image = (name: string) => {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};

/** The victim below a hypervisor that replays a cookie, for which the Ultravisor kills it, and a guest beside it. */
function run() {
  const attack = ATTACKS.find(({ name }) => name === 'replay-cookie');
  if (attack === undefined) throw new Error('no attack replay-cookie');
  const trace = new MemoryTrace();
  const machine = createMachine({ arch: 'powerpc', protected: true, secureMemory: 48 * MIB, attack, trace });
  const vms = ['victim', 'secret_shared'].map((name) =>
    machine.addVm({ name, image: image(name), memory: 8 * MIB, entry: 'fdt' }),
  );
  const outcome = machine.run(LIMIT);
  return {
    trace,
    outcome,
    report: machine.report(),
    consoles: vms.map((vm) => new TextDecoder().decode(vm.console.written())),
  };
}

describe('an SVM that the Ultravisor kills (power-pef.md 6.8)', () => {
  const { trace, outcome, report, consoles } = run();
  const at = (what: string, matches: (event: (typeof trace.events)[number]) => boolean): number => {
    const index = trace.events.findIndex(matches);
    expect(index, what).toBeGreaterThanOrEqual(0);
    return index;
  };

  it('is told to the hypervisor by RTAS ibm,os-term, and ends there as what the Ultravisor stopped', () => {
    const killed = at(
      'the kill',
      (event) => event.type === 'note' && event.text.startsWith('the SVM in LPID 1 is killed'),
    );
    const after = trace.events.slice(killed);
    const states = after.filter((event) => event.type === 'vm-state' && event.vm === 1);
    expect(states).toMatchObject([
      { from: 'SECURE', to: 'DEAD' },
      { from: 'DEAD', to: 'NORMAL' },
    ]);
    const call = after.find((event) => event.type === 'call' && event.kind === 'hypercall');
    expect(call).toMatchObject({ number: HCALL.H_RTAS, name: 'H_RTAS' });
    expect(report).toMatchObject({ vmState: { victim: 'dead', secret_shared: 'secure' } });
    // The VMM's answer to ibm,os-term without a text.
    expect(outcome).toMatchObject({
      kind: 'terminated',
      detail: expect.stringContaining('the Ultravisor stopped the VM'),
    });
  });

  it('says nothing more, and its last words are as below an honest hypervisor', () => {
    expect(consoles[0]).toMatch(/^normal: asking for secure mode\n(.*\n)*round 3: intact\n$/);
  });

  it('executes not one instruction more: no CPU enters it after the kill', () => {
    const killed = at(
      'the kill',
      (event) => event.type === 'note' && event.text.startsWith('the SVM in LPID 1 is killed'),
    );
    const ended = trace.events.findIndex(
      (event, i) => i > killed && event.type === 'vm-state' && event.to === 'NORMAL',
    );
    const levels = trace.events.slice(killed, ended).filter((event) => event.type === 'level-enter');
    expect(levels.map((event) => event.type === 'level-enter' && event.level)).not.toContain('secure guest');
  });

  it('is no harm to the one beside it', () => {
    expect(consoles[1]).toMatch(/secret intact\npage taken back, and empty\nran as a secure VM\n$/);
  });
});
