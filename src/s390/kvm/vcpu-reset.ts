import { CPUFLAG, CR0, CR14_RESET, SD } from '../abi.ts';
import type { EntryState } from './user-space.ts';
import { noInterruptions, type Vcpu } from './vm.ts';

export type ResetKind = 'normal' | 'initial' | 'clear';

/**
 * Resets what KVM and the state description hold of a CPU, each kind with all that the one before does (Principles of Operation, "Resets"). What the
 * Ultravisor holds of a protected one is reset by UVC.
 */
export function resetVcpu(vcpu: Vcpu, kind: ResetKind): void {
  const { sie } = vcpu;
  Object.assign(vcpu.pending, noInterruptions());
  vcpu.inBetween = false;
  sie.setU16(SD.IIC, 0);
  if (kind === 'normal') return;
  sie.setPsw(0n, 0n);
  sie.setPrefix(0);
  for (let n = 0; n < 16; n++) sie.setU64(SD.CR + 8 * n, n === 0 ? CR0.RESET : n === 14 ? CR14_RESET : 0n);
  sie.setU64(SD.CPU_TIMER, 0n);
  sie.setU64(SD.CLOCK_COMPARATOR, 0n);
  sie.setU32(SD.TOD_PROGRAMMABLE, 0);
  vcpu.fpc = 0;
  if (kind === 'initial') return;
  vcpu.gr.fill(0n);
  vcpu.fpr.fill(0n);
  vcpu.ar.fill(0);
}

/** A normal CPU starts with this PSW. */
export function startVcpu(vcpu: Vcpu, { mask, address }: EntryState): void {
  vcpu.sie.setPsw(mask, address);
  setOperating(vcpu);
}

export function setOperating(vcpu: Vcpu): void {
  vcpu.kicked = true;
  vcpu.state = 'operating';
  vcpu.sie.setFlag('STOPPED', false);
}

export function setStopped(vcpu: Vcpu): void {
  vcpu.state = 'stopped';
  vcpu.pending.stop = false;
  vcpu.sie.setFlag('STOPPED', true);
}

/** The state description of a new CPU (4.2, 4.3). */
export const INITIAL_CPUFLAGS = CPUFLAG.ZARCH | CPUFLAG.SM | CPUFLAG.STOPPED;
