import { SIGP, SIGP_STATUS } from '../abi.ts';
import type { ControlWork } from './control-work.ts';
import type { CpuState, ServiceAnswer } from './port.ts';

/** Another CPU, as SIGP reaches it. */
export interface SignalTarget {
  readonly state: CpuState;
  /** Executes or waits, rather than being stopped or between its slices; here: whether it is no stopped one. */
  readonly isRunning: boolean;
  externalCall(from: number): boolean;
  readonly hasExternalCall: boolean;
  emergency(from: number): void;
  start(): void;
  stop(): void;
  restart(): void;
  reset(kind: 'normal' | 'initial'): void;
  /** Whether there is storage for a prefix area. */
  isPrefix(prefix: number): boolean;
  setPrefix(prefix: number): void;
  /** @returns false where the area is no storage; without an address: at absolute 0x1200, with the architecture mode at 0xa3 */
  storeStatus(address: number | null): boolean;
}

/** How an order ended: a condition code, with status where it is 1. */
type Result = 0 | 3 | { readonly status: number };

/**
 * SIGNAL PROCESSOR (8.7): order in the second-operand address, CPU address in register R3, parameter and status in R1 and the odd register with it.
 * @param find a CPU by its address
 */
export function signalProcessor(w: ControlWork, find: (address: number) => SignalTarget | undefined): ServiceAnswer {
  const r1 = w.field('R1');
  const target = find(w.gr32(w.field('R3')) & 0xffff);
  const result = target === undefined ? 3 : order(Number(w.address(2) & 0xffn), target, w.gr32(r1 | 1), w.core.index);
  if (typeof result === 'number') return result;
  w.setGr32(r1, result.status);
  return 1;
}

function order(code: number, target: SignalTarget, parameter: number, from: number): Result {
  switch (code) {
    case SIGP.SENSE: {
      const status =
        (target.state === 'stopped' ? SIGP_STATUS.STOPPED : 0) |
        (target.state === 'check-stop' ? SIGP_STATUS.CHECK_STOP : 0) |
        (target.hasExternalCall ? SIGP_STATUS.EXTERNAL_CALL_PENDING : 0);
      return status === 0 ? 0 : { status };
    }
    case SIGP.SENSE_RUNNING:
      return target.isRunning ? 0 : { status: SIGP_STATUS.NOT_RUNNING };
    case SIGP.EXTERNAL_CALL:
      return target.externalCall(from) ? 0 : { status: SIGP_STATUS.EXTERNAL_CALL_PENDING };
    case SIGP.EMERGENCY_SIGNAL:
    case SIGP.CONDITIONAL_EMERGENCY:
      target.emergency(from);
      return 0;
    case SIGP.START:
      target.start();
      return 0;
    case SIGP.STOP:
      target.stop();
      return 0;
    case SIGP.RESTART:
      target.restart();
      return 0;
    case SIGP.STOP_AND_STORE_STATUS:
      target.stop();
      target.storeStatus(null);
      return 0;
    case SIGP.INITIAL_CPU_RESET:
      target.reset('initial');
      return 0;
    case SIGP.CPU_RESET:
      target.reset('normal');
      return 0;
    case SIGP.SET_PREFIX:
      if (!target.isPrefix(parameter & 0x7fffe000)) return { status: SIGP_STATUS.INVALID_PARAMETER };
      if (target.state !== 'stopped') return { status: SIGP_STATUS.INCORRECT_STATE };
      target.setPrefix(parameter & 0x7fffe000);
      return 0;
    case SIGP.STORE_STATUS:
      if (target.state !== 'stopped') return { status: SIGP_STATUS.INCORRECT_STATE };
      return target.storeStatus(parameter & 0x7ffffe00) ? 0 : { status: SIGP_STATUS.INVALID_PARAMETER };
    case SIGP.SET_ARCHITECTURE:
      // CZAM: it is z/Architecture already.
      return { status: SIGP_STATUS.INVALID_PARAMETER };
    default:
      return { status: SIGP_STATUS.INVALID_ORDER };
  }
}
