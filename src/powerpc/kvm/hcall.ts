import { HCALL } from '../abi.ts';
import { hRegisterProcTbl, hSetMode } from './hcall-mode.ts';
import { hCede, hConfer, hProd, hRandom, hSignalSysReset } from './hcall-sched.ts';
import { hSvmInitAbort, hSvmInitDone, hSvmInitStart, hSvmPageIn, hSvmPageOut } from './hcall-svm.ts';
import type { HcallHandler } from './hcall-types.ts';
import { hRegisterVpa } from './hcall-vpa.ts';
import { hCppr, hEoi, hIpi, hIpoll, hXirr, hXirrX } from './hcall-xics.ts';

/** The hypercalls that the hypervisor serves itself, by number. Any other goes to the VMM. */
export const HCALL_HANDLERS: ReadonlyMap<number, HcallHandler> = new Map([
  [HCALL.H_CEDE, hCede],
  [HCALL.H_CONFER, hConfer],
  [HCALL.H_CPPR, hCppr],
  [HCALL.H_EOI, hEoi],
  [HCALL.H_IPI, hIpi],
  [HCALL.H_IPOLL, hIpoll],
  [HCALL.H_PROD, hProd],
  [HCALL.H_RANDOM, hRandom],
  [HCALL.H_REGISTER_PROC_TBL, hRegisterProcTbl],
  [HCALL.H_REGISTER_VPA, hRegisterVpa],
  [HCALL.H_SET_MODE, hSetMode],
  [HCALL.H_SVM_INIT_ABORT, hSvmInitAbort],
  [HCALL.H_SVM_INIT_DONE, hSvmInitDone],
  [HCALL.H_SVM_INIT_START, hSvmInitStart],
  [HCALL.H_SVM_PAGE_IN, hSvmPageIn],
  [HCALL.H_SIGNAL_SYS_RESET, hSignalSysReset],
  [HCALL.H_SVM_PAGE_OUT, hSvmPageOut],
  [HCALL.H_XIRR, hXirr],
  [HCALL.H_XIRR_X, hXirrX],
]);
