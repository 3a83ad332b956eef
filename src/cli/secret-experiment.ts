import type { CryptoProvider } from '../crypto/provider.ts';
import type { RsaPrivateKey } from '../crypto/rsa.ts';
import { ConsoleBuffer } from '../devices/console.ts';
import type { ImageFile } from '../image/image-file.ts';
import { compareViews, type Observation, type Sighting, type ViewDifference } from '../machine/hypervisor-view.ts';
import { RandomSource } from '../machine/random.ts';
import type { MachineOutcome } from '../machine/run-report.ts';
import type { RealAddress } from '../machine/types.ts';
import { type Gfn, ULTRACALL } from '../powerpc/abi.ts';
import { PowerMachine, type PowerMachineOptions, RANDOM_STREAM } from '../powerpc/machine.ts';
import { MemoryTrace } from '../trace/memory.ts';

/** How the secret guest is run. */
export interface ExperimentOptions {
  readonly crypto: CryptoProvider;
  readonly guest: ImageFile;
  /** Run it below this machine-code hypervisor; null: below the native one. */
  readonly hypervisor: ImageFile | null;
  readonly protected: boolean;
  readonly seed: string;
  /** Another seed for the guest's secret alone. */
  readonly secretSeed?: string;
  readonly interpret?: boolean;
  /** The key of the machine, and the guest's blob for it; else the development key and a blob made on the way. */
  readonly tenant?: { readonly machineKey: RsaPrivateKey; readonly blob: ImageFile; readonly initrd: ImageFile };
}

/** What came of a run. */
export interface Experiment {
  readonly console: string;
  readonly outcome: MachineOutcome;
  readonly instructions: number;
  /** The guest's secret: 4 doublewords from H_RANDOM, as the experimenter knows them from the seed. */
  readonly secret: readonly Uint8Array[];
  readonly sightings: readonly Sighting[];
  readonly observations: readonly Observation[];
  /** Real addresses of the pages that the Ultravisor encrypted a page of the guest to. */
  readonly ciphertext: ReadonlySet<RealAddress>;
  readonly vmState: string;
  /** UV calls that reached the Ultravisor, in order. */
  readonly ultracalls: readonly string[];
  /** How often each call was made. */
  readonly calls: Readonly<Record<string, number>>;
  /** Why the guest did not become secure; null if it did, or did not ask. */
  readonly esmFailure: string | null;
}

const GUEST_MEMORY = 8 << 20;
const HOST_MEMORY = 20 << 20;
const SECURE_MEMORY = 32 << 20;
const LIMIT = 100_000_000;

/** The page that the secret guest keeps its secret in, from its load address up. */
const SECRET_FRAME = 0x41 as Gfn;
/** After this line the native hypervisor pages the secret's page out, as under memory pressure. */
const PAGE_OUT_AFTER = 'mixed 16 of 64 rounds';
const SECRET_WORDS = 4;

/** Runs the secret guest once, and watches what its hypervisor can learn: all its memory and registers whenever it gets control. */
export function runExperiment(options: ExperimentOptions): Experiment {
  const { crypto, guest, hypervisor, seed, secretSeed, tenant } = options;
  const overrides = new Map(secretSeed === undefined ? [] : [[RANDOM_STREAM.secureGuest, secretSeed]]);
  const secret = secretOf(crypto, seed, overrides, options);
  const trace = new MemoryTrace();
  const console = new ConsoleBuffer();
  let machine: PowerMachine | null = null;
  let pagedOut = false;
  const listening = {
    output(bytes: Uint8Array): void {
      console.output(bytes);
      if (pagedOut || !new TextDecoder().decode(console.written()).includes(PAGE_OUT_AFTER)) return;
      pagedOut = true;
      const vm = machine?.guests[0]?.vm;
      if (vm !== undefined) machine?.kvm?.schedulePageOut(vm, SECRET_FRAME);
    },
    input: () => new Uint8Array(0),
  };
  const software: PowerMachineOptions['software'] =
    hypervisor === null
      ? {
          role: 'guest',
          guests: [
            {
              name: 'secret',
              image: guest,
              initrd: tenant?.initrd ?? null,
              cmdline: '',
              memory: GUEST_MEMORY,
              cpus: 1,
              entry: 'fdt',
              console: listening,
            },
          ],
        }
      : {
          role: 'host',
          image: hypervisor,
          initrd: guest,
          ...(tenant && { esmBlob: tenant.blob }),
          cmdline: '',
          memory: HOST_MEMORY,
          cpus: 1,
          console: listening,
        };
  machine = new PowerMachine({
    protected: options.protected,
    secureMemory: SECURE_MEMORY,
    software,
    interpret: options.interpret ?? false,
    seed,
    seedOverrides: overrides,
    crypto,
    trace,
    ...(tenant && options.protected && { uvKey: tenant.machineKey }),
    watch: { secrets: secret.flatMap((word) => [word, word.toReversed()]), digests: true },
  });
  const outcome = machine.run(LIMIT);
  const calls = trace.ofType('call').filter(({ kind }) => kind === 'ultracall');
  const pageOuts = calls.filter((call) => call.number === ULTRACALL.UV_PAGE_OUT);
  const { calls: counts, esmFailures, vmStates } = machine.statistics();
  return {
    console: new TextDecoder().decode(console.written()),
    outcome,
    instructions: machine.clock.now,
    secret,
    sightings: machine.view?.sightings ?? [],
    observations: machine.view?.observations ?? [],
    ciphertext: new Set(pageOuts.map(({ args }) => Number(args[1]) as RealAddress)),
    vmState: Object.values(vmStates)[0] ?? 'normal',
    ultracalls: calls.map(({ name }) => name),
    calls: counts,
    esmFailure: esmFailures[0]?.reason ?? null,
  };
}

/** What the hypervisor saw differently in two runs; the pages that hold ciphertext are left out. */
export function differences(a: Experiment, b: Experiment): ViewDifference[] {
  return compareViews(a.observations, b.observations, new Set([...a.ciphertext, ...b.ciphertext]));
}

/** The numbers that H_RANDOM will give the guest: the experimenter knows the seed. A machine-code hypervisor answers from `darn`. */
function secretOf(
  crypto: CryptoProvider,
  seed: string,
  overrides: ReadonlyMap<string, string>,
  { protected: isProtected, hypervisor }: ExperimentOptions,
): Uint8Array[] {
  const normal = hypervisor === null ? RANDOM_STREAM.normalGuest : `${RANDOM_STREAM.darn} 0`;
  const stream = new RandomSource(crypto, seed, overrides).stream(isProtected ? RANDOM_STREAM.secureGuest : normal);
  return Array.from({ length: SECRET_WORDS }, () => stream(8));
}
