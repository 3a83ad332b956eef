import type { Job } from './job.ts';
import type { Ctx, KvmState } from './state.ts';
import type { Vm } from './vm.ts';

/**
 * Rings the doorbell of every CPU that has to look again: because one of its vCPUs got an interrupt, was started or prodded, or because it
 * waits for the others to leave a VM. Whoever causes such a thing only notes it; this is done when the CPU at hand leaves the hypervisor.
 */
export function ringDoorbells({ kvm, port, cpu }: Ctx): void {
  if (kvm.cpus.length === 1) return;
  const targets = new Set<number>();
  for (const { xics, vcpus } of kvm.vms.values()) {
    for (const vcpu of vcpus) {
      const icp = xics.presentations[vcpu.id];
      if (vcpu.kicked || icp.raised) targets.add(vcpu.cpu);
      vcpu.kicked = false;
      icp.raised = false;
    }
  }
  for (const other of kvm.cpus) if (other.waiting) targets.add(other.index);
  targets.delete(cpu.index);
  for (const index of targets) port.sendDoorbell(index);
}

/** Has all CPUs of a VM's vCPUs look again. */
export function kickAll(vm: Vm): void {
  for (const vcpu of vm.vcpus) vcpu.kicked = true;
}

/** Whether another CPU executes in the VM at this moment, or is in the middle of something for it. */
export function runsElsewhere(kvm: KvmState, vm: Vm, cpu: number): boolean {
  return kvm.cpus.some(({ index, loaded, inGuest, jobs }) => {
    if (index === cpu) return false;
    return (inGuest && loaded?.lpid === vm.lpid) || jobs.some((job) => lpidOf(job) === vm.lpid);
  });
}

/** Whether another CPU is in the middle of a job for the VM, beyond the exit of a vCPU: what it looks at must not change meanwhile. */
export function busyElsewhere(kvm: KvmState, lpid: number, cpu: number): boolean {
  return kvm.cpus.some(({ index, jobs }) => index !== cpu && jobs.some((job) => isWork(job) && lpidOf(job) === lpid));
}

function isWork({ kind }: Job): boolean {
  return kind !== 'exit' && kind !== 'uv-return';
}

function lpidOf(job: Job): number {
  return job.kind === 'exit' ? job.info.lpid : job.lpid;
}
