import type { RealAddress } from '../../machine/types.ts';
import { UVCB } from '../abi.ts';
import { ERRNO, type PvJob, type Result, type Step } from './job.ts';
import type { PvCommand } from './pv-command.ts';
import type { Ctx } from './state.ts';
import { controlBlock, handleCommand, type UvInfo } from './uvc.ts';

const MIB = 0x10_0000;

type DumpCommand = Extract<PvCommand, { name: `DUMP_${string}` }>;

/** KVM_PV_DUMP and its sub-commands (5.11, 7.2). While a dump is under way no vCPU runs. */
export function runDump(ctx: Ctx, job: PvJob, command: DumpCommand, { uvc }: Result, uv: UvInfo): Step {
  const { kvm } = ctx;
  const { vm } = job;
  if (job.step === 'start') {
    const refused = refuse(job, command, uv);
    if (refused !== 0 || vm.secure === null) return { do: 'give', value: refused || ERRNO.EINVAL };
    job.step = 'answer';
    if (command.name === 'DUMP_INIT') return { do: 'uvc', block: handleCommand('DUMP_INIT', vm.secure.handle) };
    const size = sizeOf(command, uv);
    const base = kvm.storage.allocate(size);
    if (base === undefined) return { do: 'give', value: ERRNO.ENOMEM };
    job.taken.push({ base, size });
    return { do: 'uvc', block: dumpBlock(command, vm.secure.handle, base) };
  }
  const ok = uvc?.cc === 0;
  const [area] = job.taken;
  if (ok && area !== undefined && command.name !== 'DUMP_INIT') {
    command.buffer.set(kvm.view.read(area.base, Math.min(area.size, command.buffer.length)));
  }
  if (area !== undefined) kvm.storage.release(area.base, area.size);
  if (ok && command.name === 'DUMP_INIT') vm.dumping = true;
  if (ok && command.name === 'DUMP_COMPLETE') vm.dumping = false;
  return { do: 'give', value: ok ? 0 : ERRNO.EINVAL };
}

function refuse({ vm }: PvJob, command: DumpCommand, uv: UvInfo): number {
  const begins = command.name === 'DUMP_INIT';
  if (vm.secure === null || vm.dumping === begins) return ERRNO.EINVAL;
  switch (command.name) {
    case 'DUMP_INIT':
      return 0;
    case 'DUMP_CPU':
      return command.buffer.length === uv.cpuStorage ? 0 : ERRNO.EINVAL;
    case 'DUMP_COMPLETE':
      return command.buffer.length >= uv.dumpFinalize ? 0 : ERRNO.EINVAL;
    case 'DUMP_STORAGE_STATE':
      return command.address % MIB === 0 && command.buffer.length === uv.dumpStatePerMiB ? 0 : ERRNO.EINVAL;
  }
}

function sizeOf(command: DumpCommand, uv: UvInfo): number {
  if (command.name === 'DUMP_CPU') return uv.cpuStorage;
  return command.name === 'DUMP_COMPLETE' ? uv.dumpFinalize : uv.dumpStatePerMiB;
}

function dumpBlock(command: DumpCommand, handle: bigint, area: RealAddress): Uint8Array {
  switch (command.name) {
    case 'DUMP_INIT':
      return handleCommand('DUMP_INIT', handle);
    case 'DUMP_CPU':
      return controlBlock('DUMP_CPU', [
        [UVCB.DUMP.HANDLE, 8, command.vcpu.secure?.handle ?? 0n],
        [UVCB.DUMP.AREA, 8, area],
      ]);
    case 'DUMP_COMPLETE':
      return controlBlock('DUMP_COMPLETE', [
        [UVCB.DUMP.HANDLE, 8, handle],
        [UVCB.DUMP.AREA, 8, area],
      ]);
    case 'DUMP_STORAGE_STATE':
      return controlBlock('DUMP_STORAGE_STATE', [
        [UVCB.DUMP.HANDLE, 8, handle],
        [UVCB.DUMP.AREA, 8, area],
        [UVCB.DUMP.ADDRESS, 8, command.address],
      ]);
  }
}
