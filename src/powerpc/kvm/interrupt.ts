import { AIL3_OFFSET, LPCR, MSR, SPR, SRR1, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { setGuestSrr } from './registers.ts';
import { endVm, type GuestContext, type Vm } from './vm.ts';

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

/** Delivers a machine check; a guest that has them disabled stops, as a CPU enters checkstop. */
export function injectMachineCheck(port: RegisterPort, vm: Vm, context: GuestContext, flags: bigint): void {
  if ((context.msr & MSR.ME) === 0n) {
    const where = `0x${context.pc.toString(16)}`;
    endVm(vm, { kind: 'crashed', detail: `machine check at ${where} with MSR[ME]=0` });
    return;
  }
  injectInterrupt(port, vm, context, VECTOR.MACHINE_CHECK, flags);
}
