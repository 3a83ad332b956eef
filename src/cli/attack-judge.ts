import type { MachineOutcome } from '../machine/run-report.ts';

/** What an attack did to its victim, judged from evidence on both sides. */
export interface Verdict {
  /** How many of the secret's words the attacker holds. */
  readonly learned: number;
  /** The victim said something that it does not say below an honest hypervisor. */
  readonly changed: boolean;
  /**
   * `lost`: learned or changed. `none`: the victim did all that it does below an honest hypervisor. `denied`: it did the beginning of that, and was
   * stopped. `never secure`: it asked for secure mode, was refused, and had no secret.
   */
  readonly effect: 'lost' | 'none' | 'denied' | 'never secure';
  /** What stood in the way, from the events of the run; empty on a normal VM. */
  readonly stoppedBy: readonly string[];
}

/** What is judged of a run of the victim. */
export interface Evidence {
  readonly protected: boolean;
  /** The console of the victim. */
  readonly console: string;
  readonly outcome: MachineOutcome;
  /** Last state in which the victim could execute. */
  readonly vmState: string;
  /** The victim's secret, 8 bytes each, as the experimenter knows it from the seed. */
  readonly secret: readonly Uint8Array[];
  /** What the attack got hold of. */
  readonly loot: readonly Uint8Array[];
  /** Which words of the secret lay where the hypervisor can see them; empty unless watched. */
  readonly sighted: ReadonlySet<number>;
}

/**
 * @param honest the victim in the same kind of VM below an honest hypervisor
 * @param barriers what stood in the way of an attack on a protected VM
 */
export function judgeEvidence(run: Evidence, honest: Evidence, barriers: () => readonly string[]): Verdict {
  const learned = run.secret.filter((word, i) => run.sighted.has(i) || holds(run.loot, word)).length;
  const refused = run.protected && run.vmState === 'normal';
  const changed = !refused && !isBeginning(run, honest);
  const stoppedBy = run.protected ? barriers() : [];
  if (learned > 0 || changed) return { learned, changed, effect: 'lost', stoppedBy };
  if (refused) return { learned, changed, effect: 'never secure', stoppedBy };
  return { learned, changed, effect: run.console === honest.console ? 'none' : 'denied', stoppedBy };
}

/** A victim that ends of its own accord has said everything; one that is stopped may have said less, but nothing else. */
function isBeginning(run: Evidence, honest: Evidence): boolean {
  if (run.console === honest.console) return true;
  return run.outcome.kind !== 'poweroff' && honest.console.startsWith(run.console);
}

/** In either byte order. */
function holds(loot: readonly Uint8Array[], word: Uint8Array): boolean {
  const needles = [word, word.toReversed()].map((bytes) => Buffer.from(bytes));
  return loot.some((bytes) => {
    const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return needles.some((needle) => haystack.includes(needle));
  });
}
