import { EC, type ExceptionLevel, HCR, PSTATE, SCTLR } from '../abi.ts';
import { setStackPointer, stackPointer } from './banked.ts';
import type { Core } from './core.ts';
import { takeSynchronous, takeUndefined } from './exceptions.ts';
import { type Access, encodingOf, SYSTEM_REGISTERS, type SystemRegister } from './register-table.ts';
import { type GenericTimer, TIMERS } from './timers.ts';

/** Fields of an MRS, MSR or SYS instruction. */
export interface SystemAccess {
  /** As `encodingOf`. */
  readonly encoding: number;
  readonly op0: number;
  readonly op1: number;
  readonly crn: number;
  readonly crm: number;
  readonly op2: number;
  readonly rt: number;
  readonly read: boolean;
}

/** Takes an instruction word of the system class apart (Arm ARM, C4.1.86). */
export function systemAccess(word: number): SystemAccess {
  const [op0, op1, crn, crm, op2] = [19, 16, 12, 8, 5].map(
    (shift, i) => (word >>> shift) & ([3, 7, 15, 15, 7][i] as number),
  ) as [number, number, number, number, number];
  const read = (word & (1 << 21)) !== 0;
  return { encoding: encodingOf(op0, op1, crn, crm, op2), op0, op1, crn, crm, op2, rt: word & 31, read };
}

/** The access that an MRS or MSR of XZR makes to a register. */
export function accessOf({ encoding }: SystemRegister, read: boolean): SystemAccess {
  const [op0, op1, crn, crm, op2] = [14, 11, 7, 3, 0].map(
    (shift, i) => (encoding >>> shift) & ([3, 7, 15, 15, 7][i] as number),
  ) as [number, number, number, number, number];
  return { encoding, op0, op1, crn, crm, op2, rt: 31, read };
}

/** ISS of a trapped MSR, MRS or system instruction (Arm ARM, "ISS encoding for an exception from MSR, MRS, or System instruction"). */
export function systemSyndrome(a: SystemAccess): bigint {
  const iss =
    (a.op0 << 20) | (a.op2 << 17) | (a.op1 << 14) | (a.crn << 10) | (a.rt << 5) | (a.crm << 1) | (a.read ? 1 : 0);
  return BigInt(iss);
}

/** Traps the access at hand to a level. */
export function trapAccess(core: Core, access: SystemAccess, target: ExceptionLevel): void {
  takeSynchronous(core, target, { ec: EC.sys64, iss: systemSyndrome(access) });
}

/** What a register does beside holding a value. */
interface Behaviour {
  readonly read?: (core: Core, parts: RegisterParts) => bigint;
  readonly write?: (core: Core, parts: RegisterParts, value: bigint) => void;
  /** The level that an access from EL0 or EL1 is trapped to, for other reasons than the table's; 'undefined' to refuse it. */
  readonly guard?: (core: Core, read: boolean) => ExceptionLevel | 'undefined' | null;
}

/** What registers need of the rest of the CPU. */
export interface RegisterParts {
  readonly timer: GenericTimer;
  /** The virtual or physical interrupt lines as ISR_EL1 shows them. */
  interruptStatus(): bigint;
  /** MRS (no value) or MSR of a register of the GIC's, as the current level may. @returns null where that raised an exception */
  gicRegister(register: SystemRegister, value: bigint | null): bigint | null;
}

const bit = (core: Core, register: string, mask: bigint): boolean => (core.register(register) & mask) !== 0n;

/** CNTKCTL_EL1 and CNTHCTL_EL2 (arm64-pkvm.md 9.6). */
const KERNEL = { EL0PCTEN: 1n, EL0VCTEN: 2n, EL0VTEN: 0x100n, EL0PTEN: 0x200n } as const;
const HYP = { EL1PCTEN: 1n, EL1PCEN: 2n } as const;

/** Access to a counter or timer from EL0 needs a bit of CNTKCTL_EL1; a physical one from below EL2 one of CNTHCTL_EL2 too. */
function timerGuard(kernel: bigint, hyp: bigint): Behaviour['guard'] {
  return (core) => {
    const userTarget: ExceptionLevel = core.hcr(HCR.TGE) ? 2 : 1;
    if (core.level === 0 && !bit(core, 'CNTKCTL_EL1', kernel)) return userTarget;
    return core.level < 2 && hyp !== 0n && !bit(core, 'CNTHCTL_EL2', hyp) ? 2 : null;
  };
}

/** Whether SP_EL0 is an operand or the stack pointer in use. */
const stackGuard: Behaviour['guard'] = (core) => ((core.pstate & PSTATE.SP) === 0n ? 'undefined' : null);

const BEHAVIOUR: Readonly<Record<string, Behaviour>> = {
  SP_EL0: {
    guard: stackGuard,
    read: (core) => stackPointer(core.context, 0),
    write: (core, _, value) => setStackPointer(core.context, 0, value),
  },
  SP_EL1: {
    read: (core) => stackPointer(core.context, 1),
    write: (core, _, value) => setStackPointer(core.context, 1, value),
  },
  MIDR_EL1: { read: (core) => core.register(core.level === 1 ? 'VPIDR_EL2' : 'MIDR_EL1') },
  MPIDR_EL1: { read: (core) => core.register(core.level === 1 ? 'VMPIDR_EL2' : 'MPIDR_EL1') },
  CTR_EL0: {
    guard: (core) => (core.level === 0 && (core.sctlr(1) & SCTLR.UCT) === 0n ? 1 : null),
  },
  DCZID_EL0: {
    // DZP: DC ZVA is not permitted here.
    read: (core) => core.register('DCZID_EL0') | (zeroingPermitted(core) ? 0n : 0x10n),
  },
  ISR_EL1: { read: (_, parts) => parts.interruptStatus() },
  OSLAR_EL1: {
    write: (core, _, value) => {
      const lock = (value & 1n) === 0n ? 0n : 2n;
      core.setRegister('OSLSR_EL1', 8n | lock);
    },
  },
  CPACR_EL1: {
    guard: (core) => (core.level === 1 && bit(core, 'CPTR_EL2', 1n << 31n) ? 2 : null),
  },
  CNTPCT_EL0: {
    guard: timerGuard(KERNEL.EL0PCTEN, HYP.EL1PCTEN),
    read: (_, { timer }) => timer.physicalCount(),
  },
  CNTVCT_EL0: { guard: timerGuard(KERNEL.EL0VCTEN, 0n), read: (_, { timer }) => timer.virtualCount() },
  CNTFRQ_EL0: {
    guard: (core, read) =>
      read && core.level === 0 && !bit(core, 'CNTKCTL_EL1', KERNEL.EL0PCTEN | KERNEL.EL0VCTEN) ? 1 : null,
  },
  ...Object.fromEntries(
    TIMERS.flatMap((timer): [string, Behaviour][] => {
      const { name, suffix } = timer;
      const guard =
        name === 'CNTV'
          ? timerGuard(KERNEL.EL0VTEN, 0n)
          : name === 'CNTP'
            ? timerGuard(KERNEL.EL0PTEN, HYP.EL1PCEN)
            : undefined;
      const guarded = guard === undefined ? {} : { guard };
      return [
        [`${name}_CVAL_${suffix}`, guarded],
        [`${name}_CTL_${suffix}`, { ...guarded, read: (_, parts) => parts.timer.control(timer) }],
        [
          `${name}_TVAL_${suffix}`,
          {
            ...guarded,
            read: (_, parts) => parts.timer.value(timer),
            write: (_, parts, value) => parts.timer.setValue(timer, value),
          },
        ],
      ];
    }),
  ),
};

/** Whether DC ZVA works at the current level: SCTLR_EL1.DZE for EL0, HCR_EL2.TDZ for EL0 and EL1. */
export function zeroingPermitted(core: Core): boolean {
  if (core.level === 0 && (core.sctlr(1) & SCTLR.DZE) === 0n) return false;
  return core.level === 2 || !core.hcr(HCR.TDZ);
}

const permits = (needed: Access, level: ExceptionLevel): boolean => needed !== 'no' && level >= needed;

/** ID registers that the architecture reserves read as zero (Arm ARM, D12.3.1): op0 3, op1 0, CRn 0, CRm 1 to 7. */
const isReservedId = ({ op0, op1, crn, crm, read }: SystemAccess): boolean =>
  read && op0 === 3 && op1 === 0 && crn === 0 && crm >= 1;

/**
 * MRS or MSR of a register that lies in the table, with all its traps.
 * @param value what MSR writes
 * @returns what MRS reads, 0 for MSR; null where the access was trapped or is undefined: the exception was taken
 */
export function accessRegister(core: Core, parts: RegisterParts, access: SystemAccess, value: bigint): bigint | null {
  const register = SYSTEM_REGISTERS.get(access.encoding);
  const { level } = core;
  if (register === undefined) {
    if (!isReservedId(access) || level === 0) return refuse(core);
    if (level === 1 && core.hcr(HCR.TID3)) return trapTo(core, access, 2);
    return 0n;
  }
  const { read } = access;
  if (!permits(read ? register.read : register.write, level)) return refuse(core);
  const trap = read ? register.readTrap : register.writeTrap;
  const guarded = BEHAVIOUR[register.name]?.guard?.(core, read) ?? null;
  if (guarded === 'undefined') return refuse(core);
  if (guarded !== null && level < 2) return trapTo(core, access, guarded);
  if (level < 2 && trap !== 0n && core.hcr(trap)) return trapTo(core, access, 2);
  return read ? readRegister(core, parts, register) : writeRegister(core, parts, register, value);
}

/** A register as an MRS that is permitted reads it. */
export function readRegister(core: Core, parts: RegisterParts, register: SystemRegister): bigint {
  const behaviour = BEHAVIOUR[register.name];
  return behaviour?.read === undefined ? core.context.get64(register.slot) : behaviour.read(core, parts);
}

/** A register as an MSR that is permitted writes it. */
export function writeRegister(core: Core, parts: RegisterParts, register: SystemRegister, value: bigint): bigint {
  const behaviour = BEHAVIOUR[register.name];
  if (behaviour?.write !== undefined) behaviour.write(core, parts, value);
  else {
    const old = core.context.get64(register.slot);
    core.setRegister(register.name, (old & ~register.mask) | (value & register.mask));
  }
  return 0n;
}

function refuse(core: Core): null {
  takeUndefined(core);
  return null;
}

function trapTo(core: Core, access: SystemAccess, target: ExceptionLevel): null {
  trapAccess(core, access, target);
  return null;
}
