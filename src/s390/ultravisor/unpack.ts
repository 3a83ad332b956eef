import { PCF, UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { isTakeable, mappedPage, PAGE_RC } from './convert.ts';
import { PAGE } from './limits.ts';
import { configOf } from './lookup.ts';
import { makeSecure, makeShared } from './pages.ts';
import { VERIFY_RC } from './verify.ts';

/**
 * UVC.UNPACK: a page of the image (2.12). It is measured as the host has it, decrypted and the guest's from then on. Order of checks: handle, state, number of
 * pages, address, translation, use of the page. An address that is unpacked already gives STATE.
 */
export function unpack(command: Command): CommandResult {
  const { uv, block } = command;
  const F = UVCB.UNPACK;
  const config = configOf(uv, block.u64(F.CONFIG));
  if (typeof config === 'number') return config;
  const { image } = config;
  if (config.state !== 'PARAMS' || image === null) return UV_RC.INVALID_STATE;
  if (image.pages >= image.plain.pages) return VERIFY_RC.pages;
  const mapped = mappedPage(uv, config, block.u64(F.ADDRESS));
  if (typeof mapped === 'number') return mapped;
  const { page, at } = mapped;
  if (config.pages.has(page) || !isTakeable(command, at)) return PAGE_RC.STATE;

  const stored = uv.view.read(at, PAGE);
  const tweak = block.bytes(F.TWEAK, 16);
  const address = new Uint8Array(8);
  new DataView(address.buffer).setBigUint64(0, BigInt(page));
  image.lists.page.update(stored);
  image.lists.address.update(address);
  image.lists.tweak.update(tweak);
  image.pages++;
  const encrypted = (image.plain.plaintextFlags & PCF.NO_COMPONENT_ENCRYPTION) === 0n;
  const held = uv.state.pages.get(at);
  if (held?.use === 'shared') makeShared(uv, held.config, held.page, null);
  makeSecure(uv, config, page, at, encrypted ? uv.se.xtsDecrypt(image.secrets.componentKey, tweak, stored) : stored);
  return UV_RC.EXECUTED;
}
