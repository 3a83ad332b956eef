import { LPCR, MSR } from '../abi.ts';
import type { Core } from './core.ts';
import type { Interrupt } from './interrupts.ts';

/** HSRR1 of a mediated external interrupt: IBM bit 42 (ISA 3.0B, Book III 6.5.7.2). */
const MEDIATED = 0x200000n;

/** Which exceptions end a `stop` with PSSCR[EC]=1: LPCR[PECE] bits (ISA 3.0B, Book III 2.2). */
const PECE = {
  PRIVILEGED_DOORBELL: 0x10000n,
  HYPERVISOR_DOORBELL: 0x8000n,
  EXTERNAL: 0x4000n,
  DECREMENTER: 0x2000n,
  OTHER: 0x1000n,
  VIRTUALIZATION: 0x0000400000000000n,
} as const;

/** SRR1[42:45] at the system reset that such a `stop` ends with (ISA 3.0B, Book III 6.5.1). */
const WAKE_REASON = {
  HYPERVISOR_DOORBELL: 0xc0000n,
  SYSTEM_RESET: 0x100000n,
  PRIVILEGED_DOORBELL: 0x140000n,
  DECREMENTER: 0x180000n,
  EXTERNAL: 0x200000n,
  VIRTUALIZATION: 0x240000n,
} as const;

/** An asynchronous interrupt. */
interface Source {
  readonly interrupt: (core: Core) => Interrupt;
  /** The exception exists, and the register that enables it as a whole does not hold it back. */
  readonly requested: (core: Core, lines: ExceptionLines) => boolean;
  /** MSR lets it through now. */
  readonly unmasked: (core: Core) => boolean;
  readonly status?: bigint;
  /** Clears what taking the interrupt clears. */
  readonly taken?: (core: Core, lines: ExceptionLines) => void;
  readonly pece: bigint;
  readonly wakeReason: bigint;
}

/** Inputs of a CPU that request interrupts. Levels stay until their owner takes them back; the others are cleared when taken. */
export interface ExceptionLines {
  /** Level: the interrupt controller's output. */
  external: boolean;
  /** Level: host external interrupts of the XIVE controller. */
  virtualization: boolean;
  systemReset: boolean;
  hypervisorDoorbell: boolean;
}

const enabled = (core: Core): boolean => (core.msr & MSR.EE) !== 0n;
/** HV=1, PR=0: only there can MSR[EE] mask what belongs to the hypervisor. */
const privilegedHost = (core: Core): boolean => core.level.hypervisor && core.level.privilege !== 'problem';
const hypervisorUnmasked = (core: Core): boolean => enabled(core) || !privilegedHost(core);
const lpcr = (core: Core, bit: bigint): boolean => (core.raw('LPCR') & bit) !== 0n;
const heldByHeic = (core: Core): boolean => privilegedHost(core) && lpcr(core, LPCR.HEIC);

/** In order of priority (ISA 3.0B, Book III 6.9, as QEMU for POWER9 has it). */
const SOURCES: readonly Source[] = [
  {
    interrupt: () => 'systemReset',
    requested: (_, lines) => lines.systemReset,
    unmasked: () => true,
    taken: (_, lines) => {
      lines.systemReset = false;
    },
    pece: ~0n,
    wakeReason: WAKE_REASON.SYSTEM_RESET,
  },
  {
    interrupt: () => 'hypervisorDecrementer',
    requested: (core) => core.timers.hypervisorDecrementerPending && lpcr(core, LPCR.HDICE),
    unmasked: hypervisorUnmasked,
    taken: (core) => core.timers.takeHypervisorDecrementer(),
    pece: PECE.DECREMENTER,
    wakeReason: WAKE_REASON.DECREMENTER,
  },
  {
    interrupt: () => 'hypervisorVirtualization',
    requested: (core, lines) => lines.virtualization && lpcr(core, LPCR.HVICE),
    unmasked: hypervisorUnmasked,
    pece: PECE.VIRTUALIZATION,
    wakeReason: WAKE_REASON.VIRTUALIZATION,
  },
  {
    interrupt: (core) => (lpcr(core, LPCR.LPES) ? 'externalToOs' : 'externalToHypervisor'),
    requested: (_, lines) => lines.external,
    unmasked: (core) => (lpcr(core, LPCR.LPES) ? enabled(core) : hypervisorUnmasked(core)) && !heldByHeic(core),
    pece: PECE.EXTERNAL,
    wakeReason: WAKE_REASON.EXTERNAL,
  },
  {
    interrupt: () => 'externalToHypervisor',
    requested: (core) => lpcr(core, LPCR.MER),
    unmasked: (core) => enabled(core) && !privilegedHost(core),
    status: MEDIATED,
    pece: 0n,
    wakeReason: WAKE_REASON.EXTERNAL,
  },
  {
    interrupt: () => 'decrementer',
    requested: (core) => core.timers.decrementerPending,
    unmasked: enabled,
    pece: PECE.DECREMENTER,
    wakeReason: WAKE_REASON.DECREMENTER,
  },
  {
    interrupt: () => 'privilegedDoorbell',
    requested: (core) => (core.raw('DPDES') & 1n) !== 0n,
    unmasked: enabled,
    taken: (core) => core.setRaw('DPDES', core.raw('DPDES') & ~1n),
    pece: PECE.PRIVILEGED_DOORBELL,
    wakeReason: WAKE_REASON.PRIVILEGED_DOORBELL,
  },
  {
    interrupt: () => 'hypervisorDoorbell',
    requested: (_, lines) => lines.hypervisorDoorbell,
    unmasked: hypervisorUnmasked,
    taken: (_, lines) => {
      lines.hypervisorDoorbell = false;
    },
    pece: PECE.HYPERVISOR_DOORBELL,
    wakeReason: WAKE_REASON.HYPERVISOR_DOORBELL,
  },
];

/**
 * Takes the interrupt of highest priority that is requested and not masked. The context's pc is where execution would go on.
 * @returns whether one was taken
 */
export function takeException(core: Core, lines: ExceptionLines): boolean {
  for (const source of SOURCES) {
    if (!source.requested(core, lines) || !source.unmasked(core)) continue;
    const interrupt = source.interrupt(core);
    source.taken?.(core, lines);
    core.interrupt(interrupt, source.status);
    return true;
  }
  return false;
}

/** Whether an interrupt would be taken now. */
export function exceptionDue(core: Core, lines: ExceptionLines): boolean {
  return SOURCES.some((s) => s.requested(core, lines) && s.unmasked(core));
}

/**
 * What ends a `stop` or `wait` now.
 * @param byPece only exceptions that LPCR[PECE] lets through count (`stop` with PSSCR[EC]=1)
 * @returns the reason for SRR1, or undefined to go on waiting
 */
export function wakeReason(core: Core, lines: ExceptionLines, byPece: boolean): bigint | undefined {
  const lpcr = core.raw('LPCR');
  const source = SOURCES.find((s) => s.requested(core, lines) && (!byPece || s.pece === ~0n || (lpcr & s.pece) !== 0n));
  return source?.wakeReason;
}
