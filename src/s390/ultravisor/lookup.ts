import { UV_RC } from '../abi.ts';
import type { UvContext } from './context.ts';
import type { Configuration, SecureCpuRecord } from './state.ts';

/** The configuration of a handle, or the response code. */
export function configOf({ state }: UvContext, handle: bigint): Configuration | number {
  return state.configs.get(handle) ?? UV_RC.INVALID_CONFIG;
}

/** The CPU of a handle, or the response code. */
export function cpuOf({ state }: UvContext, handle: bigint): SecureCpuRecord | number {
  return state.cpus.get(handle) ?? UV_RC.INVALID_CPU;
}

/** Whether all CPUs of the configuration are stopped and none is in SIE. */
export function allStopped({ cpus }: Configuration): boolean {
  return [...cpus.values()].every(({ state, runsOn }) => state === 'STOPPED' && runsOn === null);
}
