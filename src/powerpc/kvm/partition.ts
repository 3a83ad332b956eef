import type { RealAddress } from '../../machine/types.ts';
import {
  PATE_BYTES,
  packRadixRoot,
  RADIX_52_ROOT_BITS,
  RADIX_52_RTS,
  RADIX_ROOT,
  U_CODE,
  ULTRACALL,
  UV_PAGE_SIZE,
} from '../abi.ts';
import type { Step, WritePateJob } from './job.ts';
import { type Ctx, vmOf } from './state.ts';
import { endVm, type Vm } from './vm.ts';

/** log2 of the bytes of our own partition table, less 12: one page (PTCR's PATS). */
export const PARTITION_TABLE_PATS = 4n;

/** LPIDs that the partition table has room for, in either case. */
export const PARTITIONS = UV_PAGE_SIZE / PATE_BYTES;

/** Writes a partition table entry: by UV_WRITE_PATE where an Ultravisor owns the table, else in our own (power-pef.md 2.2, 3.4). */
export function runWritePate(ctx: Ctx, job: WritePateJob, result: number): Step {
  const { kvm, port } = ctx;
  const vm = vmOf(kvm, job.lpid);
  if (job.waiting) return finish(vm, job, result);
  const [dw0, dw1] = job.processTable === null ? [0n, 0n] : [rootPointer(vm), job.processTable];
  if (kvm.partitionTable === null) {
    job.waiting = true;
    return { do: 'ultracall', number: ULTRACALL.UV_WRITE_PATE, args: [vm.lpid, dw0, dw1] };
  }
  const entry = kvm.partitionTable + PATE_BYTES * vm.lpid;
  kvm.view.writeU64(entry as RealAddress, dw0);
  kvm.view.writeU64((entry + 8) as RealAddress, dw1);
  port.invalidateTranslations(vm.lpid);
  return finish(vm, job, U_CODE.U_SUCCESS);
}

function finish(vm: Vm, job: WritePateJob, result: number): Step {
  if (result === U_CODE.U_SUCCESS && job.processTable !== null) {
    vm.processTable = job.processTable;
    vm.ready = true;
  } else if (!vm.ready) {
    endVm(vm, { kind: 'terminated', detail: `UV_WRITE_PATE failed: ${result}` });
  }
  return { do: 'give', value: result };
}

function rootPointer(vm: Vm): bigint {
  return RADIX_ROOT.HR | packRadixRoot({ base: BigInt(vm.tree.root), rootBits: RADIX_52_ROOT_BITS, rts: RADIX_52_RTS });
}
