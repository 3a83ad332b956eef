import { describe, expect, it } from 'vitest';
import { runVictim, type VictimOptions, type VictimRun } from '../../../src/cli/attack-experiment.ts';
import { compareViews } from '../../../src/machine/hypervisor-view.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { ULTRACALL } from '../../../src/powerpc/abi.ts';
import { ATTACKS } from '../../../src/powerpc/kvm/hostile/catalog.ts';
import { HONEST_CONSOLE, VICTIM } from './victim.ts';

/** Two watched runs with equal seeds, except for that of the secret. */
function twoRuns(options: Pick<VictimOptions, 'protected' | 'attack' | 'secureMemory'>): [VictimRun, VictimRun] {
  const run = (secretSeed: string): VictimRun => runVictim({ ...VICTIM, ...options, watch: true, secretSeed });
  return [run('one secret'), run('another secret')];
}

/** Normal pages that the Ultravisor wrote ciphertext to: they differ by design. */
function ciphertextOf({ events }: VictimRun): RealAddress[] {
  const calls = events.filter((event) => event.type === 'call');
  return calls
    .filter((call) => call.number === ULTRACALL.UV_PAGE_OUT)
    .map(({ args }) => Number(args[1]) as RealAddress);
}

function differences([a, b]: [VictimRun, VictimRun]): string[] {
  const views = [a, b].map(({ machine }) => machine.view?.observations ?? []) as [never, never];
  const left = new Set([...ciphertextOf(a), ...ciphertextOf(b)]);
  return compareViews(...views, left).map(({ what }) => what);
}

const HOSTILE = ['read-registers', 'change-registers', 'inject-masked', 'rtas-answer', 'stale-translation'];

describe('what a hypervisor sees does not depend on the secret (two runs, another secret)', () => {
  it('honest: equal registers, memory and times at every entry, and no word of the secret among them', () => {
    const runs = twoRuns({ protected: true, attack: null });
    expect(runs[0].secret).not.toEqual(runs[1].secret);
    expect(runs[0].machine.view?.observations.length).toBeGreaterThan(100);
    for (const run of runs) {
      expect(run.console).toBe(HONEST_CONSOLE.secure);
      expect(run.sighted.size).toBe(0);
    }
    expect(differences(runs)).toEqual([]);
  });

  it('with less secure memory than it uses: pages go out and come back, and only ciphertext differs', () => {
    const runs = twoRuns({ protected: true, attack: null, secureMemory: 8 * 65536 });
    for (const run of runs) {
      expect(run.console).toBe(HONEST_CONSOLE.secure);
      expect(run.sighted.size).toBe(0);
      expect(ciphertextOf(run).length).toBeGreaterThan(50);
    }
    expect(differences(runs)).toEqual([]);
  });

  it.each(ATTACKS.filter(({ name }) => HOSTILE.includes(name)))('$name: the same', (attack) => {
    const runs = twoRuns({ protected: true, attack });
    for (const run of runs) expect(run.sighted.size).toBe(0);
    expect(differences(runs)).toEqual([]);
  });

  it('would find a difference: a normal VM shows all of the secret, in registers and memory', () => {
    const runs = twoRuns({ protected: false, attack: null });
    for (const run of runs) expect(run.sighted).toEqual(new Set([0, 1, 2, 3]));
    const found = differences(runs);
    for (const register of ['R14', 'R17', 'CTR', 'SPRG0', 'F31']) expect(found).toContain(register);
    expect(found.some((what) => what.startsWith('0x'))).toBe(true);
  });
});
