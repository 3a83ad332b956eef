import { HFSCR, SMFCTRL, SPR } from '../abi.ts';
import { SPRS, type SprPrivilege } from '../isa/state.ts';
import { type Level, mayUse, type Privilege } from './msr.ts';

/** What becomes of `mfspr` or `mtspr`. */
export type SprVerdict =
  | { readonly kind: 'granted' }
  /** The instruction does nothing. */
  | { readonly kind: 'no-op' }
  /** Program interrupt, privileged instruction (0x700). */
  | { readonly kind: 'privileged' }
  /** Hypervisor Emulation Assistance (0xE40). */
  | { readonly kind: 'emulation' }
  /** Facility Unavailable (0xF60), or Hypervisor Facility Unavailable (0xF80), with its cause. */
  | { readonly kind: 'facility'; readonly hypervisor: boolean; readonly cause: number };

const GRANTED: SprVerdict = { kind: 'granted' };
const NO_OP: SprVerdict = { kind: 'no-op' };
const PRIVILEGED: SprVerdict = { kind: 'privileged' };
const EMULATION: SprVerdict = { kind: 'emulation' };

/** An SPR number that has no storage of its own: another name of a register, or one that is computed. */
export interface SpecialSpr {
  readonly number: number;
  readonly read: SprPrivilege | null;
  readonly write: SprPrivilege | null;
}

/** Numbers of user-accessible second names that `abi.ts` does not have (ISA 3.0B, Book III 5.4.4). */
export const USER_AMR = 13;
export const USER_PMU_OFFSET = 16;
export const PPR32 = 898;

const USER_PMU: readonly number[] = [
  SPR.SIER,
  SPR.MMCR2,
  SPR.MMCRA,
  SPR.PMC1,
  SPR.PMC2,
  SPR.PMC3,
  SPR.PMC4,
  SPR.PMC5,
  SPR.PMC6,
  SPR.MMCR0,
  SPR.SIAR,
  SPR.SDAR,
  SPR.MMCR1,
].map((number) => number - USER_PMU_OFFSET);

const row = (number: number, read: SprPrivilege | null, write: SprPrivilege | null): [number, SpecialSpr] => [
  number,
  { number, read, write },
];

/** ISA 3.0B, Book III 5.4.4. Performance monitor registers can only be read by their user names: MMCR0[PMCC]=0. */
export const SPECIAL_SPRS: ReadonlyMap<number, SpecialSpr> = new Map([
  row(SPR.XER, 'problem', 'problem'),
  row(SPR.DSCR_USER, 'problem', 'problem'),
  row(SPR.LR, 'problem', 'problem'),
  row(SPR.CTR, 'problem', 'problem'),
  row(USER_AMR, 'problem', 'problem'),
  row(SPR.CTRL_WRITE, null, 'privileged'),
  row(SPR.SPRG3_USER, 'problem', null),
  row(SPR.TB, 'problem', null),
  row(SPR.TBU, 'problem', null),
  row(SPR.TBL_WRITE, null, 'hypervisor'),
  row(SPR.TBU_WRITE, null, 'hypervisor'),
  row(SPR.TBU40, null, 'hypervisor'),
  row(PPR32, 'problem', 'problem'),
  ...USER_PMU.map((number) => row(number, 'problem', null)),
]);

const NEED: Record<SprPrivilege, Privilege> = {
  problem: 'problem',
  privileged: 'supervisor',
  hypervisor: 'hypervisor',
  ultravisor: 'ultravisor',
};

/** Written by the Ultravisor only while the Secure Memory Facility is on (1.3, 1.8). */
const ULTRAVISOR_WRITES: ReadonlySet<number> = new Set([SPR.PTCR, SPR.LDBAR, SPR.IMC]);
/** The Ultravisor's while SMFCTRL[D]=1 (1.6). */
const DEBUG_SPRS: ReadonlySet<number> = new Set([SPR.CIABR, SPR.DAWR0, SPR.DAWRX0]);

/** TFHAR, TFIAR, TEXASR, TEXASRU: MSR[TM] would have to be set, which it cannot be. */
const TRANSACTIONAL: ReadonlySet<number> = new Set([128, 129, 130, 131]);

interface Facility {
  /** Enable bit, the same in FSCR and HFSCR. */
  readonly bit: bigint;
  readonly cause: number;
  /** Whether FSCR guards it in problem state; HFSCR guards each in HV=0. */
  readonly user: boolean;
}

/** ISA 3.0B, Book III 6.2.10 and 6.2.11 (FSCR, HFSCR); causes as in sheet 1.7. */
const FACILITY = {
  dscr: { bit: HFSCR.DSCR, cause: 2, user: true },
  performanceMonitor: { bit: HFSCR.PM, cause: 3, user: false },
  eventBranch: { bit: HFSCR.EBB, cause: 7, user: true },
  tar: { bit: HFSCR.TAR, cause: 8, user: true },
} as const satisfies Record<string, Facility>;

const PMU_REGISTERS = USER_PMU.flatMap((user) => [user, user + USER_PMU_OFFSET]);
const FACILITY_OF: ReadonlyMap<number, Facility> = new Map([
  [SPR.DSCR_USER, FACILITY.dscr],
  [SPR.TAR, FACILITY.tar],
  ...[SPR.EBBHR, SPR.EBBRR, SPR.BESCR].map((number): [number, Facility] => [number, FACILITY.eventBranch]),
  ...PMU_REGISTERS.map((number): [number, Facility] => [number, FACILITY.performanceMonitor]),
]);

/** Registers that the verdict on an access depends on. */
export interface SprGuards {
  readonly smfctrl: bigint;
  readonly fscr: bigint;
  readonly hfscr: bigint;
}

/**
 * Whether code at a level may read or write an SPR, and what happens if not (1.3, 1.6, 1.8).
 *
 * The OS naming a hypervisor's register gets Emulation Assistance, as in 1.8: LPCR[EVIRT] is not looked at. A number that is no register does
 * what ISA 3.0B, Book III 5.4.4 says and QEMU does: privileged numbers (0x10 set) a privileged-instruction program interrupt in problem
 * state and nothing elsewhere; others Emulation Assistance in problem state and for 0 and (reading) 4, 5, 6, and nothing elsewhere.
 */
export function judgeSpr(number: number, write: boolean, level: Level, guards: SprGuards): SprVerdict {
  const { privilege } = level;
  if (TRANSACTIONAL.has(number)) return { kind: 'facility', hypervisor: false, cause: Number(HFSCR.IC_TM) };
  const definition = SPRS.get(number) ?? SPECIAL_SPRS.get(number);
  const need = write ? definition?.write : definition?.read;
  if (need === undefined || need === null) return judgeUndefined(number, write, privilege);
  if (!mayUse(privilege, NEED[need])) return privilege === 'problem' ? PRIVILEGED : EMULATION;
  if (privilege !== 'ultravisor' && (guards.smfctrl & SMFCTRL.E) !== 0n) {
    if (write && ULTRAVISOR_WRITES.has(number)) return EMULATION;
    if ((guards.smfctrl & SMFCTRL.D) !== 0n && DEBUG_SPRS.has(number)) return EMULATION;
  }
  const facility = FACILITY_OF.get(number);
  if (facility !== undefined) {
    const { bit, cause, user } = facility;
    if (user && privilege === 'problem' && (guards.fscr & bit) === 0n) {
      return { kind: 'facility', hypervisor: false, cause };
    }
    if (!level.hypervisor && (guards.hfscr & bit) === 0n) return { kind: 'facility', hypervisor: true, cause };
  }
  return GRANTED;
}

function judgeUndefined(number: number, write: boolean, privilege: Privilege): SprVerdict {
  const privileged = (number & 0x10) !== 0;
  if (number >= 808 && number <= 811) return NO_OP;
  if (privilege === 'problem') return privileged ? PRIVILEGED : EMULATION;
  const emulated = write ? number === 0 : number === 0 || number === 4 || number === 5 || number === 6;
  return emulated ? EMULATION : NO_OP;
}
