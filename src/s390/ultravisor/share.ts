import { UV_RC, UVC, UVCB } from '../abi.ts';
import type { GuestPort } from '../cpu/ultravisor-port.ts';
import type { UvContext } from './context.ts';
import type { ControlBlock } from './control-block.ts';
import { PAGE_RC } from './convert.ts';
import { PAGE } from './limits.ts';
import { makeShared, makeUnshared } from './pages.ts';
import type { Configuration } from './state.ts';

/** How a guest's command ends: `fault` if the host must bring a page first, `pinned` if it must let one go. */
export type GuestResult = number | 'fault' | 'pinned';

/**
 * SET_SHARED_ACCESS and REMOVE_SHARED_ACCESS (2.16). Contents stay as they are, and a page that is not there is imported first, as for any access (10). What is shared
 * already, or is not, is done.
 */
export function changeSharing(uv: UvContext, port: GuestPort, config: Configuration, block: ControlBlock): GuestResult {
  const address = block.u64(UVCB.SHARE.ADDRESS);
  if (address % BigInt(PAGE) !== 0n || address >= config.length) return PAGE_RC.ADDRESS;
  const page = Number(address);
  const share = block.command === UVC.SET_SHARED.number;
  const shared = config.pages.get(page)?.state === 'SHARED';
  if (share === shared) return UV_RC.EXECUTED;
  if (!port.reaches('absolute', address, PAGE, 'store')) return 'fault';

  const known = config.pages.get(page);
  if (known === undefined || !('at' in known) || known.at === null) throw new Error('reached a page that is not there');
  if (share) {
    makeShared(uv, config, page, known.at);
    return UV_RC.EXECUTED;
  }
  if (known.state === 'SHARED' && known.pinned) return 'pinned';
  makeUnshared(uv, config, page);
  return UV_RC.EXECUTED;
}
