import type { RealAddress } from '../../machine/types.ts';
import type { PvCommand } from './pv-command.ts';
import type { UvcAnswer, UvInfo } from './uvc.ts';
import type { Vcpu, Vm } from './vm.ts';

/**
 * What the hypervisor is in the middle of. A CPU has a stack of jobs: the top one runs until it takes a `Step`, and one that waits for a UVC, or for a
 * job that it pushed, is run again with the result. So nothing ever waits inside a call.
 */
export type Job = BootJob | ExitJob | PageJob | PvJob | CpuJob | ProtectJob | SecureResetJob | DestroyJob | UvcsJob;

interface JobRecord {
  /** What the job gave, once it is done. */
  result?: number;
}

/** The host comes up: QUI, INIT_UV (5.12). */
export interface BootJob extends JobRecord {
  readonly kind: 'boot';
  step: 'query' | 'queried' | 'initialized';
  info: UvInfo | null;
}

/** A CPU has to find something to do: after an exit, at the start, out of a wait. */
export interface ExitJob extends JobRecord {
  readonly kind: 'exit';
  /** `again`: a job made what kept the guest from going on; `resume`: all is handled. */
  step: 'dispatch' | 'again' | 'resume';
  /** The guest that left SIE; null where none was in it. */
  readonly vcpu: Vcpu | null;
  readonly cause: ExitCause;
  /** Another vCPU of this CPU is to run next, if there is one. */
  yields: boolean;
}

export type ExitCause =
  /** SIE wrote an interception code. */
  | { readonly kind: 'interception' }
  /** A program interruption of the host's, by an access of the guest's. The address is guest absolute. */
  | { readonly kind: 'program'; readonly code: number; readonly address: number }
  | { readonly kind: 'interruption' }
  | { readonly kind: 'idle' };

/** One page: makes it secure for a guest, accessible for the host, or nobody's. Gives 0 or a negative errno. */
export interface PageJob extends JobRecord {
  readonly kind: 'page';
  readonly action: 'import' | 'pin' | 'unpin' | 'export' | 'destroy';
  readonly vm: Vm;
  /** Guest absolute address; of `pin`, `export` and `destroy` the host's absolute address. */
  readonly address: number;
  step: 'start' | 'answer' | 'fallback';
}

/** A command of KVM_S390_PV_COMMAND or of KVM_S390_PV_CPU_COMMAND (7.2). Gives 0 or a negative errno. */
export interface PvJob extends JobRecord {
  readonly kind: 'pv';
  readonly vm: Vm;
  readonly command: PvCommand;
  /** Of the last UVC, as the caller of the ioctl gets them. */
  rc: number;
  rrc: number;
  step: string;
  index: number;
  /** Storage that this command has taken and may have to give back. */
  taken: { readonly base: RealAddress; readonly size: number }[];
}

/** A command for one CPU of a protected VM: a reset or a new state. Gives 0 or a negative errno. */
export interface CpuJob extends JobRecord {
  readonly kind: 'cpu';
  readonly vcpu: Vcpu;
  readonly command: 'CPU_RESET' | 'CPU_RESET_INITIAL' | 'CPU_RESET_CLEAR' | 'CPU_SET_STATE';
  readonly state: number;
  asked: boolean;
}

/** DIAG 308 subcode 10: the VM becomes protected (5.2). */
export interface ProtectJob extends JobRecord {
  readonly kind: 'protect';
  readonly vcpu: Vcpu;
  /** The general register that gets the response code. */
  readonly register: number;
  readonly block: Uint8Array;
  step: 'enable' | 'parameters' | 'unpack' | 'verify' | 'load' | 'done' | 'failed';
  component: number;
  /** The command under way. */
  command: PvJob | null;
}

/** DIAG 308 subcodes 0, 1 and 3 of a protected guest (5.9). */
export interface SecureResetJob extends JobRecord {
  readonly kind: 'secure-reset';
  readonly vcpu: Vcpu;
  readonly subcode: number;
  step: 'stop' | 'unshare' | 'prepare' | 'reset' | 'load' | 'disabled' | 'done';
  index: number;
}

/** Takes down a VM that has ended. */
export interface DestroyJob extends JobRecord {
  readonly kind: 'destroy';
  readonly vm: Vm;
  step: 'disable' | 'free';
}

/** UVCs that a hostile hypervisor makes of its own accord, one after the other whatever comes of them; gives 0. */
export interface UvcsJob extends JobRecord {
  readonly kind: 'uvcs';
  readonly blocks: readonly Uint8Array[];
  made: number;
}

/** What a job gets when it runs again. */
export interface Result {
  /** Of its UVC. */
  readonly uvc: UvcAnswer | null;
  /** Of its job: 0 or a negative errno. */
  readonly value: number;
}

/** What a job does next. */
export type Step =
  /** Leaves through UVC; the job runs again with the answer. Busy and partial are issued again before that. */
  | { readonly do: 'uvc'; readonly block: Uint8Array }
  /** Runs another job first; this one runs again with what that gives. */
  | { readonly do: 'job'; readonly job: Job }
  /** Is done; `value` goes to the job below. */
  | { readonly do: 'give'; readonly value: number }
  /** Leaves the hypervisor: to a guest, or to wait. */
  | { readonly do: 'sie'; readonly vcpu: Vcpu }
  | { readonly do: 'wait' };

/** Error numbers of Linux, negative as its functions give them. */
export const ERRNO = { EIO: -5, ENXIO: -6, EAGAIN: -11, ENOMEM: -12, EFAULT: -14, EINVAL: -22, ENOTTY: -25 } as const;
