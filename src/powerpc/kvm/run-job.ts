import { runInitAbort } from './h_svm_init_abort.ts';
import { runInitDone } from './h_svm_init_done.ts';
import { runInitStart } from './h_svm_init_start.ts';
import { runPageIn, runSharePage } from './h_svm_page_in.ts';
import { runPageOut } from './h_svm_page_out.ts';
import type { Job, Step, UltracallsJob } from './job.ts';
import { runWritePate } from './partition.ts';
import { runExit } from './run-exit.ts';
import { runPageInval, runSharedFault } from './shared-page.ts';
import { runSlotCreate, runSlotDelete } from './slot-change.ts';
import { type Ctx, vmOf } from './state.ts';
import { endVm } from './vm.ts';
import { runVmReset } from './vm-reset.ts';
import { runDestroy, runSvmOff } from './vm-teardown.ts';

/**
 * Runs a job until its next step.
 * @param result what its last step asked for: the return code of an ultracall or the result of a job; 0 the first time
 */
export function runJob(ctx: Ctx, job: Job, result: number): Step {
  switch (job.kind) {
    case 'exit':
      return runExit(ctx, job, result);
    case 'uv-return':
      endVm(vmOf(ctx.kvm, job.lpid), { kind: 'terminated', detail: `UV_RETURN failed: ${result}` });
      return { do: 'give', value: 0 };
    case 'write-pate':
      return runWritePate(ctx, job, result);
    case 'destroy':
      return runDestroy(ctx, job);
    case 'svm-off':
      return runSvmOff(ctx, job, result);
    case 'vm-reset':
      return runVmReset(ctx, job, result);
    case 'slot-create':
      return runSlotCreate(ctx, job, result);
    case 'slot-delete':
      return runSlotDelete(ctx, job);
    case 'page-out':
      return runPageOut(ctx, job, result);
    case 'page-inval':
      return runPageInval(ctx, job, result);
    case 'shared-fault':
      return runSharedFault(ctx, job, result);
    case 'init-start':
      return runInitStart(ctx, job, result);
    case 'init-done':
      return runInitDone(ctx, job);
    case 'init-abort':
      return runInitAbort(ctx, job, result);
    case 'page-in':
      return runPageIn(ctx, job, result);
    case 'share-page':
      return runSharePage(ctx, job, result);
    case 'ultracalls':
      return runUltracalls(ctx, job, result);
  }
}

function runUltracalls(ctx: Ctx, job: UltracallsJob, result: number): Step {
  const last = job.calls[job.made - 1];
  if (last !== undefined) ctx.kvm.hooks.answered?.(ctx, last.number, result);
  const next = job.calls[job.made];
  if (next === undefined) return { do: 'give', value: 0 };
  job.made += 1;
  return { do: 'ultracall', number: next.number, args: next.args };
}
