import type { Slot } from '../../engine/state.ts';
import type { I64 } from '../../wasm/types.ts';
import { HCR } from '../abi.ts';
import { layout } from '../isa/state.ts';

/** Encoding of a system register as `op0:op1:CRn:CRm:op2` (Arm ARM, C5.1.2), 16 bits. */
export function encodingOf(op0: number, op1: number, crn: number, crm: number, op2: number): number {
  return (op0 << 14) | (op1 << 11) | (crn << 7) | (crm << 3) | op2;
}

/** Least exception level of an access; `no`: UNDEFINED at every level. */
export type Access = 0 | 1 | 2 | 'no';

/** A system register. Its value lies in a slot of the CPU context; what more an access does is in `system-registers.ts`. */
export interface SystemRegister {
  readonly name: string;
  readonly encoding: number;
  readonly slot: Slot<I64>;
  readonly read: Access;
  readonly write: Access;
  /** Bits of HCR_EL2 that trap an access from EL1 (and EL0) to EL2. */
  readonly readTrap: bigint;
  readonly writeTrap: bigint;
  /** Value at reset. */
  readonly reset: bigint;
  /** Bits that a write changes. */
  readonly mask: bigint;
}

interface More {
  readonly readTrap?: bigint;
  readonly writeTrap?: bigint;
  readonly reset?: bigint;
  readonly mask?: bigint;
}

type Encoding = readonly [op0: number, op1: number, crn: number, crm: number, op2: number];
type Row = readonly [name: string, encoding: Encoding, read: Access, write: Access, more?: More];

const ALL = (1n << 64n) - 1n;
const WORD = 0xffffffffn;
/** Virtual memory controls: HCR_EL2.TVM for writes, TRVM for reads. */
const VM: More = { readTrap: HCR.TRVM, writeTrap: HCR.TVM };
const id = (reset: bigint): More => ({ readTrap: HCR.TID3, reset });
const word = (reset = 0n): More => ({ mask: WORD, reset });

/**
 * What the CPU says of itself: an Armv8.0 core with LSE, CRC32, PAN and the GICv3 system registers; EL0 to EL2 in AArch64 only, no EL3, no SVE, no
 * pointer authentication, no debug comparators beyond the least (Arm ARM, D13.2).
 */
const ID_ROWS: readonly Row[] = [
  ['ID_AA64PFR0_EL1', [3, 0, 0, 4, 0], 1, 'no', id(0x0000_0000_0100_0111n)],
  ['ID_AA64PFR1_EL1', [3, 0, 0, 4, 1], 1, 'no', id(0n)],
  ['ID_AA64ZFR0_EL1', [3, 0, 0, 4, 4], 1, 'no', id(0n)],
  ['ID_AA64SMFR0_EL1', [3, 0, 0, 4, 5], 1, 'no', id(0n)],
  // DebugVer 6, one breakpoint and one watchpoint register pair.
  ['ID_AA64DFR0_EL1', [3, 0, 0, 5, 0], 1, 'no', id(0x0000_0000_0010_1006n)],
  ['ID_AA64DFR1_EL1', [3, 0, 0, 5, 1], 1, 'no', id(0n)],
  ['ID_AA64AFR0_EL1', [3, 0, 0, 5, 4], 1, 'no', id(0n)],
  ['ID_AA64AFR1_EL1', [3, 0, 0, 5, 5], 1, 'no', id(0n)],
  // CRC32 and Atomics.
  ['ID_AA64ISAR0_EL1', [3, 0, 0, 6, 0], 1, 'no', id(0x0000_0000_0021_0000n)],
  ['ID_AA64ISAR1_EL1', [3, 0, 0, 6, 1], 1, 'no', id(0n)],
  ['ID_AA64ISAR2_EL1', [3, 0, 0, 6, 2], 1, 'no', id(0n)],
  // PARange 44 bits, 16-bit ASIDs, 4 and 64 KiB granules; 16 KiB too, at both stages.
  ['ID_AA64MMFR0_EL1', [3, 0, 0, 7, 0], 1, 'no', id(0x0000_0222_0010_0124n)],
  // 16-bit VMIDs, PAN.
  ['ID_AA64MMFR1_EL1', [3, 0, 0, 7, 1], 1, 'no', id(0x0000_0000_0010_0020n)],
  ['ID_AA64MMFR2_EL1', [3, 0, 0, 7, 2], 1, 'no', id(0n)],
  ['MIDR_EL1', [3, 0, 0, 0, 0], 1, 'no', { reset: 0x0000_0000_410f_d070n }],
  ['MPIDR_EL1', [3, 0, 0, 0, 5], 1, 'no', { reset: 1n << 31n }],
  ['REVIDR_EL1', [3, 0, 0, 0, 6], 1, 'no', { readTrap: HCR.TID1 }],
  ['AIDR_EL1', [3, 1, 0, 0, 7], 1, 'no', { readTrap: HCR.TID1 }],
  ['CLIDR_EL1', [3, 1, 0, 0, 1], 1, 'no', { readTrap: HCR.TID2, reset: 0x0a20_0023n }],
  ['CCSIDR_EL1', [3, 1, 0, 0, 0], 1, 'no', { readTrap: HCR.TID2, reset: 0x700f_e01an }],
  ['CSSELR_EL1', [3, 2, 0, 0, 0], 1, 1, { readTrap: HCR.TID2, writeTrap: HCR.TID2, mask: 0xfn }],
  ['CTR_EL0', [3, 3, 0, 0, 1], 0, 'no', { readTrap: HCR.TID2, reset: 0x8444_c004n }],
  ['DCZID_EL0', [3, 3, 0, 0, 7], 0, 'no', { reset: 4n }],
];

const EL1_ROWS: readonly Row[] = [
  ['SCTLR_EL1', [3, 0, 1, 0, 0], 1, 1, { ...VM, reset: 0x00c5_0838n }],
  ['ACTLR_EL1', [3, 0, 1, 0, 1], 1, 1, { readTrap: HCR.TACR, writeTrap: HCR.TACR, mask: 0n }],
  ['CPACR_EL1', [3, 0, 1, 0, 2], 1, 1, { mask: 3n << 20n }],
  ['TTBR0_EL1', [3, 0, 2, 0, 0], 1, 1, VM],
  ['TTBR1_EL1', [3, 0, 2, 0, 1], 1, 1, VM],
  ['TCR_EL1', [3, 0, 2, 0, 2], 1, 1, VM],
  ['SPSR_EL1', [3, 0, 4, 0, 0], 1, 1, word()],
  ['ELR_EL1', [3, 0, 4, 0, 1], 1, 1],
  ['SP_EL0', [3, 0, 4, 1, 0], 1, 1],
  ['AFSR0_EL1', [3, 0, 5, 1, 0], 1, 1, { ...VM, mask: 0n }],
  ['AFSR1_EL1', [3, 0, 5, 1, 1], 1, 1, { ...VM, mask: 0n }],
  ['ESR_EL1', [3, 0, 5, 2, 0], 1, 1, { ...VM, mask: WORD }],
  ['FAR_EL1', [3, 0, 6, 0, 0], 1, 1, VM],
  ['PAR_EL1', [3, 0, 7, 4, 0], 1, 1],
  ['MAIR_EL1', [3, 0, 10, 2, 0], 1, 1, VM],
  ['AMAIR_EL1', [3, 0, 10, 3, 0], 1, 1, { ...VM, mask: 0n }],
  ['VBAR_EL1', [3, 0, 12, 0, 0], 1, 1, { mask: ALL - 0x7ffn }],
  ['ISR_EL1', [3, 0, 12, 1, 0], 1, 'no'],
  ['CONTEXTIDR_EL1', [3, 0, 13, 0, 1], 1, 1, { ...VM, mask: WORD }],
  ['TPIDR_EL1', [3, 0, 13, 0, 4], 1, 1],
  ['CNTKCTL_EL1', [3, 0, 14, 1, 0], 1, 1, word()],
  ['MDSCR_EL1', [2, 0, 0, 2, 2], 1, 1, word()],
  ['OSLAR_EL1', [2, 0, 1, 0, 4], 'no', 1],
  // The OS lock is implemented, and not taken.
  ['OSLSR_EL1', [2, 0, 1, 1, 4], 1, 'no', { reset: 8n }],
  ['OSDLR_EL1', [2, 0, 1, 3, 4], 1, 1, word()],
  ['DBGBVR0_EL1', [2, 0, 0, 0, 4], 1, 1],
  ['DBGBCR0_EL1', [2, 0, 0, 0, 5], 1, 1, word()],
  ['DBGWVR0_EL1', [2, 0, 0, 0, 6], 1, 1],
  ['DBGWCR0_EL1', [2, 0, 0, 0, 7], 1, 1, word()],
  ['DBGBVR1_EL1', [2, 0, 0, 1, 4], 1, 1],
  ['DBGBCR1_EL1', [2, 0, 0, 1, 5], 1, 1, word()],
  ['DBGWVR1_EL1', [2, 0, 0, 1, 6], 1, 1],
  ['DBGWCR1_EL1', [2, 0, 0, 1, 7], 1, 1, word()],
  ['MDRAR_EL1', [2, 0, 1, 0, 0], 1, 'no'],
];

const EL0_ROWS: readonly Row[] = [
  ['TPIDR_EL0', [3, 3, 13, 0, 2], 0, 0],
  ['TPIDRRO_EL0', [3, 3, 13, 0, 3], 0, 1],
  ['CNTFRQ_EL0', [3, 3, 14, 0, 0], 0, 2, word(62_500_000n)],
  ['CNTPCT_EL0', [3, 3, 14, 0, 1], 0, 'no'],
  ['CNTVCT_EL0', [3, 3, 14, 0, 2], 0, 'no'],
  ['CNTP_TVAL_EL0', [3, 3, 14, 2, 0], 0, 0],
  ['CNTP_CTL_EL0', [3, 3, 14, 2, 1], 0, 0, { mask: 3n }],
  ['CNTP_CVAL_EL0', [3, 3, 14, 2, 2], 0, 0],
  ['CNTV_TVAL_EL0', [3, 3, 14, 3, 0], 0, 0],
  ['CNTV_CTL_EL0', [3, 3, 14, 3, 1], 0, 0, { mask: 3n }],
  ['CNTV_CVAL_EL0', [3, 3, 14, 3, 2], 0, 0],
];

const EL2_ROWS: readonly Row[] = [
  ['VPIDR_EL2', [3, 4, 0, 0, 0], 2, 2, { mask: WORD }],
  ['VMPIDR_EL2', [3, 4, 0, 0, 5], 2, 2],
  ['SCTLR_EL2', [3, 4, 1, 0, 0], 2, 2, { reset: 0x30c5_0830n }],
  ['ACTLR_EL2', [3, 4, 1, 0, 1], 2, 2, { mask: 0n }],
  // AArch64 only: RW is fixed. No VHE.
  ['HCR_EL2', [3, 4, 1, 1, 0], 2, 2, { reset: HCR.RW, mask: ALL & ~(HCR.RW | HCR.E2H) }],
  ['MDCR_EL2', [3, 4, 1, 1, 1], 2, 2, word()],
  ['CPTR_EL2', [3, 4, 1, 1, 2], 2, 2, { reset: 0x33ffn, mask: (1n << 31n) | (1n << 20n) | (1n << 10n) }],
  ['HSTR_EL2', [3, 4, 1, 1, 3], 2, 2, { mask: 0n }],
  ['HACR_EL2', [3, 4, 1, 1, 7], 2, 2, { mask: 0n }],
  ['TTBR0_EL2', [3, 4, 2, 0, 0], 2, 2],
  ['TCR_EL2', [3, 4, 2, 0, 2], 2, 2, { reset: 0x8080_0000n }],
  ['VTTBR_EL2', [3, 4, 2, 1, 0], 2, 2],
  ['VTCR_EL2', [3, 4, 2, 1, 2], 2, 2, { reset: 0x8000_0000n }],
  ['SPSR_EL2', [3, 4, 4, 0, 0], 2, 2, word()],
  ['ELR_EL2', [3, 4, 4, 0, 1], 2, 2],
  ['SP_EL1', [3, 4, 4, 1, 0], 2, 2],
  ['AFSR0_EL2', [3, 4, 5, 1, 0], 2, 2, { mask: 0n }],
  ['AFSR1_EL2', [3, 4, 5, 1, 1], 2, 2, { mask: 0n }],
  ['ESR_EL2', [3, 4, 5, 2, 0], 2, 2, { mask: WORD }],
  ['FAR_EL2', [3, 4, 6, 0, 0], 2, 2],
  ['HPFAR_EL2', [3, 4, 6, 0, 4], 2, 2],
  ['MAIR_EL2', [3, 4, 10, 2, 0], 2, 2],
  ['AMAIR_EL2', [3, 4, 10, 3, 0], 2, 2, { mask: 0n }],
  ['VBAR_EL2', [3, 4, 12, 0, 0], 2, 2, { mask: ALL - 0x7ffn }],
  ['TPIDR_EL2', [3, 4, 13, 0, 2], 2, 2],
  ['CNTVOFF_EL2', [3, 4, 14, 0, 3], 2, 2],
  ['CNTHCTL_EL2', [3, 4, 14, 1, 0], 2, 2, { reset: 3n, mask: WORD }],
  ['CNTHP_TVAL_EL2', [3, 4, 14, 2, 0], 2, 2],
  ['CNTHP_CTL_EL2', [3, 4, 14, 2, 1], 2, 2, { mask: 3n }],
  ['CNTHP_CVAL_EL2', [3, 4, 14, 2, 2], 2, 2],
];

/** Rows of a file of registers that differ in CRm and op2 only. */
function file(name: string, count: number, op1: number, crm: number, op2: number, access: 1 | 2): Row[] {
  return Array.from({ length: count }, (_, n): Row => {
    const at = op2 + n;
    return [`${name}${n}_EL${access}`, [3, op1, 12, crm + (at >> 3), at & 7], access, access, word()];
  });
}

/** The GICv3 CPU interface; what its registers do is in `gic-cpu-interface.ts` (arm64-pkvm.md 9.7). */
const GIC_ROWS: readonly Row[] = [
  ['ICC_PMR_EL1', [3, 0, 4, 6, 0], 1, 1, { mask: 0xf8n }],
  ['ICC_IAR0_EL1', [3, 0, 12, 8, 0], 1, 'no'],
  ['ICC_EOIR0_EL1', [3, 0, 12, 8, 1], 'no', 1],
  ['ICC_HPPIR0_EL1', [3, 0, 12, 8, 2], 1, 'no'],
  ['ICC_BPR0_EL1', [3, 0, 12, 8, 3], 1, 1, { mask: 7n, reset: 2n }],
  ['ICC_AP0R0_EL1', [3, 0, 12, 8, 4], 1, 1, word()],
  ['ICC_AP1R0_EL1', [3, 0, 12, 9, 0], 1, 1, word()],
  ['ICC_DIR_EL1', [3, 0, 12, 11, 1], 'no', 1],
  ['ICC_RPR_EL1', [3, 0, 12, 11, 3], 1, 'no'],
  ['ICC_SGI1R_EL1', [3, 0, 12, 11, 5], 'no', 1],
  ['ICC_ASGI1R_EL1', [3, 0, 12, 11, 6], 'no', 1],
  ['ICC_SGI0R_EL1', [3, 0, 12, 11, 7], 'no', 1],
  ['ICC_IAR1_EL1', [3, 0, 12, 12, 0], 1, 'no'],
  ['ICC_EOIR1_EL1', [3, 0, 12, 12, 1], 'no', 1],
  ['ICC_HPPIR1_EL1', [3, 0, 12, 12, 2], 1, 'no'],
  ['ICC_BPR1_EL1', [3, 0, 12, 12, 3], 1, 1, { mask: 7n, reset: 3n }],
  ['ICC_CTLR_EL1', [3, 0, 12, 12, 4], 1, 1, { mask: 3n, reset: 0x8c00n }],
  ['ICC_SRE_EL1', [3, 0, 12, 12, 5], 1, 1, { mask: 0n, reset: 7n }],
  ['ICC_IGRPEN0_EL1', [3, 0, 12, 12, 6], 1, 1, { mask: 1n }],
  ['ICC_IGRPEN1_EL1', [3, 0, 12, 12, 7], 1, 1, { mask: 1n }],
  ['ICC_SRE_EL2', [3, 4, 12, 9, 5], 2, 2, { mask: 0n, reset: 0xfn }],
  ['ICH_AP0R0_EL2', [3, 4, 12, 8, 0], 2, 2, word()],
  ['ICH_AP1R0_EL2', [3, 4, 12, 9, 0], 2, 2, word()],
  ['ICH_HCR_EL2', [3, 4, 12, 11, 0], 2, 2, word()],
  // 5 priority bits, 5 preemption bits, 16-bit INTIDs, 4 list registers.
  ['ICH_VTR_EL2', [3, 4, 12, 11, 1], 2, 'no', { reset: (4n << 29n) | (4n << 26n) | (1n << 21n) | 3n }],
  ['ICH_MISR_EL2', [3, 4, 12, 11, 2], 2, 'no'],
  ['ICH_EISR_EL2', [3, 4, 12, 11, 3], 2, 'no'],
  ['ICH_ELRSR_EL2', [3, 4, 12, 11, 5], 2, 'no'],
  ['ICH_VMCR_EL2', [3, 4, 12, 11, 7], 2, 2, word()],
  ...file('ICH_LR', 4, 4, 12, 0, 2).map(([name, encoding, read, write]): Row => [name, encoding, read, write]),
];

function define([name, encoding, read, write, more = {}]: Row): SystemRegister {
  return {
    name,
    encoding: encodingOf(...encoding),
    slot: layout.i64(name),
    read,
    write,
    readTrap: more.readTrap ?? 0n,
    writeTrap: more.writeTrap ?? 0n,
    reset: more.reset ?? 0n,
    mask: more.mask ?? ALL,
  };
}

const DEFINED = [...ID_ROWS, ...EL1_ROWS, ...EL0_ROWS, ...EL2_ROWS, ...GIC_ROWS].map(define);

/** By encoding. */
export const SYSTEM_REGISTERS: ReadonlyMap<number, SystemRegister> = new Map(DEFINED.map((r) => [r.encoding, r]));

const BY_NAME: ReadonlyMap<string, SystemRegister> = new Map(DEFINED.map((r) => [r.name, r]));

/** A register by its name in the Arm ARM. @throws Error for a name that is not in the table: a mistake of ours */
export function systemRegister(name: string): SystemRegister {
  const register = BY_NAME.get(name);
  if (register === undefined) throw new Error(`no system register ${name}`);
  return register;
}
