import { AIL3_OFFSET, LPCR, MSR, SPR, SRR1, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { guestLpcr, setGuestSrr } from './registers.ts';
import type { GuestContext, Vcpu, Vm } from './vm.ts';
import { hasExternal } from './xics.ts';

const TRANSLATION = MSR.IR | MSR.DR;

/**
 * Delivers an interrupt to the stopped guest, as the CPU would have (power-pef.md 1.9, 6.3). To a secure guest it is only a proposal: SRR1
 * goes to the Ultravisor in R2, which makes the state itself.
 * @param flags interrupt-specific bits of SRR1
 */
export function injectInterrupt(
  port: RegisterPort,
  vm: Vm,
  context: GuestContext,
  vector: bigint,
  flags: bigint,
): void {
  let msr = MSR.SF | MSR.ME | ((vm.lpcr & LPCR.ILE) === 0n ? 0n : MSR.LE);
  let pc = vector;
  const relocatable = vector !== VECTOR.SYSTEM_RESET && vector !== VECTOR.MACHINE_CHECK;
  if (relocatable && (vm.lpcr & LPCR.AIL) === LPCR.AIL && (context.msr & TRANSLATION) === TRANSLATION) {
    msr |= TRANSLATION;
    pc += AIL3_OFFSET;
  }
  setGuestSrr(port, context, context.pc, (context.msr & ~SRR1.STATUS) | flags);
  context.pc = pc;
  context.msr = msr;
}

/**
 * Last thing before a vCPU goes on: its external interrupt or system reset, if it can take it now. LPCR[MER] has one that it cannot take yet
 * come as soon as it can: to us from a normal guest, to the Ultravisor, which delivers it, from a secure one (power-pef.md 1.9, 6.3).
 */
export function deliverInterrupts(port: RegisterPort, vm: Vm, vcpu: Vcpu): void {
  const { context } = vcpu;
  const external = hasExternal(vm.xics, vcpu.id);
  port.setSpr(SPR.LPCR, guestLpcr(vm) | (external ? LPCR.MER : 0n));
  if (context.upcall) return;
  if (vcpu.systemReset) {
    vcpu.systemReset = false;
    injectInterrupt(port, vm, context, VECTOR.SYSTEM_RESET, 0n);
  } else if (external && (context.msr & MSR.EE) !== 0n) {
    injectInterrupt(port, vm, context, VECTOR.EXTERNAL, 0n);
  }
}

/** Delivers a program interrupt; `cause` is one of `SRR1.PROGRAM_…`. */
export function injectProgram(port: RegisterPort, vm: Vm, context: GuestContext, cause: bigint): void {
  injectInterrupt(port, vm, context, VECTOR.PROGRAM, cause);
}

/** What a machine check says of an access to a real address where nothing is, by access (POWER9 User's Manual; as QEMU does). */
const NOTHING_THERE = {
  data: { status: 0x200000n, dsisr: 0x40n },
  fetch: { status: 0x080c0000n, dsisr: 0n },
} as const;

/** Delivers a machine check for an access to a guest address where neither memory nor a device is. */
export function injectNothingThere(
  port: RegisterPort,
  vm: Vm,
  context: GuestContext,
  access: keyof typeof NOTHING_THERE,
  address: bigint,
): void {
  const { status, dsisr } = NOTHING_THERE[access];
  if (access === 'data') {
    port.setSpr(SPR.DAR, address);
    port.setSpr(SPR.DSISR, dsisr);
  }
  injectMachineCheck(port, vm, context, status);
}

/** Delivers a machine check. A guest never has them disabled: each entry sets MSR[ME]. */
export function injectMachineCheck(port: RegisterPort, vm: Vm, context: GuestContext, flags: bigint): void {
  injectInterrupt(port, vm, context, VECTOR.MACHINE_CHECK, flags);
}
