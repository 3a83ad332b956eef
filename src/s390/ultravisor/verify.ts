import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { configOf } from './lookup.ts';
import { setConfigState } from './trace.ts';

/** Response and reason codes of UVC.VERIFY (2.10). */
export const VERIFY_RC = {
  address: { rc: 0x0102, rrc: 0x1a },
  page: { rc: 0x0102, rrc: 0x1b },
  tweak: { rc: 0x0102, rrc: 0x1c },
  pages: { rc: 0x0102, rrc: 0x1d },
} as const;

/** UVC.VERIFY: what was unpacked is what the header says, and the guest may run. The number of pages is looked at first: more may still come. */
export function verify({ uv, block }: Command): CommandResult {
  const config = configOf(uv, block.u64(UVCB.HANDLE));
  if (typeof config === 'number') return config;
  const { image } = config;
  if (config.state !== 'PARAMS' || image === null) return UV_RC.INVALID_STATE;
  const { plain, lists } = image;
  if (image.pages !== plain.pages) return VERIFY_RC.pages;
  image.measured ??= { page: lists.page.digest(), address: lists.address.digest(), tweak: lists.tweak.digest() };
  const { measured } = image;
  if (!uv.crypto.equal(measured.address, plain.addressListDigest)) return VERIFY_RC.address;
  if (!uv.crypto.equal(measured.page, plain.pageListDigest)) return VERIFY_RC.page;
  if (!uv.crypto.equal(measured.tweak, plain.tweakListDigest)) return VERIFY_RC.tweak;

  config.load = 'header';
  setConfigState(uv, config, 'VERIFIED');
  return UV_RC.EXECUTED;
}
