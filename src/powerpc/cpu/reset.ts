import { HFSCR, MSR, SMFCTRL } from '../abi.ts';
import type { Core } from './core.ts';
import { legalMsr } from './msr.ts';

/** Where a CPU starts. */
export const RESET_VECTOR = 0x100n;

/** Every facility but transactional memory. */
const FACILITIES = HFSCR.FP | HFSCR.VEC_VSX | HFSCR.DSCR | HFSCR.PM | HFSCR.BHRB | HFSCR.EBB | HFSCR.TAR | HFSCR.MSGP;
/** PPR[PRI]=0b100, medium. */
const PPR_MEDIUM = 0x0010000000000000n;
const ALL_ONES = (1n << 64n) - 1n;

/** What differs between machines at power-on. */
export interface ResetOptions {
  /** Processor version register. */
  readonly pvr: bigint;
  /** Whether the Secure Memory Facility is there: SMFCTRL[E]. */
  readonly secureMemory: boolean;
}

/**
 * The state at power-on: Ultravisor state if the facility is on (1.4; the exact value is open ⚠), else hypervisor state; 64-bit, big-endian,
 * translation off, machine checks on. Facilities are open to all and every key may be changed, so that software which never heard of
 * HFSCR and AMOR is not stopped by them; FSCR is as QEMU has it.
 */
export function resetRegisters(core: Core, { pvr, secureMemory }: ResetOptions): bigint {
  core.setRaw('PVR', pvr);
  core.setRaw('PIR', BigInt(core.index));
  core.setRaw('SMFCTRL', secureMemory ? SMFCTRL.E : 0n);
  core.setRaw('LPCR', 0n);
  core.setRaw('HFSCR', FACILITIES);
  core.setRaw('FSCR', HFSCR.TAR);
  core.setRaw('AMOR', ALL_ONES);
  core.setRaw('HMER', 0n);
  core.setRaw('PPR', PPR_MEDIUM);
  core.setRaw('CTRL_READ', 1n);
  core.timers.reset();
  core.translationRegistersChanged();
  return legalMsr(MSR.SF | MSR.HV | MSR.ME | (secureMemory ? MSR.S : 0n));
}
