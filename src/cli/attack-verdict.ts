import { hcallName, SECURE_ADDRESS_BIT, U_CODE, ULTRACALL, ultracallName } from '../powerpc/abi.ts';
import type { VictimRun } from './attack-experiment.ts';
import { judgeEvidence, type Verdict } from './attack-judge.ts';

/** @param honest the victim in the same kind of VM below an honest hypervisor */
export const judge = (run: VictimRun, honest: VictimRun): Verdict => judgeEvidence(run, honest, () => barriers(run));

/** Calls that a guest makes, and the one that a killed SVM has for its answer. */
const NOT_OF_AN_ATTACK: ReadonlySet<number> = new Set([
  ULTRACALL.UV_RETURN,
  ULTRACALL.UV_ESM,
  ULTRACALL.UV_SHARE_PAGE,
  ULTRACALL.UV_UNSHARE_PAGE,
  ULTRACALL.UV_UNSHARE_ALL_PAGES,
]);

/** Cookies are no vectors (power-pef.md 6.2.1). */
const LOWEST_COOKIE = 0x2000;

function barriers(run: VictimRun): string[] {
  const found = [
    ...deaths(run),
    ...memoryRefusals(run),
    ...registerRefusals(run),
    ...callRefusals(run),
    ...ignoredAnswers(run),
    ...unmappedPages(run),
    ...neutralRegisters(run),
    ...restoredRegisters(run),
    ...servedInside(run),
    ...bouncedAnswers(run),
  ];
  if (run.attempts.has('load') && pagedOut(run)) found.push('ciphertext');
  if (found.length > 0) return found;
  const looks = run.machine.view?.observations.length ?? 0;
  return looks > 0 ? [`not in any register or page at ${looks} looks`] : [];
}

/** What the hypervisor read of the registers, look by look: a neutral one says the same each time. */
function neutralRegisters({ machine }: VictimRun): string[] {
  const looks = machine.hostile?.toolbox.looks ?? [];
  const [first] = looks;
  if (first === undefined || looks.length < 2) return [];
  const constant = first.filter((value, n) => looks.every((look) => look[n] === value)).length;
  return constant === 0
    ? []
    : [`neutral at ${looks.length} exits: ${constant} of ${first.length} registers never changed`];
}

/** What the victim found in the registers that the attack had changed. */
function restoredRegisters({ witness }: VictimRun): string[] {
  const { entries, changed, arrived } = witness.registers;
  const restored = changed.size - arrived.size;
  if (restored === 0) return [];
  const left = arrived.size === 0 ? '' : `, but not ${[...arrived].join(', ')}`;
  return [`${restored} of ${changed.size} registers put back before the SVM went on (${often(entries)})${left}`];
}

/** Hypercalls that the attack waits for and that the hypervisor does not get: from call to return it had no CPU. */
function servedInside({ machine, events }: VictimRun): string[] {
  const awaited = machine.hostile?.toolbox.awaited ?? [];
  return awaited.flatMap((number) => {
    let inside = 0;
    let isOpen = false;
    for (const event of events) {
      if (event.type === 'call' && event.kind === 'hypercall' && event.number === number) isOpen = true;
      else if (event.type === 'level-enter' && event.level === 'hypervisor') isOpen = false;
      else if (event.type === 'call-return' && event.number === number && isOpen) {
        inside += 1;
        isOpen = false;
      }
    }
    return inside === 0 ? [] : [`${hcallName(number)} answered without the hypervisor (${often(inside)})`];
  });
}

/** Whose page it was that the attack put its answer into. */
function bouncedAnswers({ witness }: VictimRun): string[] {
  const bounced = witness.answers.filter(({ state }) => state === 'SHARED_IMPLICIT');
  if (bounced.length === 0) return [];
  const frames = [...new Set(bounced.map(({ gfn }) => `0x${gfn.toString(16)}`))].join(', ');
  return [`answer in a bounce buffer of the Ultravisor's, frame ${frames} (${often(bounced.length)})`];
}

const often = (count: number): string => (count === 1 ? 'once' : `${count} times`);

function deaths({ events }: VictimRun): string[] {
  const texts = events.filter((event) => event.type === 'note').map(({ text }) => text);
  return texts.flatMap((text) => {
    const [, killed] = /^the SVM in LPID \d+ is killed: (.*)$/.exec(text) ?? [];
    const [, aborted] = /^UV_ESM of LPID \d+ is aborted: (.*)$/.exec(text) ?? [];
    return [killed && `SVM killed: ${killed}`, aborted && `UV_ESM aborted: ${aborted}`].filter((t) => t !== undefined);
  });
}

/** HSRR0 at UV_RETURN that was neither the cookie nor an interrupt that the SVM could take. */
function ignoredAnswers({ events }: VictimRun): string[] {
  const counts = new Map<string, number>();
  for (const event of events) {
    const [, at] =
      (event.type === 'note' && /^UV_RETURN to LPID \d+ at 0x([0-9a-f]+) is ignored$/.exec(event.text)) || [];
    if (at === undefined) continue;
    const what = Number.parseInt(at, 16) < LOWEST_COOKIE ? `interrupt 0x${at}` : 'another address';
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => `UV_RETURN with ${what}: ignored (${often(count)})`);
}

/** The page that the attack wanted to be used on had lost its mapping. */
function unmappedPages({ events, attempts }: VictimRun): string[] {
  if (!attempts.has('keeping a translation')) return [];
  const out = events.filter((event) => event.type === 'page-state' && event.to === 'PAGEDOUT').length;
  return out > 0 ? [`UV_PAGE_OUT: unmapped and forgotten first (${often(out)})`] : [];
}

function memoryRefusals({ events }: VictimRun): string[] {
  const refused = events.filter((event) => event.type === 'refused-access');
  const secure = refused.filter(({ address }) => address >= BigInt(SECURE_ADDRESS_BIT));
  const byDevice = secure.filter(({ agent }) => agent === 'device').length;
  const byCpu = secure.length - byDevice;
  return [
    ...(byCpu > 0 ? [`machine check: secure memory (${often(byCpu)})`] : []),
    ...(byDevice > 0 ? [`device error: secure memory (${often(byDevice)})`] : []),
  ];
}

function registerRefusals({ attempts }: VictimRun): string[] {
  const refused = (['mfspr', 'mtspr'] as const).filter((means) => (attempts.get(means)?.refused ?? 0) > 0);
  return refused.map((means) => `HEAI at ${means} (${often(attempts.get(means)?.refused ?? 0)})`);
}

function callRefusals({ events }: VictimRun): string[] {
  const counts = new Map<string, number>();
  for (const event of events) {
    if (event.type !== 'call-return' || event.kind !== 'ultracall' || event.result === 0n) continue;
    if (NOT_OF_AN_ATTACK.has(event.number)) continue;
    const text = `${ultracallName(event.number)}: ${codeName(event.result)}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => (count > 1 ? `${text} (${often(count)})` : text));
}

function codeName(result: bigint): string {
  const code = BigInt.asIntN(64, result);
  return Object.entries(U_CODE).find(([, value]) => BigInt(value) === code)?.[0] ?? `${code}`;
}

function pagedOut({ events }: VictimRun): boolean {
  return events.some((event) => event.type === 'page-state' && event.to === 'PAGEDOUT');
}
