import { HFSCR, PTCR, SPR } from '../abi.ts';
import { PARTITION_TABLE_PATS } from './partition.ts';
import { HOST_LPCR } from './registers.ts';
import type { Ctx } from './state.ts';

/** Facilities that guests may use; the rest are Hypervisor Facility Unavailable, an illegal instruction to the guest. */
const GUEST_FACILITIES =
  HFSCR.FP | HFSCR.VEC_VSX | HFSCR.DSCR | HFSCR.PM | HFSCR.BHRB | HFSCR.EBB | HFSCR.TAR | HFSCR.MSGP;

/** What the hypervisor sets up on a physical CPU before anything else. */
export function bootCpu({ kvm, port }: Ctx): void {
  port.setSpr(SPR.LPCR, HOST_LPCR);
  port.setSpr(SPR.LPIDR, 0n);
  port.setSpr(SPR.HFSCR, GUEST_FACILITIES);
  port.setSpr(SPR.PCR, 0n);
  // Every interrupt ends a `stop`, which then goes on behind it.
  port.setSpr(SPR.PSSCR, 0n);
  port.setSpr(SPR.AMOR, 0xffffffffffffffffn);
  if (kvm.partitionTable !== null) {
    port.setSpr(SPR.PTCR, (BigInt(kvm.partitionTable) & PTCR.PATB) | PARTITION_TABLE_PATS);
  }
}
