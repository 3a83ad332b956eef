import type { CryptoProvider } from '../crypto/provider.ts';
import { ConsoleBuffer } from '../devices/console.ts';
import type { ImageFile } from '../image/image-file.ts';
import { RandomSource } from '../machine/random.ts';
import type { Gfn } from '../powerpc/abi.ts';
import type { Attack } from '../powerpc/kvm/hostile/attack.ts';
import type { Attempts, Means } from '../powerpc/kvm/hostile/toolbox.ts';
import { type GuestOptions, PowerMachine, type PowerMachineOptions, RANDOM_STREAM } from '../powerpc/machine.ts';
import type { TraceEvent } from '../trace/events.ts';
import type { Evidence } from './attack-judge.ts';
import { AttackWitness } from './attack-witness.ts';

/** How the victim is run. */
export interface VictimOptions {
  readonly crypto: CryptoProvider;
  readonly victim: ImageFile;
  readonly protected: boolean;
  readonly seed: string;
  /** What its hypervisor does; null: an honest one. */
  readonly attack: Attack | null;
  /** Another seed for the numbers that its secret is made of, and for nothing else. */
  readonly secretSeed?: string;
  readonly interpret?: boolean;
  /** Bytes; with less than the guest has, its pages go out and come back all the time. Default: more than enough. */
  readonly secureMemory?: number;
  /** Search and digest all that the hypervisor could see. */
  readonly watch?: boolean;
}

/** What came of a run of the victim. */
export interface VictimRun extends Evidence {
  readonly attempts: ReadonlyMap<Means, Attempts>;
  readonly witness: AttackWitness;
  readonly events: readonly TraceEvent[];
  readonly machine: PowerMachine;
}

/** The frames of the victim's two pages: its image lies at 0x400000, and they at 0x20000 in it. */
export const VICTIM_TARGETS: readonly [Gfn, Gfn] = [0x42 as Gfn, 0x43 as Gfn];

const GUEST_MEMORY = 8 << 20;
const SECURE_MEMORY = 20 << 20;
/** Of each guest; below an honest hypervisor it executes some three millions. */
const LIMIT = 8_000_000;
/** The numbers that the victim takes from the CPU; one more comes from H_RANDOM. */
const DARN_WORDS = 3;

/** Runs the victim once. An attack's accomplice is the same program in another VM. */
export function runVictim(options: VictimOptions): VictimRun {
  const { crypto, attack, seed, secretSeed } = options;
  const streams = secretStreams(options.protected);
  const seedOverrides = new Map(secretSeed === undefined ? [] : streams.map((stream) => [stream, secretSeed]));
  const witness = new AttackWitness();
  const console = new ConsoleBuffer();
  const guests = [guest('victim', options, console)];
  if (attack?.accomplice === true) guests.push(guest('accomplice', options, new ConsoleBuffer()));
  const secret = secretOf(crypto, seed, seedOverrides, streams);
  const machineOptions: PowerMachineOptions = {
    protected: options.protected,
    secureMemory: options.secureMemory ?? SECURE_MEMORY * guests.length,
    software: { role: 'guest', guests },
    interpret: options.interpret ?? false,
    seed,
    seedOverrides,
    crypto,
    trace: witness,
    ...(attack && { attack, attackTargets: VICTIM_TARGETS }),
    ...(options.watch === true && {
      watch: { secrets: secret.flatMap((word) => [word, word.toReversed()]), digests: true },
    }),
  };
  const machine = new PowerMachine(machineOptions);
  witness.machine = machine;
  const outcome = machine.run(LIMIT * guests.length);
  const [victim] = machine.guests;
  return {
    protected: options.protected,
    console: new TextDecoder().decode(console.written()),
    outcome: victim?.vm.end ?? outcome,
    vmState: machine.statistics().vmStates.victim ?? 'normal',
    secret,
    loot: machine.hostile?.toolbox.loot ?? [],
    attempts: machine.hostile?.toolbox.attempts ?? new Map(),
    sighted: new Set(machine.view?.sightings.map(({ secret: needle }) => needle >> 1)),
    witness,
    events: witness.trace.events,
    machine,
  };
}

function guest(name: string, { victim }: VictimOptions, console: ConsoleBuffer): GuestOptions {
  return {
    name,
    image: victim,
    initrd: null,
    cmdline: '',
    memory: GUEST_MEMORY,
    cpus: 1,
    entry: 'fdt',
    console,
  };
}

/** The random streams that the victim's secret comes from: its CPU's, and that of H_RANDOM. */
function secretStreams(isProtected: boolean): [string, string] {
  return [`${RANDOM_STREAM.darn} 0`, isProtected ? RANDOM_STREAM.secureGuest : RANDOM_STREAM.normalGuest];
}

function secretOf(
  crypto: CryptoProvider,
  seed: string,
  overrides: ReadonlyMap<string, string>,
  [darn, hRandom]: [string, string],
): Uint8Array[] {
  const source = new RandomSource(crypto, seed, overrides);
  const ofCpu = source.stream(darn);
  return [...Array.from({ length: DARN_WORDS }, () => ofCpu(8)), source.stream(hRandom)(8)];
}
