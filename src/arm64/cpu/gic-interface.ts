import type { Core } from './core.ts';
import type { InterruptLines } from './interrupts.ts';
import type { SystemAccess } from './register-access.ts';
import type { GenericTimer } from './timers.ts';

/** The GIC's CPU interface of a PE, behind its system registers. */
export interface GicInterface {
  /** MRS or MSR of an ICC_ or ICH_ register. @returns as `accessRegister` */
  access(core: Core, access: SystemAccess, value: bigint): bigint | null;
  /** Brings the interrupt lines in step with timers, list registers and the distributor. */
  update(core: Core, timer: GenericTimer, lines: InterruptLines): void;
}
