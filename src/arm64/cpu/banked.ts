import type { CpuContext } from '../../engine/cpu.ts';
import { type ExceptionLevel, PSTATE } from '../abi.ts';
import { flagC, flagLess, flagN, flagV, flagZ, layout, pstate, STACK, x } from '../isa/state.ts';
import { systemRegister } from './register-table.ts';

/** Stack pointers by the exception level they belong to; the selected one is in `x[STACK]`, and its slot here is then stale. */
const BANK = [
  systemRegister('SP_EL0').slot,
  systemRegister('SP_EL1').slot,
  /** MRS and MSR do not reach it below EL3. */
  layout.i64('SP_EL2'),
] as const;

const NZCV_SHIFT = 28n;

/** The exception level that a PSTATE names. */
export function levelOf(value: bigint): ExceptionLevel {
  return Number((value & PSTATE.EL) >> 2n) as ExceptionLevel;
}

/** Whose stack pointer a PSTATE selects. */
const bankOf = (value: bigint): ExceptionLevel => ((value & PSTATE.SP) === 0n ? 0 : levelOf(value));

/** PSTATE with its flags, as SPSR_ELx would show it. */
export function readPstate(context: CpuContext): bigint {
  const bit = (slot: typeof flagN): bigint => BigInt(context.get32(slot));
  const nzcv = (bit(flagN) << 3n) | (bit(flagZ) << 2n) | (bit(flagC) << 1n) | bit(flagV);
  return context.get64(pstate) | (nzcv << NZCV_SHIFT);
}

/** Writes PSTATE with its flags, and exchanges the stack pointer where another one is selected. */
export function writePstate(context: CpuContext, value: bigint): void {
  const bit = (n: bigint): number => Number((value >> n) & 1n);
  context.set32(flagN, bit(31n));
  context.set32(flagZ, bit(30n));
  context.set32(flagC, bit(29n));
  context.set32(flagV, bit(28n));
  context.set32(flagLess, bit(31n) ^ bit(28n));
  const from = bankOf(context.get64(pstate));
  const to = bankOf(value);
  if (from !== to) {
    const current = x.slots[STACK] as (typeof x.slots)[number];
    context.set64(BANK[from], context.get64(current));
    context.set64(current, context.get64(BANK[to]));
  }
  context.set64(pstate, value & ~(0xfn << NZCV_SHIFT));
}

/** A level's stack pointer, wherever it is now. */
export function stackPointer(context: CpuContext, level: ExceptionLevel): bigint {
  const selected = bankOf(context.get64(pstate)) === level;
  return context.get64(selected ? (x.slots[STACK] as (typeof x.slots)[number]) : BANK[level]);
}

export function setStackPointer(context: CpuContext, level: ExceptionLevel, value: bigint): void {
  const selected = bankOf(context.get64(pstate)) === level;
  context.set64(selected ? (x.slots[STACK] as (typeof x.slots)[number]) : BANK[level], value);
}
