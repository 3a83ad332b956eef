import { expect, it } from 'vitest';
import { ARM_ATTACKS } from '../../../src/arm64/kvm/hostile/catalog.ts';
import { runArmVictim } from '../../../src/cli/arm64-attack-experiment.ts';
import { compareViews } from '../../../src/machine/hypervisor-view.ts';
import { VICTIM } from './victim.ts';

/** What the host saw differently in two runs that differ in nothing but the secret. */
function differences(isProtected: boolean, name: string | null): readonly string[] {
  const attack = name === null ? null : (ARM_ATTACKS.find((a) => a.name === name) ?? null);
  expect(attack?.name ?? null).toBe(name);
  const [a, b] = ['one secret', 'another secret'].map((secretSeed) => {
    const run = runArmVictim({ ...VICTIM, protected: isProtected, attack, secretSeed, watch: true });
    return run.machine.view?.observations ?? [];
  });
  expect(a?.length).toBeGreaterThan(100);
  return compareViews(a ?? [], b ?? [], new Set()).map(({ what }) => what);
}

it.each([
  null,
  'read-registers',
  'withhold-page',
  'corrupt-calls',
  'dying-handle',
])('all that the host of a protected VM sees is the same with another secret: below %s', (name) => {
  expect(differences(true, name)).toEqual([]);
});

it('finds differences below a plain VM', () => {
  expect(differences(false, null).length).toBeGreaterThan(0);
});
