import { SPR, VECTOR } from '../abi.ts';

/**
 * What a special purpose register becomes when the hypervisor gets control in place of an SVM (6.2.1): `set`, or zero.
 */
export interface NeutralSpr {
  readonly spr: number;
  /** Part of the vCPU's state: saved before, and put back when the vCPU goes on. */
  readonly saved: boolean;
  readonly set?: bigint;
  /** Vectors at which the hypervisor needs the real value to do its work. */
  readonly realAt?: readonly bigint[];
}

const { MACHINE_CHECK, HV_DATA_STORAGE, HV_INSTRUCTION_STORAGE } = VECTOR;

const zero = (spr: number): NeutralSpr => ({ spr, saved: true });

/** Freeze the counters. */
const MMCR0_FC = 0x80000000n;

/** PPR 0 is no legal priority; the table shows this constant. */
export const PPR_SHOWN = 0x0010000000000000n;

/** The decrementer that the hypervisor sees, except at H_CEDE: far from expiry (6.2.1). */
export const DEC_SHOWN = 0x7fffffffn;

/**
 * The table of 6.2.1, and two registers of the guest that it leaves out: AMR and BESCR. (A third is FPSCR, which is no SPR; it goes with the
 * floating point registers.) The save registers SRR0, SRR1, HSRR0 and HSRR1, which show cookie and guest MSR, and the
 * decrementer, which shows `DEC_SHOWN`, are written by `hypervisor-entry.ts`. A register that is neither there nor here
 * is `PASSED`.
 *
 * FSCR, MMCR1, MMCR2 and most of MMCR0 and MMCRA are left as they are by that table, for the hypervisor to read and to change. They are the
 * guest's, and no hypercall needs them: neutral state, as for all such registers (seed 001).
 */
export const NEUTRAL_SPRS: readonly NeutralSpr[] = [
  ...[SPR.LR, SPR.CTR, SPR.XER, SPR.CFAR].map(zero),
  ...[SPR.SPRG0, SPR.SPRG1, SPR.SPRG2, SPR.SPRG3].map(zero),
  { spr: SPR.DAR, saved: true, realAt: [MACHINE_CHECK] },
  { spr: SPR.DSISR, saved: true, realAt: [MACHINE_CHECK] },
  { spr: SPR.HDAR, saved: false, realAt: [HV_DATA_STORAGE, HV_INSTRUCTION_STORAGE] },
  { spr: SPR.HDSISR, saved: false, realAt: [HV_DATA_STORAGE] },
  { spr: SPR.ASDR, saved: false, realAt: [HV_DATA_STORAGE, HV_INSTRUCTION_STORAGE, MACHINE_CHECK] },
  { spr: SPR.HEIR, saved: false },
  ...[SPR.SPURR, SPR.PURR, SPR.CIABR, SPR.DAWR0, SPR.DAWRX0, SPR.AMR, SPR.IAMR, SPR.DSCR, SPR.PSPB].map(zero),
  ...[SPR.TAR, SPR.UAMOR, SPR.VRSAVE, SPR.SDAR, SPR.SIAR, SPR.SIER].map(zero),
  ...[SPR.PMC1, SPR.PMC2, SPR.PMC3, SPR.PMC4, SPR.PMC5, SPR.PMC6, SPR.MMCRC].map(zero),
  ...[SPR.TRACE, SPR.EBBHR, SPR.EBBRR, SPR.BESCR, SPR.TIDR, SPR.IC].map(zero),
  { spr: SPR.PPR, saved: true, set: PPR_SHOWN },
  { spr: SPR.MMCR0, saved: true, set: MMCR0_FC },
  ...[SPR.MMCR1, SPR.MMCR2, SPR.MMCRA, SPR.FSCR].map(zero),
];

/** Registers that the hypervisor finds and leaves as they are (6.2.1). */
export const PASSED_SPRS: readonly number[] = [
  ...[SPR.HSPRG0, SPR.HSPRG1, SPR.LPCR, SPR.LPIDR, SPR.PIDR, SPR.AMOR, SPR.CTRL_READ, SPR.HFSCR, SPR.HDEC],
  ...[SPR.HRMOR, SPR.LDBAR, SPR.PCR, SPR.PIR, SPR.PSSCR, SPR.TB, SPR.VTB, SPR.DPDES],
];

/** The vCPU's registers that are saved beside the general ones. */
export const SAVED_SPRS: readonly number[] = [
  SPR.SRR0,
  SPR.SRR1,
  ...NEUTRAL_SPRS.filter(({ saved }) => saved).map(({ spr }) => spr),
];
