import { PPI } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Vcpu } from './vm.ts';

/** CNTx_CTL (Arm ARM, D13.8.18). */
export const TIMER = { ENABLE: 1n, IMASK: 2n, ISTATUS: 4n } as const;
const ARMED = TIMER.ENABLE;

/** System counter ticks; both counters are the same, for no guest has an offset. */
export const ticksNow = (port: RegisterPort): bigint => port.register('CNTPCT_EL0');

const isArmed = (control: bigint): boolean => (control & (TIMER.ENABLE | TIMER.IMASK)) === ARMED;

/** When a vCPU's timers are due that can still interrupt it; null for never. */
export function nextTimer({ struct, timer }: Vcpu): bigint | null {
  const due = [
    isArmed(struct.register('CNTV_CTL_EL0')) ? struct.register('CNTV_CVAL_EL0') : null,
    isArmed(timer.control) ? timer.compare : null,
  ].filter((ticks) => ticks !== null);
  return due.length === 0 ? null : due.reduce((a, b) => (a < b ? a : b));
}

/** Whether the virtual timer's line is high. */
export const virtualTimerDue = ({ struct }: Vcpu, now: bigint): boolean =>
  isArmed(struct.register('CNTV_CTL_EL0')) && now >= struct.register('CNTV_CVAL_EL0');

/** Drives the guest's own interrupt controller with what its timers say now. */
export function driveTimerLines(vcpu: Vcpu, now: bigint): void {
  const { gic } = vcpu.vm;
  gic.setPpi(vcpu.index, PPI.virtualTimer, virtualTimerDue(vcpu, now));
  gic.setPpi(vcpu.index, PPI.physicalTimer, isArmed(vcpu.timer.control) && now >= vcpu.timer.compare);
}

/** Has the host's own timer interrupt this CPU at a time. */
export function armHostTimer(port: RegisterPort, at: bigint | null): void {
  if (at !== null) port.setRegister('CNTP_CVAL_EL0', at);
  port.setRegister('CNTP_CTL_EL0', at === null ? 0n : TIMER.ENABLE);
}
