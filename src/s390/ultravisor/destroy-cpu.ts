import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { returnDonation } from './donation.ts';
import { pagesOf } from './host-storage.ts';
import { LIMITS } from './limits.ts';
import { cpuOf } from './lookup.ts';

/** UVC.DESTROY_CPU, in any state of it but while it runs. */
export function destroyCpu({ uv, block }: Command): CommandResult {
  const cpu = cpuOf(uv, block.u64(UVCB.HANDLE));
  if (typeof cpu === 'number') return cpu;
  if (cpu.runsOn !== null) return UV_RC.INVALID_STATE;
  uv.state.cpus.delete(cpu.handle);
  cpu.config.cpus.delete(cpu.number);
  returnDonation(uv, pagesOf(cpu.storage, LIMITS.cpuStorage));
  return UV_RC.EXECUTED;
}
