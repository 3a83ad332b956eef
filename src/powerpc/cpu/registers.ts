import type { CpuContext } from '../../engine/cpu.ts';
import { SPR } from '../abi.ts';
import * as isa from '../isa/state.ts';

const XER_SO = 0x80000000;
const XER_OV = 0x40000000;
const XER_CA = 0x20000000;
const XER_OV32 = 0x80000;
const XER_CA32 = 0x40000;
const XER_COUNT = 0x7f;

export function gpr(context: CpuContext, n: number): bigint {
  return context.get64(isa.gpr.slots[n] as (typeof isa.gpr.slots)[number]);
}

export function setGpr(context: CpuContext, n: number, value: bigint): void {
  context.set64(isa.gpr.slots[n] as (typeof isa.gpr.slots)[number], value);
}

/** Raw bits of a floating point register. */
export function fpr(context: CpuContext, n: number): bigint {
  return context.get64(isa.fpr.slots[n] as (typeof isa.fpr.slots)[number]);
}

export function setFpr(context: CpuContext, n: number, bits: bigint): void {
  context.set64(isa.fpr.slots[n] as (typeof isa.fpr.slots)[number], bits);
}

/** The place of the floating point registers, which lie one behind the other, among the store's doublewords. */
function fprIndex(context: CpuContext): number {
  return (context.base + isa.fpr.offset) >>> 3;
}

/** Raw bits of all floating point registers, a copy. */
export function fprs(context: CpuContext): BigUint64Array {
  const first = fprIndex(context);
  return context.store.u64.slice(first, first + isa.fpr.slots.length);
}

export function setFprs(context: CpuContext, bits: BigUint64Array): void {
  context.store.u64.set(bits, fprIndex(context));
}

/** Floating point status and control. */
export function fpscr(context: CpuContext): bigint {
  return context.get64(isa.fpscr);
}

export function setFpscr(context: CpuContext, value: bigint): void {
  context.set64(isa.fpscr, value);
}

/** The condition register as one number, its bit 0 (IBM numbering) in bit 31. */
export function cr(context: CpuContext): number {
  let value = 0;
  for (const slot of isa.cr.slots) value = (value << 1) | context.get32(slot);
  return value >>> 0;
}

export function setCr(context: CpuContext, value: number): void {
  const { slots } = isa.cr;
  for (let i = 0; i < slots.length; i++) {
    context.set32(slots[i] as (typeof slots)[number], (value >>> (31 - i)) & 1);
  }
}

/** XER, put together from its flags (Power ISA 3.0B, Book I 3.2.2). */
export function xer(context: CpuContext): bigint {
  const flag = (slot: typeof isa.so, mask: number): number => (context.get32(slot) === 0 ? 0 : mask);
  const flags =
    flag(isa.so, XER_SO) +
    flag(isa.ov, XER_OV) +
    flag(isa.ca, XER_CA) +
    flag(isa.ov32, XER_OV32) +
    flag(isa.ca32, XER_CA32);
  return BigInt(flags + context.get32(isa.stringCount));
}

export function setXer(context: CpuContext, value: bigint): void {
  const low = Number(value & 0xffffffffn);
  const set = (slot: typeof isa.so, mask: number): void => context.set32(slot, (low & mask) === 0 ? 0 : 1);
  set(isa.so, XER_SO);
  set(isa.ov, XER_OV);
  set(isa.ca, XER_CA);
  set(isa.ov32, XER_OV32);
  set(isa.ca32, XER_CA32);
  context.set32(isa.stringCount, low & XER_COUNT);
}

/** Slots by name. An object with so many keys would be looked up more slowly. */
const SPR_SLOTS: ReadonlyMap<string, isa.SprDefinition['slot']> = new Map(
  Object.entries(SPR).flatMap(([name, number]) => {
    const definition = isa.SPRS.get(number);
    return definition === undefined ? [] : [[name, definition.slot]];
  }),
);

/** The slot of a special purpose register that has one of its own; the CPU model's way to it, which no privilege checks. */
export function sprSlot(name: keyof typeof SPR): isa.SprDefinition['slot'] {
  const slot = SPR_SLOTS.get(name);
  if (slot === undefined) throw new Error(`${name} has no slot of its own`);
  return slot;
}
