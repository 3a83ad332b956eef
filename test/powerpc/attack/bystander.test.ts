import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ATTACKS, type Attack, createMachine } from '../../../src/index.ts';

const MIB = 1 << 20;
const LIMIT = 16_000_000;

const image = (name: string) => {
  const file = `guests/powerpc/${name}.elf`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};

/** What the second of two guests says, the first of which is attacked. */
function bystander(isProtected: boolean, attack?: Attack): string {
  const options = { arch: 'powerpc', secureMemory: 48 * MIB, ...(attack && { attack }) } as const;
  const machine = createMachine({ ...options, protected: isProtected });
  const add = (name: string, entry: 'fdt' | 'of') =>
    machine.addVm({ name, image: image(name), memory: 8 * MIB, entry });
  add('victim', 'fdt');
  const second = add('secret_shared', 'of');
  machine.run(LIMIT);
  return new TextDecoder().decode(second.console.written());
}

describe.each([
  ['normal', false],
  ['secure', true],
] as const)('a %s VM beside the one that is attacked', (state, isProtected) => {
  const honest = bystander(isProtected);

  it('below an honest hypervisor comes to its end', () => {
    expect(honest).toMatch(new RegExp(`secret intact\n(.*\n)*ran as a ${state} VM\n$`));
  });

  // What has an accomplice takes pages of the second guest too. Who can have a partition table of his own has all VMs.
  const others = ATTACKS.filter(
    ({ name, accomplice }) => accomplice !== true && (isProtected || name !== 'ultravisor-registers'),
  );

  it.each(others)('does not notice $name', (attack) => {
    expect(bystander(isProtected, attack)).toBe(honest);
  });
});
