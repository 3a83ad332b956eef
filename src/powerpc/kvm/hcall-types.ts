import type { ExitJob, Job } from './job.ts';
import type { Ctx } from './state.ts';
import type { HypercallResult } from './user-space.ts';
import type { Vcpu, Vm } from './vm.ts';

/** A hypercall that the hypervisor serves. */
export interface HcallRequest {
  readonly ctx: Ctx;
  readonly vm: Vm;
  readonly vcpu: Vcpu;
  readonly exit: ExitJob;
  /** R4 to R12. */
  readonly args: readonly bigint[];
}

/** A status and outputs; or a job whose result is the status; a bare number is a status without outputs. */
export type HcallAnswer = number | HypercallResult | { readonly job: Job };

/** Checks its arguments before it changes anything; a `GuestFault` that it lets through has it run again from its start. */
export type HcallHandler = (request: HcallRequest) => HcallAnswer;
