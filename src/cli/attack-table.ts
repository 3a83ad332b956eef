import { fileURLToPath } from 'node:url';
import { defaultProvider } from '../crypto/default.ts';
import type { ArmAttack, Attack, ImageFile } from '../index.ts';
import { runArmVictim } from './arm64-attack-experiment.ts';
import { judgeArm } from './arm64-attack-verdict.ts';
import { runVictim } from './attack-experiment.ts';
import type { Verdict } from './attack-judge.ts';
import { judge } from './attack-verdict.ts';
import { readImage } from './files.ts';
import { CURIOUS } from './hypervisor-option.ts';

const victimOf = (arch: string): ImageFile =>
  readImage(fileURLToPath(new URL(`../../guests/${arch}/victim.elf`, import.meta.url)));

/** One hostile hypervisor against both kinds of VM. */
export interface AttackRow {
  readonly name: string;
  readonly summary: string;
  readonly normal: Verdict;
  readonly secure: Verdict;
}

/** How attacks of one architecture are run and judged. */
interface Experiment<A, R> {
  run(isProtected: boolean, attack: A | null): R;
  judge(run: R, honest: R): Verdict;
  describe(attack: A): { readonly name: string; readonly summary: string };
}

/** Runs attacks on Power, each against a normal and a secure VM with the same victim, one row at a time. */
export function powerAttackRows(attacks: readonly (Attack | 'curious')[], seed: string): Generator<AttackRow> {
  const base = { crypto: defaultProvider(), victim: victimOf('powerpc'), seed };
  return rowsOf(attacks, {
    run: (isProtected, attack) =>
      runVictim({
        ...base,
        protected: isProtected,
        attack: attack === 'curious' ? null : attack,
        watch: attack === 'curious',
      }),
    judge,
    describe: (attack) => (attack === 'curious' ? CURIOUS : attack),
  });
}

/** The same on arm64. */
export function armAttackRows(attacks: readonly (ArmAttack | 'curious')[], seed: string): Generator<AttackRow> {
  const base = { crypto: defaultProvider(), victim: victimOf('arm64'), seed };
  return rowsOf(attacks, {
    run: (isProtected, attack) =>
      runArmVictim({
        ...base,
        protected: isProtected,
        attack: attack === 'curious' ? null : attack,
        watch: attack === 'curious',
      }),
    judge: judgeArm,
    describe: (attack) => (attack === 'curious' ? CURIOUS : attack),
  });
}

function* rowsOf<A, R>(attacks: readonly A[], { run, judge, describe }: Experiment<A, R>): Generator<AttackRow> {
  const honest = [run(false, null), run(true, null)] as const;
  for (const attack of attacks) {
    const { name, summary } = describe(attack);
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
