import { MSR, SPR } from '../abi.ts';
import { countYield } from './hcall-vpa.ts';
import { HOST_LPCR, loadVcpu, unloadVcpu } from './registers.ts';
import { type Ctx, type KvmState, loadedVcpu, vmOf } from './state.ts';
import type { Vcpu, Vm } from './vm.ts';
import { vmState } from './vm-state.ts';
import { hasExternal } from './xics.ts';

/**
 * The vCPU to run next on this CPU: the loaded one if it can go on and does not yield, else the next in turn. It is put on the CPU with a
 * new time slice.
 * @returns undefined if none can run
 */
export function nextVcpu(ctx: Ctx, yields: boolean): Vcpu | undefined {
  const { kvm, port, cpu } = ctx;
  const loaded = loadedVcpu(ctx);
  const now = port.spr(SPR.TB);
  if (loaded !== undefined && !yields && wake(kvm, loaded, now)) return loaded;
  const turn = vcpusOf(kvm, cpu.index);
  const at = loaded === undefined ? -1 : turn.indexOf(loaded);
  const next = [...turn.slice(at + 1), ...turn.slice(0, at + 1)].find((vcpu) => wake(kvm, vcpu, now));
  if (next === undefined) return undefined;
  if (next !== loaded) {
    unload(ctx);
    load(ctx, next);
  }
  port.setSpr(SPR.HDEC, kvm.timeSlice);
  return next;
}

/** Leaves no vCPU on the CPU, and has it wake up when the first that sleeps is due, or to see whether another CPU woke or started one. */
export function prepareIdle(ctx: Ctx): void {
  const { kvm, port, cpu } = ctx;
  unload(ctx);
  const now = port.spr(SPR.TB);
  let wait = kvm.timeSlice;
  for (const vcpu of vcpusOf(kvm, cpu.index)) {
    if (!isAsleep(vcpu) || kvm.vms.get(vcpu.lpid)?.end !== null) continue;
    const left = vcpu.decrementerExpires - now;
    if (left < wait) wait = left;
  }
  const ticks = wait > 0n ? wait : 0n;
  port.setSpr(SPR.LPCR, HOST_LPCR);
  port.setSpr(SPR.DEC, ticks);
  port.setSpr(SPR.HDEC, ticks);
}

/** Whether the vCPU can run. One that slept and is due wakes up by this. */
function wake(kvm: KvmState, vcpu: Vcpu, now: bigint): boolean {
  const vm = kvm.vms.get(vcpu.lpid);
  if (vm === undefined || !mayRun(vm, vcpu)) return false;
  if (isAsleep(vcpu) && (vcpu.prodded || interrupted(vm, vcpu, now))) {
    vcpu.prodded = false;
    vcpu.state = 'running';
  }
  return vcpu.state === 'running';
}

function isAsleep({ state }: Vcpu): boolean {
  return state === 'ceded' || state === 'conferred';
}

/** Whether a sleeping vCPU has an interrupt to wake up for. */
function interrupted(vm: Vm, vcpu: Vcpu, now: bigint): boolean {
  if (vcpu.systemReset) return true;
  // H_CEDE turns interrupts on; whoever conferred to itself keeps what it had.
  if (vcpu.state === 'conferred' && (vcpu.context.msr & MSR.EE) === 0n) return false;
  return vcpu.decrementerExpires < now || hasExternal(vm.xics, vcpu.id);
}

function mayRun(vm: Vm, vcpu: Vcpu): boolean {
  if (vm.end !== null || !vm.ready) return false;
  return vmState(vm.secureGuest) !== 'transient' || vm.transition === vcpu.id;
}

/** The vCPUs that are this CPU's to run, in a fixed order. */
function vcpusOf(kvm: KvmState, cpu: number): Vcpu[] {
  return [...kvm.vms.values()].flatMap(({ vcpus }) => vcpus.filter((vcpu) => vcpu.cpu === cpu));
}

function load(ctx: Ctx, vcpu: Vcpu): void {
  const { kvm, port, cpu } = ctx;
  const vm = vmOf(kvm, vcpu.lpid);
  loadVcpu(port, vm, vcpu);
  cpu.loaded = { lpid: vcpu.lpid, vcpu: vcpu.id };
  countYield(kvm.memory, vm, vcpu);
}

function unload(ctx: Ctx): void {
  const { kvm, port, cpu } = ctx;
  const vcpu = loadedVcpu(ctx);
  cpu.loaded = null;
  if (vcpu === undefined) return;
  unloadVcpu(port, vcpu);
  countYield(kvm.memory, vmOf(kvm, vcpu.lpid), vcpu);
}
