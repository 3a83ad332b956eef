import type { Attack } from '../arm64/kvm/hostile/attack.ts';
import type { Attempts, Means } from '../arm64/kvm/hostile/toolbox.ts';
import { PKVM_RANDOM_STREAM, PkvmMachine } from '../arm64/pkvm-machine.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import { ConsoleBuffer } from '../devices/console.ts';
import { readElf } from '../image/elf.ts';
import { readElfSymbols } from '../image/elf-symbols.ts';
import type { ImageFile } from '../image/image-file.ts';
import { RandomSource } from '../machine/random.ts';
import type { TraceEvent } from '../trace/events.ts';
import { MemoryTrace } from '../trace/memory.ts';
import type { Evidence } from './attack-judge.ts';

/** How the victim is run. */
export interface ArmVictimOptions {
  readonly crypto: CryptoProvider;
  readonly victim: ImageFile;
  readonly protected: boolean;
  readonly seed: string;
  /** What its host does; null: an honest one. */
  readonly attack: Attack | null;
  /** Another seed for the numbers that its secret is made of, and for nothing else. */
  readonly secretSeed?: string;
  /** Search and digest all that the host could see. */
  readonly watch?: boolean;
}

/** What came of a run of the victim. */
export interface ArmVictimRun extends Evidence {
  readonly attempts: ReadonlyMap<Means, Attempts>;
  readonly events: readonly TraceEvent[];
  readonly machine: PkvmMachine;
}

const GUEST_MEMORY = 8 << 20;
const RAM_BASE = 0x4000_0000;
const PAGE = 4096;
/** Of each guest; below an honest host it executes some 400,000. */
const LIMIT = 4_000_000;
/** Numbers that the victim asks firmware for. */
const SECRET_WORDS = 4;

/** The frames of the victim's two pages, counted from the beginning of guest memory: its source calls them `pages`. */
export function victimTargets(victim: ImageFile): readonly [number, number] {
  const symbol = readElfSymbols(readElf(victim.bytes, victim.file)).get('pages');
  if (symbol === undefined) throw new Error(`${victim.file} has no symbol "pages"`);
  const first = (Number(symbol.value) - RAM_BASE) / PAGE;
  return [first, first + 1];
}

/** Runs the victim once. An attack's accomplice is the same program in another VM: what it keeps is as much of a secret. */
export function runArmVictim(options: ArmVictimOptions): ArmVictimRun {
  const { crypto, victim, protected: isProtected, seed, attack, secretSeed } = options;
  const seedOverrides = new Map(secretSeed === undefined ? [] : [[PKVM_RANDOM_STREAM.trng, secretSeed]]);
  const trace = new MemoryTrace();
  const names = attack?.accomplice === true ? ['victim', 'accomplice'] : ['victim'];
  const guests = names.map((name) => ({
    name,
    image: victim,
    initrd: null,
    cmdline: '',
    memory: GUEST_MEMORY,
    cpus: 1,
    console: new ConsoleBuffer(),
  }));
  const stream = new RandomSource(crypto, seed, seedOverrides).stream(PKVM_RANDOM_STREAM.trng);
  const secret = Array.from({ length: SECRET_WORDS * guests.length }, () => stream(8));
  const machine = new PkvmMachine({
    guests,
    protected: isProtected,
    profile: 'I',
    interpret: false,
    seed,
    seedOverrides,
    crypto,
    trace,
    ...(attack && { attack, attackTargets: victimTargets(victim) }),
    ...(options.watch === true && {
      watch: { secrets: secret.flatMap((word) => [word, word.toReversed()]), digests: true },
    }),
  });
  const outcome = machine.run(LIMIT * guests.length);
  const [first] = machine.kvm.vms;
  return {
    protected: isProtected,
    console: new TextDecoder().decode(guests[0]?.console.written()),
    outcome: first?.end ?? outcome,
    vmState: machine.vmStates().victim ?? 'normal',
    secret,
    loot: machine.hostile?.toolbox.loot ?? [],
    attempts: machine.hostile?.toolbox.attempts ?? new Map(),
    sighted: new Set(machine.view?.sightings.map(({ secret: needle }) => needle >> 1)),
    events: trace.events,
    machine,
  };
}
