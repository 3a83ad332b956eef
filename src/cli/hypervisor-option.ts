import type { Attack } from '../powerpc/kvm/hostile/attack.ts';
import { ATTACKS } from '../powerpc/kvm/hostile/catalog.ts';
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
  const rows: readonly Listed[] = [HONEST, CURIOUS, ...ATTACKS];
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
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
