import { MSR } from '../abi.ts';

/** Privilege, from MSR[S,HV,PR] (1.2). */
export type Privilege = 'problem' | 'supervisor' | 'hypervisor' | 'ultravisor';

/** A privilege level of the machine. The eight values are unique objects, so that levels compare with `===`. */
export interface Level {
  readonly privilege: Privilege;
  /** MSR[S]. */
  readonly secure: boolean;
  /** MSR[HV]. */
  readonly hypervisor: boolean;
  /** What the trace calls it. */
  readonly name: string;
  /** S, HV and PR as a binary number. */
  readonly index: number;
}

/** Indexed by S, HV and PR as a binary number (1.2). S=HV=PR=1 is reserved: it has the rights of problem state. */
const ROWS: readonly Omit<Level, 'index'>[] = [
  { privilege: 'supervisor', secure: false, hypervisor: false, name: 'guest' },
  { privilege: 'problem', secure: false, hypervisor: false, name: 'guest user' },
  { privilege: 'hypervisor', secure: false, hypervisor: true, name: 'hypervisor' },
  { privilege: 'problem', secure: false, hypervisor: true, name: 'host user' },
  { privilege: 'supervisor', secure: true, hypervisor: false, name: 'secure guest' },
  { privilege: 'problem', secure: true, hypervisor: false, name: 'secure guest user' },
  { privilege: 'ultravisor', secure: true, hypervisor: true, name: 'ultravisor' },
  { privilege: 'problem', secure: true, hypervisor: true, name: 'reserved' },
];
const LEVELS: readonly Level[] = ROWS.map((row, index) => ({ ...row, index }));

const RANK: Record<Privilege, number> = { problem: 0, supervisor: 1, hypervisor: 2, ultravisor: 3 };

/** The level that code runs at under `msr` (1.2). */
export function levelOf(msr: bigint): Level {
  const index = ((msr & MSR.S) !== 0n ? 4 : 0) | ((msr & MSR.HV) !== 0n ? 2 : 0) | ((msr & MSR.PR) !== 0n ? 1 : 0);
  return LEVELS[index] as Level;
}

/** Whether code with privilege `have` may use what needs `need`: problem < OS < hypervisor < ultravisor (1.2). */
export function mayUse(have: Privilege, need: Privilege): boolean {
  return RANK[have] >= RANK[need];
}

/** Bits that this CPU has. Transactional memory is not there: MSR[TM,TS] read as 0, and its instructions are undefined. */
const IMPLEMENTED =
  MSR.SF |
  MSR.HV |
  MSR.VEC |
  MSR.VSX |
  MSR.S |
  MSR.EE |
  MSR.PR |
  MSR.FP |
  MSR.ME |
  MSR.FE0 |
  MSR.TE |
  MSR.FE1 |
  MSR.IR |
  MSR.DR |
  MSR.PMM |
  MSR.RI |
  MSR.LE;

/** What `mtmsrd` leaves alone (ISA 3.0B, Book III 5.3.1; S by sheet 1.4). */
const MTMSRD_KEEPS = MSR.HV | MSR.S | MSR.ME | MSR.LE;
/** What `mtmsr` and `mtmsrd` with L=1 change. */
const EE_RI = MSR.EE | MSR.RI;
const LOW_WORD = 0xffffffffn;
const FORCED_BY_PR = MSR.EE | MSR.IR | MSR.DR;

/** Problem state cannot turn off translation or external interrupts. */
function forcePr(msr: bigint): bigint {
  return (msr & MSR.PR) === 0n ? msr : msr | FORCED_BY_PR;
}

function merge(old: bigint, given: bigint, kept: bigint): bigint {
  return forcePr((given & IMPLEMENTED & ~kept) | (old & kept));
}

/** MSR after `rfid` or `rfscv` with this save register: S stays, HV can only be given up, ME changes only in HV=1 (1.4, 1.8). */
export function msrAfterRfid(msr: bigint, saved: bigint): bigint {
  if ((msr & MSR.HV) !== 0n) return merge(msr, saved, MSR.S);
  return merge(msr, saved & ~MSR.HV, MSR.S | MSR.ME);
}

/** MSR after `hrfid`: everything but S (1.4, 1.8). */
export function msrAfterHrfid(msr: bigint, hsrr1: bigint): bigint {
  return merge(msr, hsrr1, MSR.S);
}

/** MSR after `urfid`: everything, S and HV too (1.4, 1.8). */
export function msrAfterUrfid(usrr1: bigint): bigint {
  return merge(0n, usrr1, 0n);
}

/** MSR after `mtmsrd`; the form with L=1 changes EE and RI only (ISA 3.0B, Book III 5.3.1). */
export function msrAfterMtmsrd(msr: bigint, value: bigint, onlyEeRi: boolean): bigint {
  return merge(msr, value, onlyEeRi ? ~EE_RI : MTMSRD_KEEPS);
}

/** MSR after `mtmsr`: as `mtmsrd`, the high word stays. */
export function msrAfterMtmsr(msr: bigint, value: bigint, onlyEeRi: boolean): bigint {
  return merge(msr, value, onlyEeRi ? ~EE_RI : MTMSRD_KEEPS | ~LOW_WORD);
}

/** A value for the MSR that needs no rule: power-on and secondary start. */
export function legalMsr(value: bigint): bigint {
  return forcePr(value & IMPLEMENTED);
}
