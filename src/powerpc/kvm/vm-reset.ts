import { PATE_DW1, SPR, U_CODE } from '../abi.ts';
import { GuestFault } from './guest-memory.ts';
import type { Step, VmResetJob } from './job.ts';
import { type Ctx, vmOf } from './state.ts';
import { endVm, forgetAreas, startVcpu, type Vm } from './vm.ts';
import { resetXics } from './xics.ts';

/**
 * A VM begins anew, as after RTAS system-reboot: KVM_PPC_SVM_OFF if it was secure, everything that the guest set up forgotten, firmware and
 * kernel loaded again by the VMM, the first vCPU at their entry (power-pef.md 5.6, 6.8). No CPU is in the VM when this runs.
 */
export function runVmReset(ctx: Ctx, job: VmResetJob, result: number): Step {
  const vm = vmOf(ctx.kvm, job.lpid);
  switch (job.step) {
    case 'start':
      leaveCpus(ctx, vm);
      job.step = 'pate';
      return { do: 'job', job: { kind: 'svm-off', lpid: vm.lpid, step: 'start', slot: 0 } };

    case 'pate':
      if (result !== 0) return fail(vm, `KVM_PPC_SVM_OFF failed: ${result}`);
      resetVm(vm);
      job.step = 'load';
      return { do: 'job', job: { kind: 'write-pate', lpid: vm.lpid, processTable: PATE_DW1.GR, waiting: false } };

    case 'load':
      if (result !== U_CODE.U_SUCCESS) return fail(vm, `UV_WRITE_PATE failed: ${result}`);
      return load(ctx, vm);
  }
}

/** The registers that CPUs hold of its vCPUs are of no use any more. */
function leaveCpus({ kvm }: Ctx, vm: Vm): void {
  for (const cpu of kvm.cpus) if (cpu.loaded?.lpid === vm.lpid) cpu.loaded = null;
}

function resetVm(vm: Vm): void {
  vm.lpcr = 0n;
  forgetAreas(vm);
  resetXics(vm.xics);
  for (const vcpu of vm.vcpus) {
    vcpu.state = 'stopped';
    vcpu.prodded = false;
    vcpu.systemReset = false;
    vcpu.context.live = false;
    vcpu.context.secure = false;
  }
}

function load({ kvm, port }: Ctx, vm: Vm): Step {
  try {
    const entry = kvm.userSpace.get(vm.lpid)?.reset?.(vm);
    if (entry === undefined) return fail(vm, 'its VMM cannot reset it');
    startVcpu(vm.vcpus[0], entry, port.spr(SPR.TB));
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    return fail(vm, error.message);
  }
  vm.resetRequested = false;
  return { do: 'give', value: 0 };
}

function fail(vm: Vm, detail: string): Step {
  vm.resetRequested = false;
  endVm(vm, { kind: 'terminated', detail });
  return { do: 'give', value: 0 };
}
