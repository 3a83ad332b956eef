import { CR0, PSW, SD } from '../abi.ts';
import { isDue } from './interrupts.ts';
import { type Ctx, type KvmState, vcpusOf } from './state.ts';
import type { Vcpu } from './vm.ts';

/** No host clock comparator interruption. */
const NEVER = 0xffff_ffff_ffff_ffffn;

/** Bit 0 of a CPU timer: it has passed zero. */
const TIMER_NEGATIVE = 1n << 63n;

/**
 * The vCPU to run next on this CPU: the one that ran if it can go on and does not yield, else the next in turn.
 * @returns null if none can run
 */
export function nextVcpu({ kvm, port, cpu }: Ctx, yields: boolean): Vcpu | null {
  const turn = vcpusOf(kvm, cpu.index);
  const { running } = cpu;
  const now = port.tod();
  if (running !== null && !yields && canRun(kvm, running, now)) return running;
  const at = running === null ? -1 : turn.indexOf(running);
  const next = [...turn.slice(at + 1), ...turn.slice(0, at + 1)].find((vcpu) => canRun(kvm, vcpu, now)) ?? null;
  if (next !== null) port.setClockComparator(turn.length > 1 ? now + kvm.timeSlice : NEVER);
  return next;
}

/** Has the CPU wake up when the first timer of a vCPU that waits is due. */
export function prepareIdle({ kvm, port, cpu }: Ctx): void {
  const now = port.tod();
  const due = vcpusOf(kvm, cpu.index)
    .filter(({ state, vm }) => state === 'waiting' && vm.end === null)
    .map((vcpu) => timerDue(vcpu, now));
  const first = due.reduce((least, time) => (time < least ? time : least), NEVER);
  // The comparator interrupts once the clock is beyond it.
  port.setClockComparator(first === NEVER || first === 0n ? first : first - 1n);
}

function canRun(kvm: KvmState, vcpu: Vcpu, now: bigint): boolean {
  const { vm } = vcpu;
  if (vm.end !== null || vm.dumping) return false;
  if (vcpu.state === 'operating') return true;
  const interruptions = kvm.userSpace.get(vm.id)?.services.interruptions;
  if (vcpu.state === 'stopped' || interruptions === undefined) return false;
  if (!isDue(vcpu, interruptions) && !vcpu.pending.stop && timerDue(vcpu, now) > now) return false;
  // The timer ran on while it waited.
  vcpu.sie.setU64(SD.CPU_TIMER, vcpu.sie.u64(SD.CPU_TIMER) - (now - vcpu.waitingSince));
  vcpu.state = 'operating';
  return true;
}

/** When a timer that the guest is open for interrupts it, in the host's TOD; `NEVER` for not at all. */
function timerDue({ sie, waitingSince }: Vcpu, now: bigint): bigint {
  const external = (sie.pswMask & PSW.EXTERNAL) !== 0n;
  const cr0 = sie.u64(SD.CR);
  const comparator = BigInt.asUintN(64, sie.u64(SD.CLOCK_COMPARATOR) - sie.u64(SD.EPOCH));
  const timer = sie.u64(SD.CPU_TIMER);
  const times = [NEVER];
  if (external && (cr0 & CR0.CLOCK_COMPARATOR) !== 0n) times.push(comparator);
  if (external && (cr0 & CR0.CPU_TIMER) !== 0n)
    times.push((timer & TIMER_NEGATIVE) !== 0n ? now : waitingSince + timer);
  return times.reduce((least, time) => (time < least ? time : least));
}
