import { fpcr, fpsr, v, vHigh, x } from '../isa/state.ts';
import { stackPointer } from './banked.ts';
import type { Core } from './core.ts';
import { SYSTEM_REGISTERS } from './register-table.ts';

/** System registers that EL1 can read. */
const READABLE = [...SYSTEM_REGISTERS.values()].filter(({ read }) => read !== 'no' && read <= 1);

/** Every register that software at EL1 can read, by its name: what a host finds when it gets control. Counters are the machine's clock. */
export function architectedRegisters(core: Core): Record<string, bigint> {
  const { context } = core;
  const registers: Record<string, bigint> = {
    SP_EL0: stackPointer(context, 0),
    SP_EL1: stackPointer(context, 1),
    PSTATE: core.pstate,
    FPCR: context.get64(fpcr),
    FPSR: context.get64(fpsr),
  };
  for (const { name, slot } of READABLE) registers[name] ??= context.get64(slot);
  for (const [n, slot] of x.slots.slice(0, 31).entries()) registers[`X${n}`] = context.get64(slot);
  for (const [n, slot] of v.slots.entries()) {
    registers[`V${n}`] = context.get64(slot);
    registers[`V${n} high`] = context.get64(vHigh.slots[n] as (typeof vHigh.slots)[number]);
  }
  return registers;
}
