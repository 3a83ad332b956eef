import { HOST_CALL } from '../abi.ts';
import type { RegisterPort, Stub } from '../cpu/port.ts';

/** PSCI functions of the host's that go to firmware as they are (arm64-pkvm.md 4.9). */
const FORWARDED: ReadonlySet<bigint> = new Set([
  0x8400_0000n,
  0x8400_0002n,
  0x8400_0006n,
  0x8400_0008n,
  0x8400_0009n,
  0x8400_000an,
  0x8400_000fn,
  0xc400_0004n,
  0xc400_0005n,
  0xc400_0007n,
  0xc400_0012n,
  0x8400_0015n,
  0xc400_0015n,
]);
const CPU_ON = 0xc400_0003n;
const SUSPENDS: ReadonlySet<bigint> = new Set([0xc400_0001n, 0xc400_000en]);

const isPsci = (id: bigint): boolean => (id & 0xbfff_ffe0n) === 0x8400_0000n;
/** FF-A: there is no secure world here, and the version call says so (4.10). */
const isFfa = (id: bigint): boolean => {
  const low = id & 0xbfff_ffffn;
  return low >= 0x8400_0060n && low <= 0x8400_00ffn;
};

const NOT_SUPPORTED = HOST_CALL.notSupported;
const INVALID_PARAMETERS = BigInt.asUintN(64, -2n);
const ALREADY_ON = BigInt.asUintN(64, -4n);

/** Where the host said that a CPU goes on. */
interface BootArgs {
  readonly pc: bigint;
  readonly context: bigint;
}

/** What comes back from firmware, and for whom. */
interface Waiting {
  readonly psci: boolean;
  /** CPU whose boot arguments are dropped if firmware refuses. */
  readonly slot: number | null;
}

/**
 * The host's SMCs, which trap (HCR_EL2.TSC): PSCI is relayed so that every CPU comes up in the hyp first, FF-A is answered, all else goes to firmware
 * (4.8, 4.9). Firmware answers behind the `smc` stub.
 */
export class HostSmc {
  readonly #cpus: number;
  readonly #boot = new Map<number, BootArgs>();
  readonly #waiting = new Map<number, Waiting>();

  constructor(cpus: number) {
    this.#cpus = cpus;
  }

  /** The trapped SMC; ELR_EL2 names it. */
  call(port: RegisterPort): Stub {
    port.setRegister('ELR_EL2', port.register('ELR_EL2') + 4n);
    const id = port.x(0) & ~HOST_CALL.hint;
    const immediate = port.register('ESR_EL2') & 0xffffn;
    if (immediate !== 0n || id >> 32n !== 0n) return answer(port, NOT_SUPPORTED);
    if (isPsci(id)) return this.#psci(port, id);
    if (isFfa(id)) return answer(port, NOT_SUPPORTED);
    return this.#forward(port, { psci: false, slot: null });
  }

  /** Control is back behind the `smc` stub. */
  answered(port: RegisterPort): Stub {
    const waiting = this.#waiting.get(port.cpu);
    if (waiting === undefined) throw new Error('firmware answers what nobody asked');
    this.#waiting.delete(port.cpu);
    if (waiting.slot !== null && port.x(0) !== 0n) this.#boot.delete(waiting.slot);
    return waiting.psci ? answerPsci(port, port.x(0)) : 'eret';
  }

  /** What a CPU that firmware has started was started for; it is free for the next CPU_ON then. */
  takeBoot(cpu: number): BootArgs | null {
    const args = this.#boot.get(cpu) ?? null;
    this.#boot.delete(cpu);
    return args;
  }

  #psci(port: RegisterPort, id: bigint): Stub {
    if (FORWARDED.has(id)) return this.#forward(port, { psci: true, slot: null });
    if (SUSPENDS.has(id)) {
      // No state is lost in our firmware's suspend, so that it comes back behind the call; the entry stands ready all the same.
      const at = id === SUSPEND_SYSTEM ? 1 : 2;
      this.#boot.set(port.cpu, { pc: port.x(at), context: port.x(at + 1) });
      port.setX(at, port.stubPage);
      port.setX(at + 1, 0n);
      return this.#forward(port, { psci: true, slot: port.cpu });
    }
    if (id !== CPU_ON) return answerPsci(port, NOT_SUPPORTED);
    const cpu = this.#cpuOf(port.x(1));
    if (cpu === null) return answerPsci(port, INVALID_PARAMETERS);
    if (this.#boot.has(cpu)) return answerPsci(port, ALREADY_ON);
    this.#boot.set(cpu, { pc: port.x(2), context: port.x(3) });
    port.setX(2, port.stubPage);
    port.setX(3, 0n);
    return this.#forward(port, { psci: true, slot: cpu });
  }

  /** MPIDR to CPU: affinity level 0 is the position in the machine, and there are no others. */
  #cpuOf(mpidr: bigint): number | null {
    return mpidr < BigInt(this.#cpus) ? Number(mpidr) : null;
  }

  #forward(port: RegisterPort, waiting: Waiting): Stub {
    this.#waiting.set(port.cpu, waiting);
    return 'smc';
  }
}

const SUSPEND_SYSTEM = 0xc400_000en;

function answer(port: RegisterPort, value: bigint): Stub {
  port.setX(0, value);
  return 'eret';
}

function answerPsci(port: RegisterPort, value: bigint): Stub {
  for (let n = 1; n <= 3; n++) port.setX(n, 0n);
  return answer(port, value);
}
