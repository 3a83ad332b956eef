import { ERRNO, HYPERCALL } from '../arm64/abi.ts';
import type { Means } from '../arm64/kvm/hostile/toolbox.ts';
import type { ArmVictimRun } from './arm64-attack-experiment.ts';
import { judgeEvidence, type Verdict } from './attack-judge.ts';

/** @param honest the victim in the same kind of VM below an honest host */
export const judgeArm = (run: ArmVictimRun, honest: ArmVictimRun): Verdict =>
  judgeEvidence(run, honest, () => barriers(run));

/** What is so where nothing was refused and the victim noticed nothing. */
const WITHOUT_EFFECT: ReadonlyMap<Means, string> = new Map([
  ['reading registers', 'registers stay at EL2'],
  ['changing registers', 'the hyp enters with its own copy'],
  ['resuming elsewhere', 'the hyp enters with its own copy'],
  ['injecting an interrupt', 'PC and PSTATE are the hyp’s; an SError waits for its mask'],
]);

function barriers(run: ArmVictimRun): string[] {
  const found = [...memoryRefusals(run), ...callRefusals(run), ...ignoredAnswers(run), ...clearedPages(run)];
  if (found.length > 0) return found;
  const looks = run.machine.view?.observations.length ?? 0;
  if (looks > 0) return [`not in any register or page at ${looks} looks`];
  if (run.attempts.size === 0) return ['the host is never asked'];
  return [...run.attempts.keys()].map((means) => WITHOUT_EFFECT.get(means)).filter((text) => text !== undefined);
}

function memoryRefusals({ events }: ArmVictimRun): string[] {
  const refused = events.filter((event) => event.type === 'refused-access');
  const byDevice = refused.filter(({ agent }) => agent === 'device').length;
  const byHost = refused.length - byDevice;
  return [
    ...(byHost > 0 ? [`stage 2 of the host (${times(byHost)})`] : []),
    ...(byDevice > 0 ? [`stage 2 for DMA (${times(byDevice)})`] : []),
  ];
}

const CALL_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(HYPERCALL).map(([name, n]) => [n, name]));

/** Most calls that are named; the others are counted. */
const MOST_NAMED = 4;

function callRefusals({ events }: ArmVictimRun): string[] {
  const counts = new Map<string, number>();
  for (const event of events) {
    if (event.type !== 'call-return' || event.kind !== 'ultracall') continue;
    const result = BigInt.asIntN(64, event.result);
    if (result >= 0n) continue;
    const text = `${CALL_NAMES.get(event.number) ?? `call ${event.number}`}: ${errnoName(result)}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const texts = [...counts].map(([text, count]) => (count > 1 ? `${text} (${times(count)})` : text));
  if (texts.length <= MOST_NAMED) return texts;
  const all = [...counts.values()].reduce((a, b) => a + b, 0);
  return [`${all} hypercalls refused in ${texts.length} ways`];
}

const errnoName = (result: bigint): string =>
  Object.entries(ERRNO)
    .find(([, value]) => BigInt(value) === result)?.[0]
    .replace(/^/, '−') ?? `${result}`;

/** Answers that the exit at hand has no room for: to an access that is none to a device. */
function ignoredAnswers({ events }: ArmVictimRun): string[] {
  const ignored = events.filter(
    (event) => event.type === 'note' && /^an answer of the host's .* is ignored$/.test(event.text),
  );
  return ignored.length > 0 ? [`MMIO guard: answer ignored (${times(ignored.length)})`] : [];
}

/** Pages that were the guest's alone when they went back. */
function clearedPages({ events, outcome }: ArmVictimRun): string[] {
  const poisoned = events.filter((event) => event.type === 'page-state' && event.to === 'POISON').length;
  if (poisoned > 0) return [`cleared and poisoned first (${times(poisoned)})`];
  const dying = events.findIndex((event) => event.type === 'vm-state' && event.to === 'DYING');
  const back = events.slice(dying).filter((event) => event.type === 'page-state' && event.from === 'OWNED').length;
  return dying >= 0 && back > 0 && outcome.kind !== 'poweroff' ? [`cleared before they go back (${back} pages)`] : [];
}

const times = (count: number): string => `${count} time${count === 1 ? '' : 's'}`;
