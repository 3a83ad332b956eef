import type { RealAddress } from '../../machine/types.ts';
import { SD, UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { clearedState } from './cpu-reset.ts';
import { takeDonation } from './donation.ts';
import { newHandle } from './handles.ts';
import { isHosts, isLowcore, isSpare, isStorage, pagesOf } from './host-storage.ts';
import { LIMITS, PAGE } from './limits.ts';
import { configOf } from './lookup.ts';
import type { SecureCpuRecord } from './state.ts';

/** Response codes of UVC.CREATE_CPU (2.9). A CPU address that is not the state description's has no code there: NUMBER, as section 10 advises. */
export const CREATE_CPU_RC = {
  NUMBER: 0x0103,
  NUMBER_IN_USE: 0x0104,
  STORAGE: 0x0105,
  STORAGE_LOWCORE: 0x0106,
  STATE: 0x0107,
} as const;

/** UVC.CREATE_CPU: a CPU, stopped, of a configuration. CPUs may come at any time but while it is being dumped or reset. */
export function createCpu(command: Command): CommandResult {
  const { uv, block } = command;
  const F = UVCB.CREATE_CPU;
  const config = configOf(uv, block.u64(F.CONFIG));
  if (typeof config === 'number') return config;
  const number = block.u16(F.NUMBER);
  const storage = block.u64(F.STORAGE);
  const description = block.u64(F.STATE);
  if (config.state === 'RESET-PENDING' || config.state === 'DUMPING') return UV_RC.INVALID_STATE;
  if (number > LIMITS.maxCpu) return CREATE_CPU_RC.NUMBER;
  if (config.cpus.has(number)) return CREATE_CPU_RC.NUMBER_IN_USE;

  const at = isStorage(uv, storage, LIMITS.cpuStorage);
  if (at === undefined || at % PAGE !== 0) return CREATE_CPU_RC.STORAGE;
  const pages = pagesOf(at, LIMITS.cpuStorage);
  if (pages.some((page) => isLowcore(uv, page))) return CREATE_CPU_RC.STORAGE_LOWCORE;
  if (!pages.every((page) => isSpare(command, page))) return CREATE_CPU_RC.STORAGE;

  const sd = isHosts(uv, description, PAGE);
  if (sd === undefined || sd % PAGE !== 0 || pages.includes(sd) || !mayDescribe(command, sd))
    return CREATE_CPU_RC.STATE;
  if (
    uv.view.read((sd + SD.CPU_ADDRESS) as RealAddress, 2).some((byte, i) => byte !== ((number >> (8 - 8 * i)) & 0xff))
  ) {
    return CREATE_CPU_RC.NUMBER;
  }

  const cpu: SecureCpuRecord = {
    handle: newHandle(uv),
    config,
    number,
    storage: at,
    description: sd,
    guest: clearedState(),
    state: 'STOPPED',
    loadFrom: null,
    startable: false,
    wasReset: true,
    runsOn: null,
    sida: null,
    pending: null,
    servcDone: false,
    left: { timer: 0n, tod: uv.hardware.tod() },
    externalCall: null,
    storeStatus: false,
  };
  takeDonation(uv, pages);
  uv.state.cpus.set(cpu.handle, cpu);
  config.cpus.set(number, cpu);
  block.putU64(F.HANDLE, cpu.handle);
  return UV_RC.EXECUTED;
}

/** A page that a guest shares cannot describe a CPU: it could become the guest's. Neither can another CPU's. */
function mayDescribe({ uv }: Command, page: RealAddress): boolean {
  if (uv.state.pages.has(page)) return false;
  for (const { description } of uv.state.cpus.values()) if (description === page) return false;
  return true;
}
