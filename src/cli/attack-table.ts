import { fileURLToPath } from 'node:url';
import { defaultProvider } from '../crypto/default.ts';
import type { Attack } from '../index.ts';
import { runVictim, type VictimOptions, type VictimRun } from './attack-experiment.ts';
import { judge, type Verdict } from './attack-verdict.ts';
import { readImage } from './files.ts';
import { CURIOUS } from './hypervisor-option.ts';

const VICTIM = new URL('../../guests/powerpc/victim.elf', import.meta.url);

/** One hostile hypervisor against both kinds of VM. */
export interface AttackRow {
  readonly name: string;
  readonly summary: string;
  readonly normal: Verdict;
  readonly secure: Verdict;
}

/** Runs attacks, each against a normal and a secure VM with the same victim, one row at a time. */
export function* attackRows(attacks: readonly (Attack | 'curious')[], seed: string): Generator<AttackRow> {
  const base = { crypto: defaultProvider(), victim: readImage(fileURLToPath(VICTIM)), seed };
  const run = (isProtected: boolean, attack: Attack | 'curious' | null): VictimRun => {
    const options: VictimOptions = { ...base, protected: isProtected, attack: attack === 'curious' ? null : attack };
    return runVictim({ ...options, watch: attack === 'curious' });
  };
  const honest = [run(false, null), run(true, null)] as const;
  for (const attack of attacks) {
    const { name, summary } = attack === 'curious' ? CURIOUS : attack;
    const normal = judge(run(false, attack), honest[0]);
    const secure = judge(run(true, attack), honest[1]);
    yield { name, summary, normal, secure };
  }
}

const WIDTHS = [21, 38, 22] as const;

/** The head of the table. */
export const ATTACK_TABLE_HEAD = line('attack', 'normal VM', 'protected VM', 'what stopped it');

/** A row of the table. */
export function attackTableLine({ name, normal, secure }: AttackRow): string {
  return line(name, describe(normal), describe(secure), secure.stoppedBy.join('; '));
}

/** Whether the attack worked where it should, and only there. */
export function isContained({ normal, secure }: AttackRow): boolean {
  return normal.effect === 'lost' && secure.effect !== 'lost';
}

function describe({ learned, changed, effect }: Verdict): string {
  switch (effect) {
    case 'lost':
      return [learned > 0 && 'learned the secret', changed && 'changed the guest'].filter(Boolean).join(', ');
    case 'none':
      return 'nothing';
    case 'denied':
      return 'nothing; VM stopped';
    case 'never secure':
      return 'nothing; not secure';
  }
}

function line(...cells: readonly string[]): string {
  return cells
    .map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0))
    .join('')
    .trimEnd();
}
