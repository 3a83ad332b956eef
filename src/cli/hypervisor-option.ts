import { PKVM_RANDOM_STREAM } from '../arm64/pkvm-machine.ts';
import { defaultProvider } from '../crypto/default.ts';
import { ARM_ATTACKS, type ArmAttack, ATTACKS, type Attack, type Machine, type MachineOptions } from '../index.ts';
import { RandomSource } from '../machine/random.ts';
import { RANDOM_STREAM } from '../powerpc/machine.ts';
import { UsageError } from './exit-status.ts';

/** What a hypervisor that is not honest is called, and what it does. */
interface Listed {
  readonly name: string;
  readonly summary: string;
}

const HONEST: Listed = { name: 'honest', summary: 'does what it should (default)' };
/** Does what it should, and looks at everything that it can see. */
export const CURIOUS: Listed = { name: 'curious', summary: 'honest, but looks for the guest’s secrets at every exit' };

/** One line for each hypervisor, for `--help`. */
export function hypervisorHelp(): string {
  const power = [HONEST, CURIOUS, ...ATTACKS];
  const width = Math.max(...[...power, ...ARM_ATTACKS].map(({ name }) => name.length));
  const list = (rows: readonly Listed[]): string =>
    rows.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
  return `${list(power)}\n  With --arch arm64:\n${list([HONEST, CURIOUS, ...ARM_ATTACKS])}`;
}

/** A hypervisor as the user named it: `curious`, an attack, or null for `honest`. @throws UsageError */
export function parseHypervisor(option: string, name: string): Attack | 'curious' | null {
  if (name === HONEST.name) return null;
  if (name === CURIOUS.name) return 'curious';
  const attack = ATTACKS.find((a) => a.name === name);
  if (attack === undefined) {
    const known = [HONEST, CURIOUS, ...ATTACKS].map((a) => a.name);
    throw new UsageError(`${option}: "${name}" is none of ${known.join(', ')}`);
  }
  return attack;
}

/** A host of arm64 as the user named it: `curious`, an attack, or null for `honest`. @throws UsageError */
export function parseArmHypervisor(option: string, name: string): ArmAttack | 'curious' | null {
  if (name === HONEST.name) return null;
  if (name === CURIOUS.name) return 'curious';
  const attack = ARM_ATTACKS.find((a) => a.name === name);
  if (attack === undefined) {
    const known = [HONEST, CURIOUS, ...ARM_ATTACKS].map((a) => a.name);
    throw new UsageError(`${option}: "${name}" is none of ${known.join(', ')}`);
  }
  return attack;
}

/** How many numbers of each random stream a curious hypervisor looks for. */
const WORDS_SOUGHT = 8;

/** What a machine needs for this hypervisor. */
export function hypervisorOptions(
  hypervisor: Attack | 'curious' | null,
  seed: string,
  cpus: number,
): Pick<MachineOptions, 'attack' | 'watch'> {
  if (hypervisor === null) return {};
  if (hypervisor !== 'curious') return { attack: hypervisor };
  const words = guestRandoms(seed, cpus);
  return { watch: { secrets: words.flatMap((word) => [word, word.toReversed()]), digests: false } };
}

/** The same for arm64. */
export function armHypervisorOptions(
  hypervisor: ArmAttack | 'curious' | null,
  seed: string,
): Pick<MachineOptions, 'armAttack' | 'watch'> {
  if (hypervisor === null) return {};
  if (hypervisor !== 'curious') return { armAttack: hypervisor };
  const stream = new RandomSource(defaultProvider(), seed).stream(PKVM_RANDOM_STREAM.trng);
  const words = Array.from({ length: WORDS_SOUGHT }, () => stream(8));
  return { watch: { secrets: words.flatMap((word) => [word, word.toReversed()]), digests: false } };
}

/** The random numbers that a guest can have got: whoever knows the seed knows them. */
function guestRandoms(seed: string, cpus: number): Uint8Array[] {
  const source = new RandomSource(defaultProvider(), seed);
  const streams = [
    RANDOM_STREAM.secureGuest,
    RANDOM_STREAM.normalGuest,
    ...Array.from({ length: cpus }, (_, cpu) => `${RANDOM_STREAM.darn} ${cpu}`),
  ];
  return streams.flatMap((name) => {
    const stream = source.stream(name);
    return Array.from({ length: WORDS_SOUGHT }, () => stream(8));
  });
}

/** What the hypervisor of a run found or tried, one line each; none for an honest one. */
export function hypervisorFindings(machine: Machine): string[] {
  const { attack } = machine.report().hypervisorSaw;
  const lines: string[] = [];
  if (machine.view !== null) {
    const [first] = machine.view.sightings;
    const seen = new Set(machine.view.sightings.map(({ secret }) => secret >> 1)).size;
    lines.push(
      first === undefined
        ? `curious: saw none of the guest's random numbers in ${machine.view.observations.length} looks`
        : `curious: saw ${seen} of the guest's random numbers, first in ${first.where} at instruction ${first.clock}`,
    );
  }
  if (attack !== undefined) {
    const attempts = Object.entries(attack.attempts).map(
      ([means, { tried, refused }]) => `${means} ${tried} times${refused > 0 ? `, ${refused} refused` : ''}`,
    );
    const tried = attempts.length > 0 ? attempts.join('; ') : 'had no occasion';
    lines.push(`${attack.name}: ${tried}; holds ${attack.lootBytes} bytes`);
  }
  return lines;
}
