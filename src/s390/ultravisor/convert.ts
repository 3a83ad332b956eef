import type { RealAddress } from '../../machine/types.ts';
import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult, UvContext } from './context.ts';
import { isInUse, isStorage } from './host-storage.ts';
import { PAGE } from './limits.ts';
import { configOf } from './lookup.ts';
import { openPage } from './page-cipher.ts';
import { makeDestroyed, makeExported, makeSecure, makeShared, setPinned } from './pages.ts';
import type { Configuration, ConfigurationState } from './state.ts';

/**
 * Response codes of the commands on one page (2.14). The sheet names NOT_PRESENT, and STATE for a destroyed page that was not secure; ADDRESS is what
 * guests get for theirs (2.16), and INTEGRITY is section 10's.
 */
export const PAGE_RC = {
  ADDRESS: 0x0101,
  STATE: 0x0107,
  NOT_PRESENT: 0x010a,
  INTEGRITY: 0x0120,
} as const;

/** States in which a configuration's pages may come in by CONVERT_TO, and may be pinned (1.4). */
const RUNNABLE: ReadonlySet<ConfigurationState> = new Set(['VERIFIED', 'RESET-PENDING', 'DUMPING']);

/** A guest page that the host names, and the absolute page that its tables give for it under the registered ASCE. */
interface Mapped {
  readonly config: Configuration;
  readonly page: number;
  readonly at: RealAddress;
}

/** @param address guest absolute, MSO not added */
export function mappedPage(uv: UvContext, config: Configuration, address: bigint): Mapped | number {
  if (address % BigInt(PAGE) !== 0n || address < 0n || address >= config.length) return PAGE_RC.ADDRESS;
  const found = uv.hardware.translate(config.asce, config.origin + address);
  if ('code' in found || uv.memory.find(found.absolute, PAGE) === undefined) return PAGE_RC.NOT_PRESENT;
  return { config, page: Number(address), at: found.absolute };
}

/** What the commands with the layout "cts" name (2.3): its address has MSO in it. Order: handle, state, address, translation. */
function ctsPage({ uv, block }: Command): Mapped | number {
  const config = configOf(uv, block.u64(UVCB.CTS.CONFIG));
  if (typeof config === 'number') return config;
  if (!RUNNABLE.has(config.state)) return UV_RC.INVALID_STATE;
  return mappedPage(uv, config, block.u64(UVCB.CTS.ADDRESS) - config.origin);
}

/**
 * UVC.CONVERT_TO: import (3.2). A page that is there already stays as it is, shared or not (9, case 21). One that another guest shares changes hands,
 * unless the host holds on to it; one that is secure for somebody else must be destroyed or exported first.
 */
export function convertTo(command: Command): CommandResult {
  const { uv } = command;
  const mapped = ctsPage(command);
  if (typeof mapped === 'number') return mapped;
  const { config, page, at } = mapped;
  const held = uv.state.pages.get(at);
  if (held !== undefined && 'config' in held && held.config === config && held.page === page) return UV_RC.EXECUTED;
  if (!isTakeable(command, at)) return PAGE_RC.STATE;

  const known = config.pages.get(page);
  const contents = known?.state === 'SHARED' ? null : contentsOf(uv, config, page, at);
  if (typeof contents === 'number') return contents;
  if (contents === null && isPinned(config, page)) return PAGE_RC.STATE;

  if (held?.use === 'shared') makeShared(uv, held.config, held.page, null);
  if (contents === null) makeShared(uv, config, page, at);
  else makeSecure(uv, config, page, at, contents);
  return UV_RC.EXECUTED;
}

/** Whether an absolute page may become a guest's: it is the host's and spare, or some guest shares it and the host does not hold on to it. */
export function isTakeable(command: Command, at: RealAddress): boolean {
  const held = command.uv.state.pages.get(at);
  if (held !== undefined && (held.use !== 'shared' || isPinned(held.config, held.page))) return false;
  return !isInUse(command, at);
}

/** What a page that is not shared has in it when it comes in. */
function contentsOf(uv: UvContext, config: Configuration, page: number, at: RealAddress): Uint8Array | number {
  const known = config.pages.get(page);
  if (known === undefined) return new Uint8Array(PAGE);
  if (known.state !== 'EXPORTED') return PAGE_RC.INTEGRITY;
  return openPage(uv, config, page, uv.view.peek(at, PAGE), known.seal) ?? PAGE_RC.INTEGRITY;
}

function isPinned({ pages }: Configuration, page: number): boolean {
  const known = pages.get(page);
  return known?.state === 'SHARED' && known.pinned;
}

/** What the commands with the layout "cfs" name: an absolute page; where that is no storage, one of the home space (2.3). */
function cfsPage({ uv, host, block }: Command): RealAddress | number {
  const address = block.u64(UVCB.CFS.ADDRESS);
  if (address % BigInt(PAGE) !== 0n) return PAGE_RC.ADDRESS;
  const absolute = isStorage(uv, address, PAGE);
  if (absolute !== undefined) return absolute;
  const found = host.translate('home', address);
  if ('code' in found || uv.memory.find(found.absolute, PAGE) === undefined) return PAGE_RC.ADDRESS;
  return found.absolute;
}

/** `cfsPage` answers an address or a response code: codes are no multiples of a page. */
const isCode = (found: number): boolean => found % PAGE !== 0;

/**
 * UVC.CONVERT_FROM: export (3.2). What the host can reach already stays as it is, but for a shared page that it does not hold on to: that is a normal page
 * then, and still shared when it comes back.
 */
export function convertFrom(command: Command): CommandResult {
  const { uv } = command;
  const at = cfsPage(command);
  if (isCode(at)) return at;
  const held = uv.state.pages.get(at);
  if (held === undefined) return UV_RC.EXECUTED;
  switch (held.use) {
    case 'secure':
      makeExported(uv, held.config, held.page, at as RealAddress);
      return UV_RC.EXECUTED;
    case 'shared':
      if (!isPinned(held.config, held.page)) makeShared(uv, held.config, held.page, null);
      return UV_RC.EXECUTED;
    default:
      return PAGE_RC.STATE;
  }
}

/** UVC.DESTROY_STORAGE: clears a secure page. Of one that is not secure nothing is done (9, case 19). */
export function destroyStorage(command: Command): CommandResult {
  const { uv } = command;
  const at = cfsPage(command);
  if (isCode(at)) return at;
  const held = uv.state.pages.get(at);
  switch (held?.use) {
    case 'secure':
      makeDestroyed(uv, held.config, held.page, at as RealAddress);
      return UV_RC.EXECUTED;
    case 'ownerless':
      uv.hardware.flushTranslations();
      uv.view.fill(at as RealAddress, PAGE, 0);
      uv.state.pages.delete(at);
      return UV_RC.EXECUTED;
    case 'donated':
      return PAGE_RC.STATE;
    default:
      return UV_RC.EXECUTED;
  }
}

/** UVC.PIN: the host holds on to a shared page; twice is once. What is not shared gives STATE (10). */
export function pin(command: Command): CommandResult {
  const { uv } = command;
  const at = cfsPage(command);
  if (isCode(at)) return at;
  const held = uv.state.pages.get(at);
  if (held?.use !== 'shared') return PAGE_RC.STATE;
  setPinned(uv, held.config, held.page, true);
  return UV_RC.EXECUTED;
}

/** UVC.UNPIN: the host lets go. What is not pinned gives STATE. */
export function unpin(command: Command): CommandResult {
  const { uv } = command;
  const mapped = ctsPage(command);
  if (typeof mapped === 'number') return mapped;
  const { config, page, at } = mapped;
  const known = config.pages.get(page);
  if (known?.state !== 'SHARED' || known.at !== at || !known.pinned) return PAGE_RC.STATE;
  setPinned(uv, config, page, false);
  return UV_RC.EXECUTED;
}
