import { EC, ESR, type ExceptionLevel, HCR, PSTATE, SCTLR } from '../abi.ts';
import type { Core } from './core.ts';

/** Offsets from VBAR_ELx by what happened (Arm ARM, D1.3.1). */
const VECTOR = { synchronous: 0x000, irq: 0x080, fiq: 0x100, serror: 0x180 } as const;
export type ExceptionKind = keyof typeof VECTOR;

/** Offsets from VBAR_ELx by where it happened. */
const FROM = { sameWithSp0: 0x000, same: 0x200, lower: 0x400 } as const;

/** Of a synchronous exception. */
export interface Syndrome {
  readonly ec: number;
  /** ISS, bits 24 to 0 of ESR_ELx. */
  readonly iss?: bigint;
  /** FAR_ELx, where the exception has one. */
  readonly far?: bigint;
  /** HPFAR_EL2, of stage 2 faults. */
  readonly hpfar?: bigint;
}

/** All A64 instructions are 32 bits long. */
export const esrOf = ({ ec, iss = 0n }: Syndrome): bigint => (BigInt(ec) << ESR.ecShift) | ESR.IL | iss;

const registerAt = (name: string, level: ExceptionLevel): string => `${name}_EL${level}`;

/** The level that a synchronous exception with no rule of its own goes to (Arm ARM, D1.3.6). */
export function defaultTarget(core: Core): ExceptionLevel {
  if (core.level === 2) return 2;
  return core.level === 0 && core.hcr(HCR.TGE) ? 2 : 1;
}

/**
 * Takes an exception: saves PSTATE and the return address, masks everything and goes to the vector.
 * @param returnTo the preferred return address: of the instruction at hand, or behind it for SVC, HVC and SMC
 */
export function takeException(
  core: Core,
  target: ExceptionLevel,
  kind: ExceptionKind,
  returnTo: bigint,
  syndrome: Syndrome | null,
): void {
  const before = core.pstate;
  const from = core.level;
  core.setRegister(registerAt('SPSR', target), before);
  core.setRegister(registerAt('ELR', target), returnTo);
  if (syndrome !== null) {
    core.setRegister(registerAt('ESR', target), esrOf(syndrome));
    if (syndrome.far !== undefined) core.setRegister(registerAt('FAR', target), syndrome.far);
    if (syndrome.hpfar !== undefined) core.setRegister('HPFAR_EL2', syndrome.hpfar);
  }
  const same = (before & PSTATE.SP) === 0n ? FROM.sameWithSp0 : FROM.same;
  const offset = VECTOR[kind] + (from === target ? same : FROM.lower);
  const pan = target === 1 && (core.sctlr(1) & SCTLR.SPAN) === 0n ? PSTATE.PAN : before & PSTATE.PAN;
  const flags = before & (PSTATE.N | PSTATE.Z | PSTATE.C | PSTATE.V);
  const value = flags | pan | PSTATE.DAIF | (BigInt(target) << 2n) | PSTATE.SP;
  core.go(value, core.register(registerAt('VBAR', target)) + BigInt(offset), 'trap');
}

/** A synchronous exception at the instruction at hand. */
export function takeSynchronous(core: Core, target: ExceptionLevel, syndrome: Syndrome): void {
  takeException(core, target, 'synchronous', core.context.pc, syndrome);
}

/** The instruction at hand is undefined here. */
export function takeUndefined(core: Core): void {
  takeSynchronous(core, defaultTarget(core), { ec: EC.unknown });
}

/** Whether SPSR_ELx names a state that a return from `from` may lead to (Arm ARM, D1.4.4): AArch64, no higher, EL0 with its own SP. */
function isLegalReturn(core: Core, from: ExceptionLevel, spsr: bigint): boolean {
  const target = Number((spsr >> 2n) & 3n);
  if ((spsr & PSTATE.nRW) !== 0n || (spsr & 2n) !== 0n || target > from) return false;
  if (target === 0 && (spsr & PSTATE.SP) !== 0n) return false;
  return !(target === 1 && core.hcr(HCR.TGE));
}

const RESTORED =
  PSTATE.N | PSTATE.Z | PSTATE.C | PSTATE.V | PSTATE.PAN | PSTATE.DAIF | PSTATE.EL | PSTATE.SP | PSTATE.IL | PSTATE.SS;

/** ERET: to ELR_ELx with SPSR_ELx. One that is illegal stays at its level with PSTATE.IL set, and the next instruction excepts. */
export function exceptionReturn(core: Core): void {
  const { level } = core;
  const spsr = core.register(registerAt('SPSR', level));
  const elr = core.register(registerAt('ELR', level));
  if (isLegalReturn(core, level, spsr)) {
    core.go(spsr & RESTORED, elr, 'return');
    return;
  }
  const kept = core.pstate & (PSTATE.EL | PSTATE.SP);
  const taken = spsr & (RESTORED & ~(PSTATE.EL | PSTATE.SP));
  core.go(kept | taken | PSTATE.IL, elr, 'return');
}
