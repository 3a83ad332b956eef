import { exitReason, handleExit } from './exits.ts';
import type { ExtraCall, RunJob, Step } from './job.ts';
import { POISONED } from './map-page.ts';
import { type Ctx, count } from './state.ts';
import { listInterrupts, unlistInterrupts } from './vgic.ts';
import { endVm, type Vm } from './vm.ts';

/** Runs the loaded vCPU until it comes back, and does what it came back for. */
export function runVcpu(ctx: Ctx, job: RunJob, result: number): Step {
  const { kvm, cpu, port } = ctx;
  const { vcpu } = job;
  switch (job.step) {
    case 'enter':
      listInterrupts(ctx, vcpu);
      kvm.hooks.entering?.(ctx, vcpu);
      job.step = 'extra';
      return { do: 'again' };
    case 'extra': {
      if (job.asked !== null) kvm.hooks.answered?.(ctx, job.asked.name, job.asked.args, result);
      job.asked = takeExtra(kvm.extra, vcpu.vm);
      if (job.asked !== null) return { do: 'call', name: job.asked.name, args: job.asked.args };
      job.step = 'exit';
      cpu.inGuest = true;
      return { do: 'call', name: '__kvm_vcpu_run', args: [vcpu.struct.base] };
    }
    case 'exit': {
      cpu.inGuest = false;
      unlistInterrupts(vcpu);
      kvm.hooks.exited?.(ctx, vcpu, result);
      const reason = exitReason(result, vcpu.struct.state('esr'));
      count(kvm.statistics.exits, reason);
      kvm.trace?.emit({ type: 'exit', at: port.clock, cpu: port.cpu, reason });
      const more = handleExit(ctx, vcpu, result);
      if (more === null) return { do: 'give', value: 0 };
      if (more === 'firmware') {
        job.step = 'answered';
        return { do: 'smc', registers: [0, 1, 2, 3].map((n) => vcpu.struct.x(n)) };
      }
      job.step = 'mapped';
      return { do: 'job', job: more };
    }
    case 'mapped':
      if (result !== 0) {
        const what =
          result === POISONED ? 'it touched a page that was taken away for good' : `a page was refused: ${result}`;
        endVm(vcpu.vm, { kind: 'terminated', detail: what });
      }
      return { do: 'give', value: 0 };
    case 'answered':
      for (let n = 0; n < 4; n++) vcpu.struct.setX(n, port.x(n));
      kvm.hooks.randoms?.(
        ctx,
        vcpu,
        [1, 2, 3].map((n) => port.x(n)),
      );
      return { do: 'give', value: 0 };
  }
}

/** The next hypercall that a hostile hypervisor makes for a VM. */
function takeExtra(extra: ExtraCall[], vm: Vm): ExtraCall | null {
  const at = extra.findIndex((call) => call.vm === vm);
  return at < 0 ? null : (extra.splice(at, 1)[0] ?? null);
}
