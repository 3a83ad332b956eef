import { CR0, EXTERNAL } from '../abi.ts';
import type { ControlAnswer } from './control-work.ts';
import type { Core } from './core.ts';
import { CpuAccess } from './cpu-access.ts';
import {
  externalInterruption,
  floatingInterruption,
  programInterruption,
  restartInterruption,
} from './interruptions.ts';
import { HOST_EXCEPTION } from './sie-storage.ts';
import type { GuestInterruption, GuestPort, SecureCpu } from './ultravisor-port.ts';

/** Bits of CR0 that open a guest for external interruptions, by code. */
const EXTERNAL_BITS: Readonly<Record<number, bigint>> = {
  [EXTERNAL.INTERRUPT_KEY]: CR0.INTERRUPT_KEY,
  [EXTERNAL.CLOCK_COMPARATOR]: CR0.CLOCK_COMPARATOR,
  [EXTERNAL.CPU_TIMER]: CR0.CPU_TIMER,
  [EXTERNAL.MALFUNCTION_ALERT]: CR0.MALFUNCTION_ALERT,
  [EXTERNAL.EMERGENCY_SIGNAL]: CR0.EMERGENCY_SIGNAL,
  [EXTERNAL.EXTERNAL_CALL]: CR0.EXTERNAL_CALL,
  [EXTERNAL.SERVICE_SIGNAL]: CR0.SERVICE_SIGNAL,
};

/** Bits of CR14 that open a guest for repressible machine checks. */
const REPRESSIBLE = 0x1f000000;

/** A protected guest that is in the CPU, as the Ultravisor reaches it. */
export class GuestCpuPort extends CpuAccess implements GuestPort {
  readonly guest: SecureCpu;
  readonly #interpret: () => ControlAnswer;

  constructor(core: Core, guest: SecureCpu, interpret: () => ControlAnswer) {
    super(core);
    this.guest = guest;
    this.#interpret = interpret;
  }

  get tod(): bigint {
    return this.core.timers.tod.value;
  }

  get refusedByHost(): boolean {
    return this.core.mmu.fault.code === HOST_EXCEPTION;
  }

  advance(length: 2 | 4 | 6): void {
    const bits = this.core.context.mode.addressBits;
    this.core.setAddress(BigInt.asUintN(bits, this.core.context.pc + BigInt(length)));
  }

  interpret(): 'done' | 'fault' | { readonly program: number } {
    const answer = this.#interpret();
    if (answer === 'fault') return answer;
    if (typeof answer === 'object' && 'program' in answer) return answer;
    if (typeof answer === 'number') this.setCc(answer);
    return 'done';
  }

  enabledFor(interruption: GuestInterruption): boolean {
    const { masks } = this.core;
    switch (interruption.kind) {
      case 'machine-check':
        return (masks.machineCheck & REPRESSIBLE) !== 0;
      case 'external':
        return (masks.external & Number(EXTERNAL_BITS[interruption.code] ?? 0n)) !== 0;
      case 'io':
        return (masks.io & (0x80 >> ((interruption.word >>> 27) & 7))) !== 0;
      default:
        return true;
    }
  }

  interrupt(interruption: GuestInterruption): boolean {
    switch (interruption.kind) {
      case 'restart':
        return restartInterruption(this.core) === 'taken';
      case 'program':
        return programInterruption(this.core, interruption.code, interruption.length) === 'taken';
      case 'external':
        return (
          externalInterruption(this.core, interruption.code, interruption.cpuAddress, interruption.parameter) ===
          'taken'
        );
      default:
        return floatingInterruption(this.core, interruption) === 'taken';
    }
  }
}
