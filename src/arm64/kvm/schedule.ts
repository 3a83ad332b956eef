import { HCR } from '../abi.ts';
import { kick, takeHostInterrupt } from './host-gic.ts';
import type { ScheduleJob, Step } from './job.ts';
import type { Ctx } from './state.ts';
import { armHostTimer, nextTimer, ticksNow } from './timers.ts';
import { hasInterrupt } from './vgic.ts';
import type { Vcpu, Vm } from './vm.ts';

/** How often devices are asked for input that a guest waits for: every millisecond. */
const POLLS_PER_SECOND = 1000n;

/** WFI and WFE of every guest come to us. */
export const GUEST_TRAPS = HCR.TWI | HCR.TWE;

/** Chooses what this CPU does next: the first one takes VMs down and makes new ones known; all run vCPUs, or wait. Never done. */
export function runSchedule(ctx: Ctx, job: ScheduleJob): Step {
  const { kvm, cpu } = ctx;
  if (job.step === 'put') {
    cpu.loaded = null;
    // Whoever takes VMs down waits for the last vCPU to be put away.
    if (cpu.index !== 0 && kvm.vms.some(isEnded)) kick(ctx, 0);
  }
  job.step = 'look';
  if (cpu.index === 0) {
    const fresh = kvm.vms.find(({ created, end }) => !created && end === null);
    if (fresh !== undefined)
      return { do: 'job', job: { kind: 'create', vm: fresh, step: 'start', calls: [], made: 0 } };
    const over = kvm.vms.find((vm) => isEnded(vm) && isPutAway(ctx, vm));
    if (over !== undefined) {
      over.tearingDown = true;
      return { do: 'job', job: { kind: 'teardown', vm: over, step: 'start', pages: [], at: 0 } };
    }
    wakeOthers(ctx);
  }
  for (const { userSpace, end } of kvm.vms) if (end === null) userSpace.poll();
  const next = choose(ctx);
  const { loaded } = cpu;
  if (loaded !== null && loaded !== next) {
    job.step = 'put';
    return { do: 'call', name: '__pkvm_vcpu_put', args: [] };
  }
  if (next === undefined) {
    armHostTimer(ctx.port, wakeTime(ctx));
    return { do: 'wait' };
  }
  if (loaded === null) {
    cpu.loaded = next;
    return { do: 'call', name: '__pkvm_vcpu_load', args: [next.vm.handle, next.index, GUEST_TRAPS] };
  }
  armHostTimer(ctx.port, sliceEnd(ctx));
  return { do: 'job', job: { kind: 'run', vcpu: next, step: 'enter', asked: null } };
}

const isEnded = ({ created, end, tearingDown }: Vm): boolean => created && end !== null && !tearingDown;

const isPutAway = ({ kvm }: Ctx, vm: Vm): boolean => kvm.cpus.every(({ loaded }) => loaded?.vm !== vm);

/** CPUs that sleep, or run, with a vCPU of a VM that has ended. */
function wakeOthers(ctx: Ctx): void {
  for (const { index, loaded } of ctx.kvm.cpus)
    if (index !== 0 && loaded !== null && loaded.vm.end !== null) kick(ctx, index);
}

/** The vCPU to run: the one whose turn it is if it can and has time left, else the next in turn that can. */
function choose(ctx: Ctx): Vcpu | undefined {
  const { cpu } = ctx;
  const all = vcpusOf(ctx);
  const now = ticksNow(ctx.port);
  const at = cpu.turn === null ? 0 : all.indexOf(cpu.turn);
  const first = now < cpu.sliceEnd ? at : at + 1;
  const next = [...all.slice(first), ...all.slice(0, first)].find((vcpu) => isRunnable(vcpu, now));
  if (next !== cpu.turn || now >= cpu.sliceEnd) cpu.sliceEnd = now + ctx.kvm.layout.timeSlice;
  cpu.turn = next ?? null;
  return next;
}

function isRunnable(vcpu: Vcpu, now: bigint): boolean {
  if (vcpu.vm.end !== null || !vcpu.vm.created || vcpu.state === 'off') return false;
  if (vcpu.state === 'blocked' && hasInterrupt(vcpu, now)) vcpu.state = 'running';
  return vcpu.state === 'running';
}

const vcpusOf = ({ kvm, cpu }: Ctx): Vcpu[] =>
  kvm.vms.flatMap(({ vcpus }) => vcpus.filter((vcpu) => vcpu.cpu === cpu.index));

/** When a CPU that has nothing to do has to look again: a timer of a vCPU that sleeps, or devices; null for when it is woken up. */
function wakeTime(ctx: Ctx): bigint | null {
  const live = vcpusOf(ctx).filter(({ vm, state }) => vm.end === null && state === 'blocked');
  const times = live.map(nextTimer);
  if (ctx.kvm.vms.some(({ end, userSpace }) => end === null && userSpace.listening)) times.push(nextPoll(ctx));
  return earliest(times);
}

/** When the guest that is about to run is stopped at the latest. */
function sliceEnd(ctx: Ctx): bigint | null {
  const now = ticksNow(ctx.port);
  const own = vcpusOf(ctx).map(({ timer }) =>
    (timer.control & 3n) === 1n && timer.compare > now ? timer.compare : null,
  );
  const listening = ctx.kvm.vms.some((vm) => vm.end === null && vm.userSpace.listening);
  return earliest([ctx.cpu.sliceEnd, ...own, listening ? nextPoll(ctx) : null]);
}

const nextPoll = ({ port }: Ctx): bigint => ticksNow(port) + port.register('CNTFRQ_EL0') / POLLS_PER_SECOND;

function earliest(times: readonly (bigint | null)[]): bigint | null {
  return times.reduce((a, b) => (a === null || (b !== null && b < a) ? b : a), null);
}

/** The CPU has slept: what woke it up is taken, and then looked for. */
export function wokeUp({ port, cpu }: Ctx): void {
  cpu.waiting = false;
  takeHostInterrupt(port);
}
