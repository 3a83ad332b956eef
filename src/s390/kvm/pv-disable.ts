import { SD, SDF } from '../abi.ts';
import { PAGE } from './host-storage.ts';
import { ERRNO, type PvJob, type Result, type Step } from './job.ts';
import type { Ctx } from './state.ts';
import { handleCommand } from './uvc.ts';

/**
 * KVM_PV_DISABLE (1.7): destroys CPUs, then the configuration, then whatever page is still secure. Storage of an object whose destruction fails stays donated and
 * is lost; the VM is no longer protected in any case.
 */
export function runDisable(ctx: Ctx, job: PvJob, { uvc }: Result): Step {
  const { kvm } = ctx;
  const { vm } = job;
  switch (job.step) {
    case 'start':
      if (vm.secure === null) return { do: 'give', value: ERRNO.EINVAL };
      job.step = 'cpus';
      job.index = -1;
      return nextCpu(job);

    case 'cpus':
      forget(ctx, job, uvc?.cc === 0);
      return nextCpu(job);

    case 'config': {
      const { secure } = vm;
      if (secure === null) throw new Error('a configuration went away meanwhile');
      if (uvc?.cc === 0) {
        kvm.storage.release(secure.base.base, secure.base.size);
        kvm.storage.release(secure.variable.base, secure.variable.size);
      } else job.taken.push(secure.base);
      vm.secure = null;
      vm.serviceMasked = false;
      job.step = 'pages';
      job.index = -1;
      return nextPage(ctx, job);
    }

    case 'pages':
      return nextPage(ctx, job);
  }
  throw new Error(`DISABLE has no step ${job.step}`);
}

/** The CPU at hand is secure no more, whether or not the Ultravisor gave its storage back. */
function forget({ kvm }: Ctx, job: PvJob, destroyed: boolean): void {
  const vcpu = job.vm.vcpus[job.index];
  if (vcpu === undefined || vcpu.secure === null) throw new Error('a secure CPU went away meanwhile');
  const { sie, secure } = vcpu;
  if (destroyed) kvm.storage.release(secure.storage.base, secure.storage.size);
  else job.taken.push(secure.storage);
  kvm.storage.release(secure.sida, PAGE);
  sie.setU64(SD.CPU_HANDLE, 0n);
  sie.setU64(SD.CONFIG_HANDLE, 0n);
  sie.setU8(SD.SDF, SDF.normal);
  // Not the address of a page that is somebody else's by now (case 3).
  sie.setU64(SD.GBEA_OR_SIDA, 1n);
  vcpu.secure = null;
  vcpu.inBetween = false;
}

function nextCpu(job: PvJob): Step {
  const { vm } = job;
  for (;;) {
    job.index += 1;
    const vcpu = vm.vcpus[job.index];
    if (vcpu === undefined) {
      job.step = 'config';
      return { do: 'uvc', block: handleCommand('DESTROY_CONFIG', vm.secure?.handle ?? 0n) };
    }
    if (vcpu.secure === null) continue;
    return { do: 'uvc', block: handleCommand('DESTROY_CPU', vcpu.secure.handle) };
  }
}

/** A page that is clean already is none the worse for it. */
function nextPage(ctx: Ctx, job: PvJob): Step {
  const { vm } = job;
  for (;;) {
    job.index += 1;
    const page = vm.pages[job.index];
    if (page === undefined) {
      ctx.port.invalidateTranslations();
      return { do: 'give', value: job.taken.length === 0 ? 0 : ERRNO.EIO };
    }
    if (page === 0) continue;
    return { do: 'job', job: { kind: 'page', action: 'destroy', vm, address: page, step: 'start' } };
  }
}
