import { PPI } from '../abi.ts';
import type { Core } from './core.ts';

/** Ticks of the system counter and the instructions they take: CNTFRQ_EL0 says 62.5 MHz, a PE executes a thousand million a second. */
export interface CounterRate {
  readonly ticks: bigint;
  readonly instructions: bigint;
}

export const DEFAULT_COUNTER_RATE: CounterRate = { ticks: 1n, instructions: 16n };

/** CNTx_CTL (arm64-pkvm.md 9.6). */
const CTL = { ENABLE: 1n, IMASK: 2n, ISTATUS: 4n } as const;
const MASK = (1n << 64n) - 1n;

/** A timer of the generic timer: which registers it has, and the private interrupt that it raises. */
export interface TimerDefinition {
  readonly name: 'CNTP' | 'CNTV' | 'CNTHP';
  readonly suffix: 'EL0' | 'EL2';
  readonly intid: number;
}

export const TIMERS: readonly TimerDefinition[] = [
  { name: 'CNTP', suffix: 'EL0', intid: PPI.physicalTimer },
  { name: 'CNTV', suffix: 'EL0', intid: PPI.virtualTimer },
  { name: 'CNTHP', suffix: 'EL2', intid: PPI.hypTimer },
];

/** The generic timer of one PE: the system counter seen through it, and its timers (Arm ARM, D11; arm64-pkvm.md 9.6). */
export class GenericTimer {
  readonly #core: Core;
  readonly #rate: CounterRate;

  constructor(core: Core, rate: CounterRate = DEFAULT_COUNTER_RATE) {
    this.#core = core;
    this.#rate = rate;
  }

  /** CNTPCT_EL0. */
  physicalCount(): bigint {
    return (this.#core.clock() * this.#rate.ticks) / this.#rate.instructions;
  }

  /** CNTVCT_EL0. */
  virtualCount(): bigint {
    return (this.physicalCount() - this.#core.register('CNTVOFF_EL2')) & MASK;
  }

  /** CNTx_CTL with its status. */
  control(timer: TimerDefinition): bigint {
    const value = this.#core.register(`${timer.name}_CTL_${timer.suffix}`);
    return this.#met(timer) ? value | CTL.ISTATUS : value;
  }

  /** CNTx_TVAL: what is left, as a signed 32-bit number in a register. */
  value(timer: TimerDefinition): bigint {
    return (this.#compare(timer) - this.#count(timer)) & 0xffffffffn;
  }

  setValue(timer: TimerDefinition, value: bigint): void {
    const compare = (this.#count(timer) + BigInt.asIntN(32, value)) & MASK;
    this.#core.setRegister(`${timer.name}_CVAL_${timer.suffix}`, compare);
  }

  /** Whether the timer's interrupt line is high. */
  asserted(timer: TimerDefinition): boolean {
    const control = this.#core.register(`${timer.name}_CTL_${timer.suffix}`);
    return (control & (CTL.ENABLE | CTL.IMASK)) === CTL.ENABLE && this.#met(timer);
  }

  /** The clock value at which some line goes high that is low now; null for never. */
  nextDeadline(): bigint | null {
    let first: bigint | null = null;
    for (const timer of TIMERS) {
      const control = this.#core.register(`${timer.name}_CTL_${timer.suffix}`);
      if ((control & (CTL.ENABLE | CTL.IMASK)) !== CTL.ENABLE || this.#met(timer)) continue;
      const left = (this.#compare(timer) - this.#count(timer)) & MASK;
      const at = (this.physicalCount() + left) * this.#rate.instructions;
      const due = (at + this.#rate.ticks - 1n) / this.#rate.ticks;
      if (first === null || due < first) first = due;
    }
    return first;
  }

  #count({ name }: TimerDefinition): bigint {
    return name === 'CNTV' ? this.virtualCount() : this.physicalCount();
  }

  #compare({ name, suffix }: TimerDefinition): bigint {
    return this.#core.register(`${name}_CVAL_${suffix}`);
  }

  #met(timer: TimerDefinition): boolean {
    return this.#count(timer) >= this.#compare(timer);
  }
}
