import { fileURLToPath } from 'node:url';
import { defaultProvider } from '../crypto/default.ts';
import { ARM_ATTACKS, compareViews } from '../index.ts';
import { type ArmVictimRun, runArmVictim } from './arm64-attack-experiment.ts';
import { ATTACK_TABLE_HEAD, armAttackRows, attackTableLine, isContained } from './attack-table.ts';
import { readImage } from './files.ts';

const VICTIM = new URL('../../guests/arm64/victim.elf', import.meta.url);

/** A few that show different walls. */
const DEMO_ATTACKS = ['read-memory', 'map-twice', 'withhold-page', 'change-registers'];

/**
 * The tour on arm64.
 * @param first number of its first step
 * @returns whether everything was as it should be
 */
export function armDemo(seed: string, say: (line?: string) => void, first: number): boolean {
  const base = { crypto: defaultProvider(), victim: readImage(fileURLToPath(VICTIM)), seed, attack: null, watch: true };
  say(
    'arm64, protected KVM. A hyp at EL2 tracks who owns each page in the page tables themselves; KVM is its host at EL1, below a',
  );
  say(
    'stage 2 of its own. A guest asks firmware for a secret and works with it; at each exit we look for it, as above.',
  );
  say();
  const plain = runArmVictim({ ...base, protected: false });
  saySeen(say, `${first}. A plain VM: its pages are shared with it, and its registers are the host’s.`, plain);
  const kept = runArmVictim({ ...base, protected: true });
  saySeen(
    say,
    `${first + 1}. The same guest as a protected VM: its pages are donated, and its registers stay at EL2.`,
    kept,
  );
  const other = runArmVictim({ ...base, protected: true, secretSeed: `${seed}, another secret` });
  const looks = kept.machine.view?.observations ?? [];
  const differ = compareViews(looks, other.machine.view?.observations ?? [], new Set());
  const [difference] = differ;
  say(
    difference === undefined
      ? `    With another secret it saw exactly the same, ${looks.length} times.`
      : `    WITH ANOTHER SECRET IT SAW ${differ.length} DIFFERENCES, the first at entry ${difference.observation}: ${difference.what}.`,
  );
  say(`${first + 2}. Hosts that do more than look ("cloister attack --arch arm64" has all of them).`);
  say(`    ${ATTACK_TABLE_HEAD}`);
  const attacks = ARM_ATTACKS.filter(({ name }) => DEMO_ATTACKS.includes(name));
  const rows = [...armAttackRows(attacks, seed)];
  for (const row of rows) say(`    ${attackTableLine(row)}`);
  say();
  const safe = (run: ArmVictimRun): boolean => run.sighted.size === 0 && run.outcome.kind === 'poweroff';
  return rows.every(isContained) && plain.sighted.size > 0 && safe(kept) && safe(other) && differ.length === 0;
}

function saySeen(say: (line?: string) => void, what: string, { machine, console }: ArmVictimRun): void {
  say(what);
  const lines = console.trimEnd().split('\n');
  for (const line of [...lines.slice(0, 2), '...', ...lines.slice(-1)]) say(`    | ${line}`);
  const { pages, hypervisorEntries, calls } = machine.statistics();
  const held = Object.entries(pages).map(([state, count]) => `${count} ${state}`);
  const { __pkvm_host_donate_guest: donated = 0, __pkvm_host_share_guest: shared = 0 } = calls;
  say(`    pages of the guest: ${held.join(', ')} (${donated} donated, ${shared} shared by the host)`);
  const [sighting] = machine.view?.sightings ?? [];
  const places = new Set(machine.view?.sightings.map(({ where }) => where));
  const found =
    sighting === undefined
      ? 'the secret was nowhere to be seen'
      : `found the secret in ${places.size} places, first in ${sighting.where} at instruction ${sighting.clock}`;
  say(`    host: in control ${hypervisorEntries} times; ${found}`);
}
