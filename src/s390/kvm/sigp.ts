import { SIGP, SIGP_STATUS, UV_CPU_STATE } from '../abi.ts';
import type { CpuJob, Job } from './job.ts';
import type { InterceptedCall } from './service-call.ts';
import { resetVcpu, setOperating, setStopped } from './vcpu-reset.ts';
import type { Vcpu } from './vm.ts';

/** How a SIGP ended: a condition code, with status where it is 1; and what has to be done by UVC before the guest goes on. */
interface SigpResult {
  readonly cc: 0 | 1 | 2 | 3;
  readonly status?: number;
  readonly jobs?: readonly Job[];
}

const ACCEPTED: SigpResult = { cc: 0 };

/**
 * SIGP of a guest (8.7, 4.10): order in the second-operand address, target in general register r3, parameter and status in r1 and the odd register with it.
 * @returns jobs to be run before the guest goes on
 */
export function sigp(call: InterceptedCall): readonly Job[] {
  const { vcpu, r1, r3 } = call;
  const order = Number(call.address & 0xffn);
  const target = vcpu.vm.vcpus[Number(call.gr(r3) & 0xffffn)];
  const parameter = Number(call.gr(r1 | 1) & 0xffffffffn);
  const { cc, status, jobs = [] } = target === undefined ? { cc: 3 as const } : signal(vcpu, target, order, parameter);
  if (status !== undefined) call.setGr(r1, (call.gr(r1) & ~0xffffffffn) | BigInt(status));
  call.setCc(cc);
  return jobs;
}

function signal(source: Vcpu, target: Vcpu, order: number, parameter: number): SigpResult {
  switch (order) {
    case SIGP.SENSE: {
      const stopped = target.state === 'stopped' ? SIGP_STATUS.STOPPED : 0;
      const pending = target.pending.externalCall === null ? 0 : SIGP_STATUS.EXTERNAL_CALL_PENDING;
      const status = stopped | pending;
      return status === 0 ? ACCEPTED : { cc: 1, status };
    }
    case SIGP.SENSE_RUNNING:
      return target === source || target.state === 'operating' ? ACCEPTED : { cc: 1, status: SIGP_STATUS.NOT_RUNNING };
    case SIGP.EXTERNAL_CALL:
      if (target.pending.externalCall !== null) return { cc: 1, status: SIGP_STATUS.EXTERNAL_CALL_PENDING };
      target.pending.externalCall = source.id;
      target.kicked = true;
      return ACCEPTED;
    case SIGP.EMERGENCY_SIGNAL:
      target.pending.emergency.add(source.id);
      target.kicked = true;
      return ACCEPTED;
    case SIGP.START:
      if (target.state !== 'stopped') return ACCEPTED;
      return start(target);
    case SIGP.STOP:
      target.pending.stop = true;
      target.kicked = true;
      return ACCEPTED;
    case SIGP.RESTART:
      target.pending.restart = true;
      target.kicked = true;
      return target.state === 'stopped' ? start(target) : ACCEPTED;
    case SIGP.INITIAL_CPU_RESET:
    case SIGP.CPU_RESET:
      return reset(target, order === SIGP.CPU_RESET ? 'normal' : 'initial');
    case SIGP.SET_PREFIX:
      return setPrefix(target, parameter);
    case SIGP.SET_ARCHITECTURE:
      return { cc: 1, status: SIGP_STATUS.INVALID_PARAMETER };
    default:
      return { cc: 1, status: SIGP_STATUS.INVALID_ORDER };
  }
}

function start(target: Vcpu): SigpResult {
  setOperating(target);
  return { cc: 0, jobs: stateJobs(target, UV_CPU_STATE.OPERATING) };
}

function reset(target: Vcpu, kind: 'normal' | 'initial'): SigpResult {
  setStopped(target);
  resetVcpu(target, kind);
  const command = kind === 'normal' ? 'CPU_RESET' : 'CPU_RESET_INITIAL';
  const resets: Job[] = target.secure === null ? [] : [{ kind: 'cpu', vcpu: target, command, state: 0, asked: false }];
  return { cc: 0, jobs: [...stateJobs(target, UV_CPU_STATE.STOPPED), ...resets] };
}

function setPrefix(target: Vcpu, parameter: number): SigpResult {
  const prefix = parameter & 0x7fffe000;
  if (prefix + 0x2000 > target.vm.size) return { cc: 1, status: SIGP_STATUS.INVALID_PARAMETER };
  if (target.secure !== null || target.state !== 'stopped') return { cc: 1, status: SIGP_STATUS.INCORRECT_STATE };
  target.sie.setPrefix(prefix);
  return ACCEPTED;
}

/** Tells the Ultravisor of a state that KVM gives a secure CPU. */
export function stateJobs(vcpu: Vcpu, state: number): CpuJob[] {
  return vcpu.secure === null ? [] : [{ kind: 'cpu', vcpu, command: 'CPU_SET_STATE', state, asked: false }];
}
