import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { allStopped, configOf } from './lookup.ts';
import { makeUnshared } from './pages.ts';

/** UVC.UNSHARE_ALL: nothing of the guest is shared any more, pinned or not (2.10). All its CPUs are stopped. */
export function unshareAll({ uv, block }: Command): CommandResult {
  const config = configOf(uv, block.u64(UVCB.HANDLE));
  if (typeof config === 'number') return config;
  if (config.state !== 'VERIFIED' && config.state !== 'RESET-PENDING') return UV_RC.INVALID_STATE;
  if (!allStopped(config)) return UV_RC.INVALID_STATE;
  for (const [page, { state }] of [...config.pages]) if (state === 'SHARED') makeUnshared(uv, config, page);
  return UV_RC.EXECUTED;
}
