import { EC, type ExceptionLevel, HCR, PSTATE } from '../abi.ts';
import type { Core } from './core.ts';
import { defaultTarget, type ExceptionKind, takeException, takeSynchronous } from './exceptions.ts';

/** Interrupt inputs of a PE, as its GIC CPU interface drives them. */
export interface InterruptLines {
  irq: boolean;
  fiq: boolean;
  /** The virtual CPU interface has something for EL1 (ICH_LRn). */
  virtualIrq: boolean;
  virtualFiq: boolean;
}

/** An interrupt's ways: which HCR_EL2 bit routes the physical one to EL2, which makes a virtual one pending, and what masks both. */
interface Way {
  readonly kind: ExceptionKind;
  readonly physical: 'irq' | 'fiq' | null;
  readonly virtual: 'virtualIrq' | 'virtualFiq' | null;
  readonly route: bigint;
  readonly pend: bigint;
  readonly mask: bigint;
}

/** In order of priority. */
const WAYS: readonly Way[] = [
  { kind: 'fiq', physical: 'fiq', virtual: 'virtualFiq', route: HCR.FMO, pend: HCR.VF, mask: PSTATE.F },
  { kind: 'irq', physical: 'irq', virtual: 'virtualIrq', route: HCR.IMO, pend: HCR.VI, mask: PSTATE.I },
  { kind: 'serror', physical: null, virtual: null, route: HCR.AMO, pend: HCR.VSE, mask: PSTATE.A },
];

/** Whether a virtual interrupt waits for EL1 and EL0, masked or not. */
function virtualPending(core: Core, lines: InterruptLines, way: Way): boolean {
  if (!core.hcr(way.route) || core.hcr(HCR.TGE)) return false;
  return core.hcr(way.pend) || (way.virtual !== null && lines[way.virtual]);
}

/** The level that takes a physical interrupt now; null where it waits (Arm ARM, D1.3.6, "Asynchronous exception routing"). */
function physicalTarget(core: Core, way: Way): ExceptionLevel | null {
  const masked = (core.pstate & way.mask) !== 0n;
  const { level } = core;
  if (core.hcr(way.route | HCR.TGE)) return level < 2 || !masked ? 2 : null;
  return level < 2 && !masked ? 1 : null;
}

/**
 * Takes what is due between two instructions: an illegal state, or the first interrupt that is not masked.
 * @returns whether something was taken
 */
export function takeInterrupt(core: Core, lines: InterruptLines): boolean {
  const { pc } = core.context;
  if ((core.pstate & PSTATE.IL) !== 0n) {
    takeSynchronous(core, defaultTarget(core), { ec: EC.illegalState });
    return true;
  }
  for (const way of WAYS) {
    const target = way.physical !== null && lines[way.physical] ? physicalTarget(core, way) : null;
    if (target !== null) {
      takeException(core, target, way.kind, pc, null);
      return true;
    }
    if (core.level < 2 && (core.pstate & way.mask) === 0n && virtualPending(core, lines, way)) {
      if (way.kind === 'serror') takeVirtualSerror(core, pc);
      else takeException(core, 1, way.kind, pc, null);
      return true;
    }
  }
  return false;
}

/** A virtual SError is taken once: HCR_EL2.VSE is cleared. */
function takeVirtualSerror(core: Core, pc: bigint): void {
  core.setRegister('HCR_EL2', core.register('HCR_EL2') & ~HCR.VSE);
  takeException(core, 1, 'serror', pc, { ec: EC.serror });
}

/** Whether something ends a WFI or WFE: an interrupt that could be taken were it not masked by PSTATE (Arm ARM, D1.6.2). */
export function wakes(core: Core, lines: InterruptLines): boolean {
  return WAYS.some((way) => {
    if (way.physical !== null && lines[way.physical]) return true;
    return core.level < 2 && virtualPending(core, lines, way);
  });
}

/** ISR_EL1: what is pending for the current level, A, I and F in bits 8 to 6. */
export function interruptStatus(core: Core, lines: InterruptLines): bigint {
  let status = 0n;
  for (const way of WAYS) {
    const virtual = core.level === 1 && core.hcr(way.route);
    const pending = virtual ? virtualPending(core, lines, way) : way.physical !== null && lines[way.physical];
    if (pending) status |= way.mask;
  }
  return status;
}
