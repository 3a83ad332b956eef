import { AIL3_OFFSET, HID0, LPCR, MSR, SCV_AIL3_VECTOR, SCV_VECTOR, SRR1, VECTOR } from '../abi.ts';

/** What one kind of interrupt does to the machine state (1.9). */
export interface InterruptSpec {
  readonly vector: bigint;
  /** Registers that save the interrupted address and MSR. */
  readonly save: 'SRR' | 'HSRR' | 'LR and CTR';
  /** Sets HV. With S=1 that makes the target the Ultravisor (1.9). Others stay at the OS, or in HV=1 if they come from there. */
  readonly toHypervisor: boolean;
  /** Sets S. Only `sc 2` does (1.4). */
  readonly toSecure?: boolean;
  /** Clears ME. Only the machine check does. */
  readonly clearsMe?: boolean;
  /** Leaves EE and RI as they are. Only `scv` does. */
  readonly keepsInterruptible?: boolean;
  /** Where it is taken with LPCR[AIL]=3, if that is not `AIL3_OFFSET` and the vector. */
  readonly relocatedVector?: bigint;
  /** Is always taken with translation off, whatever LPCR[AIL] says. */
  readonly neverRelocated?: boolean;
}

/** Every interrupt of the CPU (1.9), with system call and external interrupt by their cases (1.5). */
export const INTERRUPTS = {
  systemReset: { vector: VECTOR.SYSTEM_RESET, save: 'SRR', toHypervisor: true, neverRelocated: true },
  machineCheck: {
    vector: VECTOR.MACHINE_CHECK,
    save: 'SRR',
    toHypervisor: true,
    clearsMe: true,
    neverRelocated: true,
  },
  dataStorage: { vector: VECTOR.DATA_STORAGE, save: 'SRR', toHypervisor: false },
  dataSegment: { vector: VECTOR.DATA_SEGMENT, save: 'SRR', toHypervisor: false },
  instructionStorage: { vector: VECTOR.INSTRUCTION_STORAGE, save: 'SRR', toHypervisor: false },
  instructionSegment: { vector: VECTOR.INSTRUCTION_SEGMENT, save: 'SRR', toHypervisor: false },
  /** LPCR[LPES]=1. */
  externalToOs: { vector: VECTOR.EXTERNAL, save: 'SRR', toHypervisor: false },
  /** LPCR[LPES]=0, and mediated by LPCR[MER]. */
  externalToHypervisor: { vector: VECTOR.EXTERNAL, save: 'HSRR', toHypervisor: true },
  alignment: { vector: VECTOR.ALIGNMENT, save: 'SRR', toHypervisor: false },
  program: { vector: VECTOR.PROGRAM, save: 'SRR', toHypervisor: false },
  fpUnavailable: { vector: VECTOR.FP_UNAVAILABLE, save: 'SRR', toHypervisor: false },
  decrementer: { vector: VECTOR.DECREMENTER, save: 'SRR', toHypervisor: false },
  hypervisorDecrementer: { vector: VECTOR.HV_DECREMENTER, save: 'HSRR', toHypervisor: true },
  privilegedDoorbell: { vector: VECTOR.PRIVILEGED_DOORBELL, save: 'SRR', toHypervisor: false },
  systemCall: { vector: VECTOR.SYSTEM_CALL, save: 'SRR', toHypervisor: false },
  systemCallVectored: {
    vector: SCV_VECTOR,
    save: 'LR and CTR',
    toHypervisor: false,
    keepsInterruptible: true,
    relocatedVector: SCV_AIL3_VECTOR,
  },
  hypercall: { vector: VECTOR.SYSTEM_CALL, save: 'SRR', toHypervisor: true },
  ultracall: { vector: VECTOR.SYSTEM_CALL, save: 'SRR', toHypervisor: true, toSecure: true, neverRelocated: true },
  trace: { vector: VECTOR.TRACE, save: 'SRR', toHypervisor: false },
  hypervisorDataStorage: { vector: VECTOR.HV_DATA_STORAGE, save: 'HSRR', toHypervisor: true },
  hypervisorInstructionStorage: { vector: VECTOR.HV_INSTRUCTION_STORAGE, save: 'HSRR', toHypervisor: true },
  emulationAssistance: { vector: VECTOR.HV_EMULATION_ASSISTANCE, save: 'HSRR', toHypervisor: true },
  hypervisorMaintenance: {
    vector: VECTOR.HV_MAINTENANCE,
    save: 'HSRR',
    toHypervisor: true,
    neverRelocated: true,
  },
  hypervisorDoorbell: { vector: VECTOR.HV_DOORBELL, save: 'HSRR', toHypervisor: true },
  hypervisorVirtualization: { vector: VECTOR.HV_VIRTUALIZATION, save: 'HSRR', toHypervisor: true },
  performanceMonitor: { vector: VECTOR.PERFORMANCE_MONITOR, save: 'SRR', toHypervisor: false },
  vectorUnavailable: { vector: VECTOR.VEC_UNAVAILABLE, save: 'SRR', toHypervisor: false },
  vsxUnavailable: { vector: VECTOR.VSX_UNAVAILABLE, save: 'SRR', toHypervisor: false },
  facilityUnavailable: { vector: VECTOR.FACILITY_UNAVAILABLE, save: 'SRR', toHypervisor: false },
  hypervisorFacilityUnavailable: { vector: VECTOR.HV_FACILITY_UNAVAILABLE, save: 'HSRR', toHypervisor: true },
  denormalAssist: { vector: VECTOR.DENORMAL_ASSIST, save: 'HSRR', toHypervisor: true },
} as const satisfies Record<string, InterruptSpec>;
export type Interrupt = keyof typeof INTERRUPTS;

/** Machine state that an interrupt sets. */
export interface InterruptState {
  readonly nia: bigint;
  readonly msr: bigint;
  /** For SRR1, HSRR1 or CTR. */
  readonly savedMsr: bigint;
}

/**
 * The state in which an interrupt is taken (1.4, 1.9).
 *
 * LPCR[AIL]=3 moves interrupts to 0xC…4000 and keeps translation on where both IR and DR were on and HV stays as it was. ISA 3.0B allows
 * it also from a radix guest into HV=1; the sheet's rule for entries into HV and Ultravisor, translation off, is kept for all of these.
 * @param status interrupt-specific bits for SRR1 or HSRR1
 */
export function interruptState(
  interrupt: Interrupt,
  msr: bigint,
  status: bigint,
  registers: { readonly lpcr: bigint; readonly hid0: bigint },
): InterruptState {
  const spec: InterruptSpec = INTERRUPTS[interrupt];
  let kept = MSR.HV | MSR.S | MSR.ME;
  if (spec.save === 'HSRR') kept |= MSR.RI;
  if (spec.keepsInterruptible === true) kept |= MSR.EE | MSR.RI;
  if (spec.clearsMe === true) kept &= ~MSR.ME;
  let next = (msr & kept) | MSR.SF;
  if (spec.toHypervisor) next |= MSR.HV;
  if (spec.toSecure === true) next |= MSR.S;

  const bothRelocate = (msr & (MSR.IR | MSR.DR)) === (MSR.IR | MSR.DR);
  const sameWorld = ((msr ^ next) & (MSR.HV | MSR.S)) === 0n;
  const ultravisor = (next & (MSR.HV | MSR.S)) === (MSR.HV | MSR.S);
  const ail3 = (registers.lpcr & LPCR.AIL) === LPCR.AIL;
  const relocated = ail3 && bothRelocate && sameWorld && !ultravisor && spec.neverRelocated !== true;
  if (relocated) next |= MSR.IR | MSR.DR;

  const littleEndian =
    (next & MSR.HV) !== 0n ? (registers.hid0 & HID0.HILE) !== 0n : (registers.lpcr & LPCR.ILE) !== 0n;
  if (littleEndian) next |= MSR.LE;

  return {
    nia: relocated ? (spec.relocatedVector ?? AIL3_OFFSET | spec.vector) : spec.vector,
    msr: next,
    savedMsr: (msr & ~SRR1.STATUS) | status,
  };
}
