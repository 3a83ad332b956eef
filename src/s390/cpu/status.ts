import { LOWCORE } from '../abi.ts';
import type { Core } from './core.ts';
import type { Lowcore } from './lowcore.ts';

/** Where registers go: the prefix area, or a block that has them at the same distances from `LOWCORE.SAVE_FPR`. */
type Target = Pick<Lowcore, 'write'>;

/** Registers that a machine check and a store-status save (Principles of Operation, "Store Status"). */
export function storeRegisters(core: Core, target: Target): void {
  for (let n = 0; n < 16; n++) {
    target.write(LOWCORE.SAVE_FPR + 8 * n, 8, core.fpr(n));
    target.write(LOWCORE.SAVE_GPR + 8 * n, 8, core.gr(n));
    target.write(LOWCORE.SAVE_AR + 4 * n, 4, core.ar(n));
    target.write(LOWCORE.SAVE_CR + 8 * n, 8, core.cr(n));
  }
  target.write(LOWCORE.SAVE_FPC, 4, core.fpc);
  target.write(LOWCORE.SAVE_TOD_PROGRAMMABLE, 4, core.timers.todProgrammable);
  target.write(LOWCORE.SAVE_CPU_TIMER, 8, core.timers.cpuTimer);
  // Bits 0 to 55, in bytes 1 to 7.
  target.write(LOWCORE.SAVE_CLOCK_COMPARATOR, 8, core.timers.clockComparator >> 8n);
}

/** Store status: registers, PSW and prefix. */
export function storeStatus(core: Core, target: Target): void {
  storeRegisters(core, target);
  target.write(LOWCORE.SAVE_PSW, 8, core.pswMask);
  target.write(LOWCORE.SAVE_PSW + 8, 8, core.context.pc);
  target.write(LOWCORE.SAVE_PREFIX, 4, core.prefix);
}
