import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MemoryDisk } from '../../../src/devices/disk.ts';
import { ATTACKS, type Attack, createMachine } from '../../../src/index.ts';

const MIB = 1 << 20;
/** It executes some two millions. */
const LIMIT = 6_000_000;
const SECTORS = 32;

const image = (name: string) => {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};

interface Ending {
  readonly console: string;
  readonly vmState: unknown;
  readonly disk: Uint8Array;
}

function run(attack: Attack | undefined, isProtected = true): Ending {
  const name = 'disk';
  const machine = createMachine({
    ...{ arch: 'powerpc', protected: isProtected, secureMemory: 24 * MIB },
    ...(attack && { attack }),
  });
  const disk = new MemoryDisk(new Uint8Array(SECTORS * 512).map((_, i) => i * 7 + (i >> 9)));
  const options = { image: image(name), memory: 8 * MIB, cmdline: '8' };
  const vm = machine.addVm({ ...options, name, disk });
  if (attack?.accomplice === true) machine.addVm({ ...options, name: 'accomplice' });
  machine.run(LIMIT);
  const { vmState } = machine.report();
  const state = typeof vmState === 'string' ? vmState : vmState[name];
  return { console: new TextDecoder().decode(vm.console.written()), vmState: state, disk: disk.bytes };
}

/** What a hypervisor answers is its word (docs/attacks.md): here that there is no disk. */
const ANSWERED: Readonly<Record<string, RegExp>> = {
  'rtas-answer': /^(there is no PCI|there is no disk|.* cannot be found)\n$/,
};

/**
 * The victim of `cloister attack` looks for what was changed. This guest does not: it does its work, and whatever it says must be what it says
 * below an honest hypervisor, up to where it was stopped; or it was never secure, and had no secret.
 */
describe('disk, which bounces its I/O through a page that it shares, as a victim', () => {
  const honest = run(undefined);

  it('is secure below an honest hypervisor', () => {
    expect(honest.vmState).toBe('secure');
    expect(honest.console).toMatch(/the page is as it was\ncontents [0-9a-f]{16}\n$/);
  });

  it.each(
    ATTACKS.map((attack) => [attack.name, attack] as const),
  )('%s changes nothing that it says', (name, attack) => {
    const attacked = run(attack);
    if (attacked.vmState === 'normal') return;
    const answered = ANSWERED[name];
    if (answered !== undefined) expect(attacked.console).toMatch(answered);
    else expect(honest.console.startsWith(attacked.console)).toBe(true);
    if (attacked.console === honest.console) expect(attacked.disk).toEqual(honest.disk);
  });

  it.each([
    'change-registers',
    'hole-in-memory',
  ])('would notice: as a normal VM it says something else below %s', (name) => {
    const attack = ATTACKS.find((known) => known.name === name);
    expect(run(undefined, false).console.startsWith(run(attack, false).console)).toBe(false);
  });
});
