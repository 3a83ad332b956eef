import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { takeDonation } from './donation.ts';
import { isSpare, isStorage, pagesOf } from './host-storage.ts';
import { LIMITS } from './limits.ts';

/** Response codes of UVC.INIT (2.7). STORAGE is the sheet's unnamed code for what the others leave: alignment, and storage that is in use. */
export const INIT_RC = {
  ALREADY: 0x0101,
  CPUS: 0x0102,
  LENGTH: 0x0103,
  ORIGIN: 0x0104,
  END: 0x0105,
  STORAGE: 0x0106,
  LOW: 0x0108,
} as const;

/** UVC.INIT: the host gives the Ultravisor its base storage, for good. */
export function init(command: Command): CommandResult {
  const { uv, block } = command;
  const origin = block.u64(UVCB.INIT.ORIGIN);
  const length = block.u64(UVCB.INIT.LENGTH);
  if (uv.state.initialized) return INIT_RC.ALREADY;
  if (uv.hardware.operatingCpus() > 1) return INIT_RC.CPUS;
  if (length !== BigInt(LIMITS.baseStorage)) return INIT_RC.LENGTH;
  if (isStorage(uv, origin, 1) === undefined) return INIT_RC.ORIGIN;
  const base = isStorage(uv, origin, LIMITS.baseStorage);
  if (base === undefined) return INIT_RC.END;
  if (base < LIMITS.baseStorageFloor) return INIT_RC.LOW;
  const pages = pagesOf(base, LIMITS.baseStorage);
  if (base % LIMITS.baseStorageAlign !== 0 || !pages.every((page) => isSpare(command, page))) return INIT_RC.STORAGE;

  takeDonation(uv, pages);
  uv.state.initialized = true;
  return UV_RC.EXECUTED;
}
