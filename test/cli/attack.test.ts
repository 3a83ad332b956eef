import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ARM_ATTACKS, ATTACKS } from '../../src/index.ts';

const scratch = mkdtempSync(join(tmpdir(), 'cloister-attack-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Runs the built command, as a user does. */
function cloister(...args: string[]): { readonly status: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['bin/cloister.js', ...args], { encoding: 'utf8' });
  return { status, out: stdout, err: stderr };
}

const SECRET = ['--memory', '8M', '--entry', 'fdt', 'guests/powerpc/secret.elf'];

describe('cloister attack', () => {
  it('runs what is named against both kinds of VM: a table, a report, status 0', () => {
    const file = join(scratch, 'report.json');
    const { status, out } = cloister('attack', '--report', file, 'curious', 'swap-pages');
    expect(status).toBe(0);
    const [head, curious, swap, , end] = out.split('\n');
    expect(head).toMatch(/^attack +normal VM +protected VM +what stopped it$/);
    expect(curious).toMatch(/^curious +learned the secret +nothing +not in any register or page at \d+ looks$/);
    expect(swap).toMatch(/^swap-pages +changed the guest +nothing; VM stopped +UV_PAGE_IN: U_P3 \(7 times\)$/);
    expect(end).toMatch(/^2 of 2 worked on the normal VM; on the protected one none learned or changed anything/);
    const report = JSON.parse(readFileSync(file, 'utf8'));
    expect(report).toMatchObject({ arch: 'powerpc', seed: '1' });
    expect(report.attacks).toMatchObject([
      { name: 'curious', normal: { effect: 'lost', learned: 4 }, protected: { effect: 'none', learned: 0 } },
      {
        name: 'swap-pages',
        normal: { effect: 'lost', changed: true },
        protected: { effect: 'denied', changed: false },
      },
    ]);
  });

  it('does the same on arm64', () => {
    const { status, out } = cloister('attack', '--arch', 'arm64', 'curious', 'dma', 'map-twice');
    expect(status).toBe(0);
    const [, curious, dma, twice] = out.split('\n');
    expect(curious).toMatch(/^curious +learned the secret +nothing +not in any register or page at \d+ looks$/);
    expect(dma).toMatch(/^dma +learned the secret, changed the guest +nothing +stage 2 for DMA \(4 times\)$/);
    expect(twice).toMatch(/^map-twice +changed the guest +nothing +.*__pkvm_host_donate_guest: −EPERM$/);
    expect(cloister('attack', '--arch', 'arm64', 'partition-table')).toMatchObject({ status: 2, out: '' });
  });

  it('names every bad name, architecture, seed and file in one line, and runs nothing', () => {
    const bad: readonly (readonly [string[], RegExp])[] = [
      [['attack', 'swap-pages', 'nonsense'], /^cloister: attack: "nonsense" is none of honest, curious, read-memory, /],
      [['attack', 'honest'], /^cloister: attack: "honest" attacks nothing\n$/],
      [['attack', '--arch', 'vax'], /^cloister: --arch: "vax" is none of powerpc, arm64\n$/],
      [['attack', '--seed', 'x'], /^cloister: --seed: "x" is neither /],
      [['attack', '--report', scratch], /^cloister: .*: it is a directory\n$/],
    ];
    for (const [args, message] of bad) {
      const { status, out, err } = cloister(...args);
      expect({ status, out, lines: err.split('\n').length }, args.join(' ')).toEqual({ status: 2, out: '', lines: 2 });
      expect(err).toMatch(message);
    }
  });
});

describe('cloister run --hypervisor', () => {
  it('is listed by --help, one line each', () => {
    for (const command of ['run', 'attack']) {
      const { out } = cloister(command, '--help');
      for (const { name, summary } of [...ATTACKS, ...ARM_ATTACKS])
        expect(out).toContain(`  ${name.padEnd(20)}  ${summary}\n`);
      for (const name of ['honest', 'curious']) expect(out).toMatch(new RegExp(`^ {2}${name} +\\w`, 'm'));
    }
  });

  it('curious: finds the secret of a normal VM, and none of a secure one', () => {
    const normal = cloister('run', '--hypervisor', 'curious', ...SECRET);
    expect(normal.err).toMatch(
      /^cloister: curious: saw 4 of the guest's random numbers, first in R4 at instruction \d+\n$/,
    );
    const secure = cloister('run', '--protected', '--hypervisor', 'curious', ...SECRET);
    expect(secure.err).toMatch(/\ncloister: curious: saw none of the guest's random numbers in \d+ looks\n$/);
    expect(secure.out).toContain('ran as a secure VM');
  });

  it('an attack: damages a normal VM, reports what was tried and refused on a secure one', () => {
    expect(cloister('run', '--hypervisor', 'write-memory', ...SECRET).out).toContain('secret damaged');
    const file = join(scratch, 'run.json');
    const run = cloister('run', '--protected', '--hypervisor', 'read-memory', '--report', file, ...SECRET);
    expect(run.out).toContain('secret intact');
    expect(run.err).toMatch(/\ncloister: read-memory: load \d+ times, 512 refused; holds \d+ bytes\n$/);
    const { attack, refused } = JSON.parse(readFileSync(file, 'utf8')).hypervisorSaw;
    expect(attack).toMatchObject({ name: 'read-memory', attempts: { load: { refused: 512 } } });
    expect(refused).toEqual({ hypervisor: 512 });
  });

  it('an attack on arm64: a plain guest of KVM’s changes, a protected one does not', () => {
    const victim = ['--arch', 'arm64', '--memory', '8M', '--hypervisor', 'read-memory', 'guests/arm64/victim.elf'];
    const plain = cloister('run', ...victim);
    expect(plain.out).toContain('ran as a normal VM');
    expect(plain.err).toMatch(/^cloister: read-memory: load 12 times; holds 49152 bytes\n$/);
    const kept = cloister('run', '--protected', ...victim);
    expect(kept.out).toContain('ran as a protected VM');
    expect(kept.err).toMatch(/^cloister: read-memory: load 12 times, 12 refused; holds 0 bytes\n$/);
  });

  it('refuses an unknown name, --role host, and an attack that needs a second guest', () => {
    const bad: readonly (readonly [string[], string])[] = [
      [['--hypervisor', 'foreign-page', ...SECRET], 'cloister: --hypervisor: foreign-page needs two guests\n'],
      [
        ['--hypervisor', 'curious', '--role', 'host', 'guests/powerpc/hypervisor.elf'],
        'cloister: --hypervisor: with --role host the image is the hypervisor\n',
      ],
    ];
    for (const [args, message] of bad) expect(cloister('run', ...args)).toEqual({ status: 2, out: '', err: message });
    expect(cloister('run', '--hypervisor', '', ...SECRET).err).toMatch(
      /^cloister: --hypervisor: "" is none of honest, /,
    );
  });
});
