import type { RealAddress } from '../../machine/types.ts';
import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult, UvContext } from './context.ts';
import { returnDonation } from './donation.ts';
import { PAGE } from './limits.ts';
import { configOf } from './lookup.ts';
import { erasePageKeys } from './page-cipher.ts';
import type { Configuration, GuestPage, HostPage } from './state.ts';
import { traceConfig } from './trace.ts';

/** UVC.DESTROY_CONFIG: its pages are cleared and the host's (1.7). */
export function destroyConfig({ uv, block }: Command): CommandResult {
  return destroy(uv, block.u64(UVCB.HANDLE), (at) => {
    uv.view.fill(at, PAGE, 0);
    return undefined;
  });
}

/** UVC.DESTROY_CONFIG_FAST: its secure pages belong to nobody until the host destroys them one by one (1.7). */
export function destroyConfigFast({ uv, block }: Command): CommandResult {
  return destroy(uv, block.u64(UVCB.HANDLE), (_, { state }) => (state === 'SECURE' ? { use: 'ownerless' } : undefined));
}

/** @param rest what becomes of a page that is somewhere */
function destroy(
  uv: UvContext,
  handle: bigint,
  rest: (at: RealAddress, page: GuestPage) => HostPage | undefined,
): CommandResult {
  const config = configOf(uv, handle);
  if (typeof config === 'number') return config;
  if (config.cpus.size > 0) return UV_RC.INVALID_STATE;

  uv.hardware.flushTranslations();
  for (const page of config.pages.values()) {
    if (!('at' in page) || page.at === null) continue;
    const next = rest(page.at, page);
    if (next === undefined) uv.state.pages.delete(page.at);
    else uv.state.pages.set(page.at, next);
  }
  config.pages.clear();
  eraseSecrets(config);
  returnDonation(uv, config.donated);
  uv.state.configs.delete(handle);
  traceConfig(uv, config, config.state, 'DESTROYED');
  return UV_RC.EXECUTED;
}

/** Keys of a configuration that is going. */
export function eraseSecrets(config: Configuration): void {
  erasePageKeys(config);
  config.image?.secrets.communicationKey.fill(0);
  config.image?.secrets.componentKey.fill(0);
}
