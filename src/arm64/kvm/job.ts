import type { HypercallName } from '../abi.ts';
import type { Vcpu, Vm } from './vm.ts';

/** What a CPU does in the host, as plain data: a hypercall leaves the host, and the job goes on with its result when it comes back. */

/** Brings up the hyp on the first CPU, then the other CPUs. */
export interface BootJob {
  readonly kind: 'boot';
  step: 'vectors' | 'init' | 'finalize' | 'cpus';
  /** The CPU that is being started. */
  cpu: number;
}

/** Chooses what runs on this CPU; never done. */
export interface ScheduleJob {
  readonly kind: 'schedule';
  step: 'look' | 'put';
}

/** Makes a VM known to the hyp. */
export interface CreateJob {
  readonly kind: 'create';
  readonly vm: Vm;
  step: 'start' | 'reserved' | 'calls';
  calls: readonly Call[];
  made: number;
}

/** Runs the loaded vCPU once, and handles its exit. */
export interface RunJob {
  readonly kind: 'run';
  readonly vcpu: Vcpu;
  step: 'enter' | 'extra' | 'exit' | 'mapped' | 'answered';
  /** A hypercall of a hostile hypervisor's that is under way. */
  asked: ExtraCall | null;
}

/** Gives a guest a page. Gives 0 or an errno. */
export interface MapJob {
  readonly kind: 'map';
  readonly vcpu: Vcpu;
  readonly gfn: number;
  step: 'start' | 'mapped' | 'relaxed' | 'poison';
}

/** Takes a VM down and its memory back. */
export interface TeardownJob {
  readonly kind: 'teardown';
  readonly vm: Vm;
  step: 'start' | 'pages' | 'unshare';
  pages: number[];
  at: number;
}

export type Job = BootJob | ScheduleJob | CreateJob | RunJob | MapJob | TeardownJob;

/** A hypercall with its arguments, x1 and up. */
export interface Call {
  readonly name: HypercallName;
  readonly args: readonly (number | bigint)[];
}

/** A hypercall that is made before a vCPU of the VM goes on. */
export interface ExtraCall {
  readonly vm: Vm;
  readonly name: HypercallName;
  readonly args: readonly (number | bigint)[];
}

/** What a job does next. */
export type Step =
  /** Leaves by HVC; the job runs again with x1, signed, or −EOPNOTSUPP. */
  | { readonly do: 'call'; readonly name: HypercallName; readonly args: readonly (number | bigint)[] }
  /** Leaves by HVC before there is a hyp: x0 and what it answers there. */
  | { readonly do: 'hyp-init' }
  /** Calls firmware by SMC; the job runs again with x0, signed. */
  | { readonly do: 'smc'; readonly registers: readonly bigint[] }
  /** Runs another job first; this one runs again with what that gives. */
  | { readonly do: 'job'; readonly job: Job }
  /** Is done; `value` goes to the job below. */
  | { readonly do: 'give'; readonly value: number }
  /** Runs again at once. */
  | { readonly do: 'again' }
  /** Waits for an interrupt, then runs again. */
  | { readonly do: 'wait' };
