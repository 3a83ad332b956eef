import { type GuestPhysical, guestPhysical, MSR, PATE_BYTES, PATE_DW1, PDE, PTE, RADIX_ROOT, SPR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { GuestContext, Vm } from './vm.ts';

const REAL_MODE = 0x3fffffffffffffffn;
const QUADRANT_SHIFT = 62n;
const KERNEL_QUADRANT = 3n;
const EA_MASK = 0x3fffffffffffffffn;

/**
 * Where an effective address of a stopped normal guest is, by a walk of the guest's own tables in its memory (power-pef.md 2.3, 2.4). It only
 * looks: nothing is checked but presence, and R is left alone. The hypervisor needs it to see an instruction that the guest executed.
 * @returns undefined if the guest does not map it
 * @throws GuestFault if a table is not in memory
 */
export function translateForGuest(
  port: RegisterPort,
  memory: GuestMemory,
  vm: Vm,
  context: GuestContext,
  effective: bigint,
): GuestPhysical | undefined {
  if ((context.msr & MSR.IR) === 0n) return guestPhysical(effective & REAL_MODE);
  const quadrant = effective >> QUADRANT_SHIFT;
  if (quadrant !== 0n && quadrant !== KERNEL_QUADRANT) return undefined;
  const pid = quadrant === 0n ? port.spr(SPR.PIDR) : 0n;
  const root = read(memory, vm, (vm.processTable & PATE_DW1.PRTB) + pid * BigInt(PATE_BYTES));
  const rts = ((root & RADIX_ROOT.RTS_HIGH) >> 58n) | ((root & RADIX_ROOT.RTS_LOW) >> 5n);
  let shift = rts + 31n;
  const address = effective & EA_MASK;
  if (address >> shift !== 0n) return undefined;
  let table = root & RADIX_ROOT.RPDB;
  let bits = root & RADIX_ROOT.RPDS;
  while (bits > 0n && bits <= shift) {
    shift -= bits;
    const entry = read(memory, vm, table + 8n * ((address >> shift) & ((1n << bits) - 1n)));
    if ((entry & PTE.V) === 0n) return undefined;
    if ((entry & PTE.L) !== 0n) {
      const offset = (1n << shift) - 1n;
      return guestPhysical((entry & PTE.RPN & ~offset) | (address & offset));
    }
    table = entry & PDE.NLB;
    bits = entry & PDE.NLS;
  }
  return undefined;
}

function read(memory: GuestMemory, vm: Vm, gpa: bigint): bigint {
  const bytes = memory.read(vm, gpa, 8);
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0);
}
