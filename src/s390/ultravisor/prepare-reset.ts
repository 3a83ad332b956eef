import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { allStopped, configOf } from './lookup.ts';
import { setConfigState } from './trace.ts';

/**
 * UVC.PREPARE_RESET (2.10, 5.9): all CPUs are stopped and nothing is shared. From here on every CPU has to be reset, and then one starts from the short PSW at
 * guest absolute 0; nothing runs until then. The guest need not have asked: a host can also turn a machine off and on.
 */
export function prepareReset({ uv, block }: Command): CommandResult {
  const config = configOf(uv, block.u64(UVCB.HANDLE));
  if (typeof config === 'number') return config;
  if (config.state !== 'VERIFIED' && config.state !== 'RESET-PENDING') return UV_RC.INVALID_STATE;
  if (!allStopped(config)) return UV_RC.INVALID_STATE;
  for (const { state } of config.pages.values()) if (state === 'SHARED') return UV_RC.INVALID_STATE;

  config.prepared = true;
  config.load = 'lowcore';
  config.sccb = null;
  for (const cpu of config.cpus.values()) cpu.wasReset = false;
  setConfigState(uv, config, 'RESET-PENDING');
  return UV_RC.EXECUTED;
}
