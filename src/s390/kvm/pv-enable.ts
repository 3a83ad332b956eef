import type { RealAddress } from '../../machine/types.ts';
import { SD, SDF, UV_RC, UVCB } from '../abi.ts';
import { PAGE } from './host-storage.ts';
import { ERRNO, type PvJob, type Result, type Step } from './job.ts';
import type { Ctx } from './state.ts';
import { controlBlock, handleCommand, type UvInfo, u64 } from './uvc.ts';
import type { Donation, Vcpu } from './vm.ts';

const MIB = 0x10_0000;

/** What the base storage of a configuration is aligned to (1.2). */
const BASE_ALIGNMENT = 0x4000;

/**
 * KVM_PV_ENABLE: makes the configuration and a secure CPU for each vCPU. What was donated for something that failed is taken back unless the Ultravisor says
 * that it has to be destroyed and that fails (2.8).
 */
export function runEnable(ctx: Ctx, job: PvJob, { uvc }: Result, uv: UvInfo): Step {
  const { vm } = job;
  switch (job.step) {
    case 'start': {
      if (vm.secure !== null) return { do: 'give', value: ERRNO.EINVAL };
      const base = take(ctx, job, uv.configBase, BASE_ALIGNMENT);
      const perGuest = Math.ceil((uv.configVirtualPerMiB * Math.ceil(vm.size / MIB)) / PAGE) * PAGE;
      const variable = take(ctx, job, perGuest + uv.configVirtualBase, PAGE);
      if (base === undefined || variable === undefined) return giveBack(ctx, job, ERRNO.ENOMEM);
      job.step = 'config';
      return {
        do: 'uvc',
        block: controlBlock('CREATE_CONFIG', [
          [UVCB.CREATE_CONFIG.BASE, 8, base.base],
          [UVCB.CREATE_CONFIG.VARIABLE, 8, variable.base],
          [UVCB.CREATE_CONFIG.GUEST_ORIGIN, 8, 0],
          [UVCB.CREATE_CONFIG.GUEST_LENGTH, 8, vm.size],
          [UVCB.CREATE_CONFIG.SCA, 8, vm.sca],
          [UVCB.CREATE_CONFIG.ASCE, 8, vm.gmap.asce],
        ]),
      };
    }

    case 'config': {
      if (uvc === null) throw new Error('CREATE_SEC_CONF has no answer');
      if (uvc.cc !== 0) {
        if ((uvc.rc & UV_RC.DESTROY) === 0) return giveBack(ctx, job, ERRNO.EIO);
        job.step = 'destroy-config';
        return { do: 'uvc', block: handleCommand('DESTROY_CONFIG', u64(uvc.block, UVCB.CREATE_CONFIG.HANDLE)) };
      }
      const [base, variable] = job.taken as [Donation, Donation];
      vm.secure = { handle: u64(uvc.block, UVCB.CREATE_CONFIG.HANDLE), base, variable };
      vm.serviceMasked = true;
      job.taken = [];
      return createCpu(ctx, job, uv);
    }

    case 'destroy-config':
      // Refused: the storage stays donated, and is lost.
      return uvc?.cc === 0 ? giveBack(ctx, job, ERRNO.EIO) : { do: 'give', value: ERRNO.EIO };

    case 'cpu': {
      if (uvc === null) throw new Error('CREATE_SEC_CPU has no answer');
      if (uvc.cc !== 0) return undo(ctx, job);
      makeSecure(
        vm.vcpus[job.index] as Vcpu,
        u64(uvc.block, UVCB.CREATE_CPU.HANDLE),
        vm.secure?.handle ?? 0n,
        job.taken,
      );
      job.taken = [];
      job.index += 1;
      return createCpu(ctx, job, uv);
    }

    case 'undone':
      return { do: 'give', value: ERRNO.EIO };
  }
  throw new Error(`ENABLE has no step ${job.step}`);
}

function createCpu(ctx: Ctx, job: PvJob, uv: UvInfo): Step {
  const { vm } = job;
  const vcpu = vm.vcpus[job.index];
  if (vcpu === undefined) return { do: 'give', value: 0 };
  const storage = take(ctx, job, uv.cpuStorage, PAGE);
  const sida = take(ctx, job, PAGE, PAGE);
  if (storage === undefined || sida === undefined) return undo(ctx, job);
  job.step = 'cpu';
  return {
    do: 'uvc',
    block: controlBlock('CREATE_CPU', [
      [UVCB.CREATE_CPU.CONFIG, 8, vm.secure?.handle ?? 0n],
      [UVCB.CREATE_CPU.STORAGE, 8, storage.base],
      [UVCB.CREATE_CPU.NUMBER, 2, vcpu.id],
      [UVCB.CREATE_CPU.STATE, 8, vcpu.sie.address],
    ]),
  };
}

function makeSecure(vcpu: Vcpu, handle: bigint, config: bigint, taken: PvJob['taken']): void {
  const [storage, sida] = taken as [Donation, Donation];
  vcpu.secure = { handle, storage, sida: sida.base };
  const { sie } = vcpu;
  sie.setU64(SD.CPU_HANDLE, handle);
  sie.setU64(SD.CONFIG_HANDLE, config);
  sie.setU64(SD.GBEA_OR_SIDA, BigInt(sida.base));
  sie.setU8(SD.SDF, SDF.secure);
}

/** Some CPU could not be made: the ones before it and the configuration go again. */
function undo(ctx: Ctx, job: PvJob): Step {
  giveBack(ctx, job, 0);
  job.step = 'undone';
  const { rc, rrc } = job;
  return {
    do: 'job',
    job: { kind: 'pv', vm: job.vm, command: { name: 'DISABLE' }, rc, rrc, step: 'start', index: 0, taken: [] },
  };
}

function take({ kvm }: Ctx, job: PvJob, size: number, alignment: number): Donation | undefined {
  const base = kvm.storage.allocate(size, alignment);
  if (base === undefined) return undefined;
  const donation = { base: base as RealAddress, size };
  job.taken.push(donation);
  return donation;
}

function giveBack({ kvm }: Ctx, job: PvJob, value: number): Step {
  for (const { base, size } of job.taken) kvm.storage.release(base, size);
  job.taken = [];
  return { do: 'give', value };
}
