import { PSCI, PSCI_RESULT, PSCI_STATE } from '../abi.ts';

/** What PSCI can do to a machine's PEs, by their position. */
export interface PsciPower {
  /** Position of the PE with this affinity (MPIDR_EL1 without bits 31, 30 and 24); undefined if there is none. */
  find(affinity: bigint): number | undefined;
  isOn(cpu: number): boolean;
  /** Starts a PE that is off at the level of the caller: MMU off, everything masked, X0 = `context`. */
  on(cpu: number, entry: bigint, context: bigint): void;
  off(cpu: number): void;
  /** The PE waits for an interrupt, with its state kept. */
  suspend(cpu: number): void;
  systemOff(): void;
  systemReset(): void;
}

/** PSCI 1.1 as QEMU's `virt` tells. */
const VERSION = 0x1_0001n;
/** MIGRATE_INFO_TYPE: no trusted OS, or one that needs no migration. */
const NO_MIGRATION = 2n;
/** Function ids with this bit take 64-bit arguments. */
const IS_64 = 0x4000_0000;
const AFFINITY = 0xff_00ff_ffffn;
/** Power state: bits that must be zero in the original format (DEN0022, 5.4.2). */
const POWER_STATE_RESERVED = 0xfcfe_0000n;

/** A call: the PE that makes it, and X1 to X3. */
interface Call {
  readonly cpu: number;
  readonly x1: bigint;
  readonly x2: bigint;
  readonly x3: bigint;
}

type Handler = (power: PsciPower, call: Call) => bigint;

function cpuOn(power: PsciPower, { x1, x2, x3 }: Call): bigint {
  const target = power.find(x1 & AFFINITY);
  if (target === undefined || (x2 & 3n) !== 0n) return PSCI_RESULT.INVALID_PARAMETERS;
  if (power.isOn(target)) return PSCI_RESULT.ALREADY_ON;
  power.on(target, x2, x3);
  return PSCI_RESULT.SUCCESS;
}

function affinityInfo(power: PsciPower, { x1, x2 }: Call): bigint {
  // Above level 0 something is always on.
  if (x2 !== 0n) return PSCI_STATE.on;
  const target = power.find(x1 & AFFINITY);
  if (target === undefined) return PSCI_RESULT.INVALID_PARAMETERS;
  return power.isOn(target) ? PSCI_STATE.on : PSCI_STATE.off;
}

/** There are no power-down states: a PE that is suspended waits for an interrupt. */
function cpuSuspend(power: PsciPower, { cpu, x1 }: Call): bigint {
  if ((x1 & POWER_STATE_RESERVED) !== 0n) return PSCI_RESULT.INVALID_PARAMETERS;
  power.suspend(cpu);
  return PSCI_RESULT.SUCCESS;
}

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [PSCI.VERSION, () => VERSION],
  [PSCI.CPU_SUSPEND_32, cpuSuspend],
  [PSCI.CPU_SUSPEND_64, cpuSuspend],
  [
    PSCI.CPU_OFF,
    (power, { cpu }) => {
      power.off(cpu);
      return PSCI_RESULT.SUCCESS;
    },
  ],
  [PSCI.CPU_ON_32, cpuOn],
  [PSCI.CPU_ON_64, cpuOn],
  [PSCI.AFFINITY_INFO_32, affinityInfo],
  [PSCI.AFFINITY_INFO_64, affinityInfo],
  [PSCI.MIGRATE_INFO_TYPE, () => NO_MIGRATION],
  [
    PSCI.SYSTEM_OFF,
    (power) => {
      power.systemOff();
      return PSCI_RESULT.SUCCESS;
    },
  ],
  [
    PSCI.SYSTEM_RESET,
    (power) => {
      power.systemReset();
      return PSCI_RESULT.SUCCESS;
    },
  ],
  [
    PSCI.FEATURES,
    (_, { x1 }) => {
      const asked = Number(x1 & 0xffffffffn);
      return HANDLERS.has(asked) ? PSCI_RESULT.SUCCESS : PSCI_RESULT.NOT_SUPPORTED;
    },
  ],
]);

/**
 * Serves a PSCI call (Arm DEN0022).
 * @param id W0
 * @returns what X0 becomes, as an unsigned number. A PE that was turned off, or a machine that ended, does not see it
 */
export function callPsci(power: PsciPower, id: number, call: Call): bigint {
  const handler = HANDLERS.get(id);
  if (handler === undefined) return BigInt.asUintN(64, PSCI_RESULT.NOT_SUPPORTED);
  const cut = (value: bigint): bigint => ((id & IS_64) !== 0 ? value : value & 0xffffffffn);
  const result = handler(power, { cpu: call.cpu, x1: cut(call.x1), x2: cut(call.x2), x3: cut(call.x3) });
  return BigInt.asUintN(64, result);
}
