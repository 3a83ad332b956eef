import { ICH_HCR, LIST_REGISTERS, LR, PPI } from '../abi.ts';
import { holdTimerInterrupt, kick } from './host-gic.ts';
import type { Ctx } from './state.ts';
import { driveTimerLines, ticksNow, virtualTimerDue } from './timers.ts';
import type { Listed, Vcpu } from './vm.ts';

/**
 * A guest's interrupt controller is a GICv3 of the VMM's; before a vCPU runs, what is active or pending there for it goes into list registers, and when
 * it comes back what became of them goes into the model (Arm IHI 0069H, chapter 6; arm64-pkvm.md 9.7).
 */
export function listInterrupts(ctx: Ctx, vcpu: Vcpu): void {
  const { vm, struct } = vcpu;
  const now = ticksNow(ctx.port);
  driveTimerLines(vcpu, now);
  const known = vm.gic.listable(vcpu.index);
  const listed: Listed[] = [];
  for (const { intid, priority, group, active, pending } of known.slice(0, LIST_REGISTERS)) {
    const timer = intid === PPI.virtualTimer;
    const state = active ? LR.active : LR.pending;
    // Of one that is already pending again, or that stays so for its level, we have to know when it has ended.
    const again = active && pending ? LR.EOI : 0n;
    const backing = timer ? LR.HW | (BigInt(intid) << LR.physicalShift) : again | endsLater(intid);
    const value = BigInt(intid) | (BigInt(priority) << LR.priorityShift) | (group === 1 ? LR.group : 0n);
    struct.setList(listed.length, value | state | backing);
    listed.push({ intid, state: active ? 'active' : 'pending' });
  }
  vcpu.listed = listed;
  struct.setVgic('usedLrs', BigInt(listed.length));
  struct.setVgic('hcr', ICH_HCR.En | (known.length > LIST_REGISTERS ? ICH_HCR.UIE : 0n));
  holdTimerInterrupt(ctx, virtualTimerDue(vcpu, now) || listed.some(({ intid }) => intid === PPI.virtualTimer));
}

/** Shared and private peripherals may hold their lines high: their end is looked at. */
const endsLater = (intid: number): bigint => (intid >= 16 ? LR.EOI : 0n);

/** What became of the list registers. */
export function unlistInterrupts({ vm, index, struct, listed }: Vcpu): void {
  for (const [n, { intid, state }] of listed.entries()) {
    const value = struct.list(n);
    const taken = (value & LR.pending) === 0n;
    if (state === 'pending' && taken) vm.gic.activate(index, intid);
    if ((value & (LR.active | LR.pending)) === 0n) vm.gic.deactivate(index, intid);
  }
}

/** Whether the vCPU has an interrupt to wake up for. */
export function hasInterrupt(vcpu: Vcpu, now: bigint): boolean {
  driveTimerLines(vcpu, now);
  return vcpu.vm.gic.listable(vcpu.index).some(({ pending, active }) => pending && !active);
}

/** After something happened to a VM's interrupts: vCPUs that have one which they do not know of leave their guest, or wake up. */
export function notifyVcpus(ctx: Ctx, vcpus: readonly Vcpu[]): void {
  for (const vcpu of vcpus) {
    if (vcpu.cpu === ctx.cpu.index || vcpu.state === 'off') continue;
    const unknown = vcpu.vm.gic
      .listable(vcpu.index)
      .some(({ intid, pending, active }) => pending && !active && !vcpu.listed.some((l) => l.intid === intid));
    const owner = ctx.kvm.cpus[vcpu.cpu];
    if (unknown && owner !== undefined && (owner.waiting || owner.loaded === vcpu)) kick(ctx, vcpu.cpu);
  }
}
