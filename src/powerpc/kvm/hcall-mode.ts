import { H_CODE, H_PROC_TBL, LPCR, PATE_DW1, H_SET_MODE_RESOURCE as RESOURCE } from '../abi.ts';
import type { HcallAnswer, HcallHandler } from './hcall-types.ts';
import { kickAll } from './wake-up.ts';

const AIL_SHIFT = 23n;
/** An AIL of 1 was never defined to do anything; those above 3 do not fit. */
const AIL_VALUES: readonly bigint[] = [0n, 2n, 3n];
const KNOWN_FLAGS = H_PROC_TBL.OPERATION | H_PROC_TBL.RADIX | 2n | H_PROC_TBL.GTSE;

/** H_SET_MODE: byte order and place of the guest's interrupts, for all its vCPUs (power-pef.md 9.5). */
export const hSetMode: HcallHandler = ({ vm, args: [mflags, resource, value1, value2] }) => {
  if (resource !== RESOURCE.LE && resource !== RESOURCE.AIL) return H_CODE.H_P2;
  if (value1 !== 0n) return H_CODE.H_P3;
  if (value2 !== 0n) return H_CODE.H_P4;
  if (resource === RESOURCE.LE) {
    if (mflags > 1n) return H_CODE.H_UNSUPPORTED_FLAG_START;
    vm.lpcr = (vm.lpcr & ~LPCR.ILE) | (mflags === 1n ? LPCR.ILE : 0n);
  } else {
    if (!AIL_VALUES.includes(mflags)) return H_CODE.H_UNSUPPORTED_FLAG_START;
    vm.lpcr = (vm.lpcr & ~LPCR.AIL) | (mflags << AIL_SHIFT);
  }
  // Each CPU gets the new LPCR with the next entry of its vCPU.
  kickAll(vm);
  return H_CODE.H_SUCCESS;
};

/** H_REGISTER_PROC_TBL: where the guest's process table is. Radix only; it becomes dw1 of the partition table entry (power-pef.md 9.5). */
export const hRegisterProcTbl: HcallHandler = ({ vm, args: [flags, base, pageSize, size] }): HcallAnswer => {
  if ((flags & ~KNOWN_FLAGS) !== 0n) return H_CODE.H_PARAMETER;
  const operation = flags & H_PROC_TBL.OPERATION;
  let processTable = vm.processTable;
  if (operation === H_PROC_TBL.DEREGISTER) processTable = PATE_DW1.GR;
  else if ((flags & H_PROC_TBL.RADIX) === 0n) return H_CODE.H_PARAMETER;
  else if (operation === H_PROC_TBL.NEW) {
    if ((base & ~PATE_DW1.PRTB) !== 0n) return H_CODE.H_P2;
    if (pageSize !== 0n) return H_CODE.H_P3;
    if (size > PATE_DW1.PRTS_MAX) return H_CODE.H_P4;
    processTable = PATE_DW1.GR | base | size;
  }
  return { job: { kind: 'write-pate', lpid: vm.lpid, processTable, waiting: false } };
};
