import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { differences, type Experiment, runExperiment } from '../../../src/cli/secret-experiment.ts';
import { nobleProvider } from '../../../src/crypto/noble.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';

const image = (name: string) => {
  const file = `guests/powerpc/${name}`;
  return { file, bytes: new Uint8Array(readFileSync(file)) };
};
const guest = image('secret.elf');
const hypervisor = image('hypervisor.elf');
const base = { crypto: nodeProvider, guest, hypervisor: null, protected: true, seed: '1' };

const NORMAL_CONSOLE = `normal: asking for secure mode
no secure mode here, staying normal
made a secret of 32 bytes
mixed 16 of 64 rounds
mixed 32 of 64 rounds
mixed 48 of 64 rounds
mixed 64 of 64 rounds
secret intact
ran as a normal VM
`;
const SECURE_CONSOLE = `normal: asking for secure mode
made a secret of 32 bytes
mixed 16 of 64 rounds
mixed 32 of 64 rounds
mixed 48 of 64 rounds
mixed 64 of 64 rounds
secret intact
ran as a secure VM
`;

describe('one guest, three privilege levels, both kinds of hypervisor', () => {
  const normal = runExperiment({ ...base, protected: false });
  const secure = runExperiment(base);
  const below = runExperiment({ ...base, hypervisor });

  it('runs as a normal VM where nobody offers protection', () => {
    expect(normal.console).toBe(NORMAL_CONSOLE);
    expect(normal.outcome.kind).toBe('poweroff');
    expect(normal.vmState).toBe('normal');
  });

  it('ends the same way as a secure VM below the native and below the machine-code hypervisor', () => {
    for (const run of [secure, below]) {
      expect(run.console).toBe(SECURE_CONSOLE);
      expect(run.outcome.kind).toBe('poweroff');
      expect(run.vmState).toBe('secure');
    }
  });

  it('runs as a normal VM below the machine-code hypervisor too', () => {
    const run = runExperiment({ ...base, protected: false, hypervisor });
    expect(run.console).toBe(NORMAL_CONSOLE);
    expect(run.vmState).toBe('normal');
  });

  it('shows the secret to the hypervisor of a normal VM, in registers and in memory', () => {
    expect(normal.sightings.some(({ where }) => where.startsWith('R'))).toBe(true);
    expect(normal.sightings.some(({ where }) => where.startsWith('0x'))).toBe(true);
    expect(new Set(normal.sightings.map(({ secret }) => secret >> 1)).size).toBe(4);
  });

  it('shows the secret of a secure VM to neither hypervisor', () => {
    expect(secure.observations.length).toBeGreaterThan(100);
    expect(below.observations.length).toBeGreaterThan(100);
    expect(secure.sightings).toEqual([]);
    expect(below.sightings).toEqual([]);
  });

  it('pages the secret out encrypted and back in under both hypervisors', () => {
    for (const run of [secure, below]) {
      expect(run.ultracalls).toContain('UV_PAGE_OUT');
      expect(run.ciphertext.size).toBe(1);
    }
  });

  it('gives the Ultravisor the same kinds of calls from both: it cannot tell them apart', () => {
    const kinds = (run: Experiment): string[] => [...new Set(run.ultracalls)].sort();
    // The machine-code one also moves shared pages, and gives its slot back.
    expect(kinds(below)).toEqual([...kinds(secure), 'UV_PAGE_INVAL', 'UV_UNREGISTER_MEM_SLOT'].sort());
  });

  it('shows the hypervisor exactly the same for another secret, ciphertext aside', () => {
    for (const [run, options] of [
      [secure, {}],
      [below, { hypervisor }],
    ] as const) {
      const other = runExperiment({ ...base, ...options, secretSeed: 'another' });
      expect(other.secret).not.toEqual(run.secret);
      expect(other.console).toBe(run.console);
      expect(differences(run, other)).toEqual([]);
    }
  });

  it('would notice a difference: the same experiment on a normal VM finds some', () => {
    const one = runExperiment({ ...base, protected: false, seed: '1' });
    const two = runExperiment({ ...base, protected: false, seed: '2' });
    const found = differences(one, two).map(({ what }) => what);
    expect(found).toContain('R4');
    expect(found.some((what) => what.startsWith('0x'))).toBe(true);
  });

  it('does not count ciphertext as the same: without leaving it out, two secrets differ there and nowhere else', () => {
    const other = runExperiment({ ...base, secretSeed: 'another' });
    const all = differences({ ...secure, ciphertext: new Set() }, { ...other, ciphertext: new Set() });
    const where = new Set(all.map(({ what }) => what));
    expect(where).toEqual(new Set([...secure.ciphertext].map((address) => `0x${address.toString(16)}`)));
  });

  it('is a pure function of its inputs: again, interpreted, and with the other crypto provider', () => {
    for (const options of [{}, { interpret: true }, { crypto: nobleProvider }]) {
      const again = runExperiment({ ...base, ...options });
      expect(again.instructions).toBe(secure.instructions);
      expect(again.console).toBe(secure.console);
      expect(differences({ ...secure, ciphertext: new Set() }, { ...again, ciphertext: new Set() })).toEqual([]);
    }
  });
});
