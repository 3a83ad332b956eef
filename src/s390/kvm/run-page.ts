import { UVCB } from '../abi.ts';
import { OutOfStorage } from './guest-storage.ts';
import { PAGE } from './host-storage.ts';
import { ERRNO, type PageJob, type Result, type Step } from './job.ts';
import type { Ctx } from './state.ts';
import { controlBlock } from './uvc.ts';

/** The host page is not mapped (2.12, 2.14): KVM maps it and tries again. */
export const PAGE_NOT_PRESENT = 0x010a;

const OK: Step = { do: 'give', value: 0 };

/** One page (2.14, 3.3): import, unpin; pin, or else export; destroy, or else export. */
export function runPage(ctx: Ctx, job: PageJob, { uvc }: Result): Step {
  if (job.step === 'start') {
    if (job.action === 'import' && !present(ctx, job)) return { do: 'give', value: ERRNO.EFAULT };
    job.step = 'answer';
    return { do: 'uvc', block: request(job, job.action) };
  }
  if (uvc === null) throw new Error('a page command without its answer');
  if (uvc.cc === 0) return OK;
  if (job.step === 'fallback') return { do: 'give', value: ERRNO.EINVAL };
  switch (job.action) {
    case 'import':
    case 'unpin':
      if (uvc.rc !== PAGE_NOT_PRESENT) return { do: 'give', value: ERRNO.EINVAL };
      return { do: 'give', value: ERRNO.ENXIO };
    case 'export':
      return { do: 'give', value: ERRNO.EINVAL };
    case 'pin':
    case 'destroy':
      job.step = 'fallback';
      return { do: 'uvc', block: request(job, 'export') };
  }
}

function present({ kvm }: Ctx, { vm, address }: PageJob): boolean {
  try {
    return kvm.guests.page(vm, address) !== undefined;
  } catch (error) {
    if (error instanceof OutOfStorage) return false;
    throw error;
  }
}

function request({ vm, address }: PageJob, action: PageJob['action']): Uint8Array {
  const page = Math.floor(address / PAGE) * PAGE;
  const handle = vm.secure?.handle ?? 0n;
  switch (action) {
    case 'import':
      return controlBlock('CONVERT_TO', [
        [UVCB.CTS.CONFIG, 8, handle],
        [UVCB.CTS.ADDRESS, 8, page],
      ]);
    case 'unpin':
      return controlBlock('UNPIN', [
        [UVCB.CTS.CONFIG, 8, handle],
        [UVCB.CTS.ADDRESS, 8, page],
      ]);
    case 'pin':
      return controlBlock('PIN', [[UVCB.CFS.ADDRESS, 8, page]]);
    case 'export':
      return controlBlock('CONVERT_FROM', [[UVCB.CFS.ADDRESS, 8, page]]);
    case 'destroy':
      return controlBlock('DESTROY_STORAGE', [[UVCB.CFS.ADDRESS, 8, page]]);
  }
}
