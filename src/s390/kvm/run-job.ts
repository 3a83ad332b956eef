import type { RealAddress } from '../../machine/types.ts';
import { UV_QUERY, UV_RC, UVC, UVCB } from '../abi.ts';
import { PAGE } from './host-storage.ts';
import type { BootJob, DestroyJob, Job, Result, Step, UvcsJob } from './job.ts';
import { runProtect } from './protect.ts';
import { runCpu } from './run-cpu.ts';
import { runExit } from './run-exit.ts';
import { runPage } from './run-page.ts';
import { pvJob, runPv } from './run-pv.ts';
import { runSecureReset } from './secure-reset.ts';
import type { Ctx } from './state.ts';
import { controlBlock, readQuery, u16 } from './uvc.ts';

const DONE: Step = { do: 'give', value: 0 };

/** Where the storage of the Ultravisor may lie, and its alignment (1.2, 2.7). */
const UV_STORAGE_LOWEST = 0x8000_0000;
const UV_STORAGE_ALIGNMENT = 0x10_0000;

/** Runs a job until its next step. */
export function runJob(ctx: Ctx, job: Job, result: Result): Step {
  switch (job.kind) {
    case 'boot':
      return runBoot(ctx, job, result);
    case 'exit':
      return runExit(ctx, job, result);
    case 'page':
      return runPage(ctx, job, result);
    case 'pv':
      return runPv(ctx, job, result);
    case 'cpu':
      return runCpu(job, result);
    case 'protect':
      return runProtect(ctx, job, result);
    case 'secure-reset':
      return runSecureReset(ctx, job, result);
    case 'destroy':
      return runDestroy(ctx, job);
    case 'uvcs':
      return runUvcs(job);
  }
}

/** QUI, then INIT_UV with storage above 2 GiB; where either fails the host runs on without protected guests (5.12). */
function runBoot(ctx: Ctx, job: BootJob, { uvc }: Result): Step {
  const { kvm } = ctx;
  switch (job.step) {
    case 'query':
      job.step = 'queried';
      return { do: 'uvc', block: controlBlock('QUERY', [], UV_QUERY.SIZE) };
    case 'queried': {
      if (uvc === null || (uvc.cc !== 0 && uvc.rc !== UV_RC.MORE_DATA)) return DONE;
      job.info = readQuery(uvc.block);
      const size = job.info.baseStorage;
      const base = kvm.storage.allocate(size, UV_STORAGE_ALIGNMENT, UV_STORAGE_LOWEST);
      if (base === undefined) return DONE;
      job.step = 'initialized';
      return {
        do: 'uvc',
        block: controlBlock('INIT', [
          [UVCB.INIT.ORIGIN, 8, base],
          [UVCB.INIT.LENGTH, 8, size],
        ]),
      };
    }
    case 'initialized':
      if (uvc?.cc === 0) kvm.uv = job.info;
      return DONE;
  }
}

/** Takes down a VM that has ended: protection, then storage. */
function runDestroy({ kvm, port }: Ctx, job: DestroyJob): Step {
  const { vm } = job;
  if (job.step === 'disable') {
    job.step = 'free';
    if (vm.secure !== null) return { do: 'job', job: pvJob(vm, { name: 'DISABLE' }) };
  }
  for (const [index, page] of vm.pages.entries()) {
    if (page !== 0) kvm.storage.release(page as RealAddress, PAGE);
    vm.pages[index] = 0;
  }
  vm.gmap.destroy();
  vm.destroyed = true;
  port.invalidateTranslations();
  return DONE;
}

function runUvcs(job: UvcsJob): Step {
  const next = job.blocks[job.made];
  if (next === undefined) return DONE;
  job.made += 1;
  return { do: 'uvc', block: next };
}

/** The name of a command by its number, for counts. */
export function uvcName(block: Uint8Array): string {
  const number = u16(block, UVCB.COMMAND);
  const known = Object.entries(UVC).find(([, command]) => command.number === number);
  return known?.[0] ?? `0x${number.toString(16)}`;
}
