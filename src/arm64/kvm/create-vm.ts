import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, HOST_KVM, HOST_VCPU, hypVcpuBytes, hypVmBytes, STAGE2_ROOT_PAGES } from '../abi.ts';
import type { Call, CreateJob, Step } from './job.ts';
import type { Ctx } from './state.ts';
import { endVm, type Vm } from './vm.ts';

const pagesFor = (bytes: number): number => Math.ceil(bytes / ARM_PAGE_SIZE);

/** Makes a VM known to the hyp (arm64-pkvm.md 8.2): reserves a handle, shares the host's structures, donates memory for the hyp's. */
export function runCreate(ctx: Ctx, job: CreateJob, result: number): Step {
  const { vm } = job;
  switch (job.step) {
    case 'start':
      job.step = 'reserved';
      return { do: 'call', name: '__pkvm_reserve_vm', args: [] };
    case 'reserved':
      if (result < 0) return fail(vm, '__pkvm_reserve_vm', result);
      vm.handle = result;
      job.calls = callsOf(ctx, vm);
      job.step = 'calls';
      return next(job);
    case 'calls': {
      const call = job.calls[job.made - 1] as Call;
      if (result !== 0) return fail(vm, call.name, result);
      return next(job);
    }
  }
}

function next(job: CreateJob): Step {
  const call = job.calls[job.made];
  if (call === undefined) {
    job.vm.created = true;
    return { do: 'give', value: 0 };
  }
  job.made += 1;
  return { do: 'call', ...call };
}

function fail(vm: Vm, name: string, result: number): Step {
  endVm(vm, { kind: 'crashed', detail: `${name}: ${result}` });
  vm.destroyed = true;
  return { do: 'give', value: result };
}

function callsOf({ kvm: { view, pages, profile } }: Ctx, vm: Vm): Call[] {
  const field = (offset: number, value: bigint): void => view.writeU64Le((vm.kvm + offset) as RealAddress, value);
  field(HOST_KVM.handle, BigInt(vm.handle));
  field(HOST_KVM.createdVcpus, BigInt(vm.vcpus.length));
  field(HOST_KVM.isProtected, vm.isProtected ? 1n : 0n);
  const area = (bytes: number): number => {
    const base = pages.allocateRange(pagesFor(bytes));
    for (let n = 0; n < pagesFor(bytes); n++) vm.areas.push((base + n * ARM_PAGE_SIZE) as RealAddress);
    return base;
  };
  return [
    ...share(vm.kvm, HOST_KVM.size),
    {
      name: '__pkvm_init_vm',
      args: [vm.kvm, area(hypVmBytes(vm.vcpus.length)), area(STAGE2_ROOT_PAGES * ARM_PAGE_SIZE)],
    },
    ...vm.vcpus.flatMap(({ struct }): Call[] => [
      ...share(struct.base, HOST_VCPU.size),
      { name: '__pkvm_init_vcpu', args: [vm.handle, struct.base, area(hypVcpuBytes(profile))] },
    ]),
  ];
}

/** Lets the hyp look at a structure. */
function share(base: RealAddress, bytes: number): Call[] {
  return Array.from({ length: bytes / ARM_PAGE_SIZE }, (_, n) => ({
    name: '__pkvm_host_share_hyp',
    args: [base / ARM_PAGE_SIZE + n],
  }));
}
