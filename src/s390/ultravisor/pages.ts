import type { RealAddress } from '../../machine/types.ts';
import { PGM } from '../abi.ts';
import type { UvContext } from './context.ts';
import { PAGE } from './limits.ts';
import { sealPage } from './page-cipher.ts';
import type { Configuration, GuestPage } from './state.ts';

/**
 * The one place where a page changes hands. Each function makes one transition of 3.2; its caller has checked that it may. Both books agree at all
 * times: a page of a guest that is somewhere is in `UltravisorState.pages` under that address, and the other way round.
 */

/** State of a guest page by the names of 3.1. */
export function pageState(page: GuestPage | undefined): string {
  if (page === undefined) return 'NEVER-TOUCHED';
  return page.state === 'SHARED' && page.pinned ? 'PINNED-SHARED' : page.state;
}

function record(uv: UvContext, config: Configuration, page: number, next: GuestPage | undefined): void {
  const before = config.pages.get(page);
  if (next === undefined) config.pages.delete(page);
  else config.pages.set(page, next);
  const [from, to] = [pageState(before), pageState(next)];
  if (from === to) return;
  const gfn = BigInt(page / PAGE);
  uv.trace?.emit({ type: 'page-state', at: uv.clock(), cpu: -1, vm: config.number, gfn, from, to });
}

/** An absolute page becomes the guest's own, with these contents. */
export function makeSecure(
  uv: UvContext,
  config: Configuration,
  page: number,
  at: RealAddress,
  contents: Uint8Array,
): void {
  uv.hardware.flushTranslations();
  uv.state.pages.set(at, { use: 'secure', config, page });
  uv.view.write(at, contents);
  record(uv, config, page, { state: 'SECURE', at });
}

/** What the guest shares is to be where the host has it now; where it was before is no longer. Contents stay. */
export function makeShared(uv: UvContext, config: Configuration, page: number, at: RealAddress | null): void {
  uv.hardware.flushTranslations();
  const before = config.pages.get(page);
  if (before !== undefined && 'at' in before && before.at !== null) uv.state.pages.delete(before.at);
  if (at !== null) uv.state.pages.set(at, { use: 'shared', config, page });
  record(uv, config, page, { state: 'SHARED', at, pinned: false });
}

/** A shared page is the guest's alone again, with what is in it. */
export function makeUnshared(uv: UvContext, config: Configuration, page: number): void {
  uv.hardware.flushTranslations();
  const before = config.pages.get(page);
  if (before?.state !== 'SHARED') throw new Error('unshared what was not shared');
  if (before.at === null) {
    record(uv, config, page, undefined);
    return;
  }
  uv.state.pages.set(before.at, { use: 'secure', config, page });
  record(uv, config, page, { state: 'SECURE', at: before.at });
}

/** Whether the host holds on to a shared page. */
export function setPinned(uv: UvContext, config: Configuration, page: number, pinned: boolean): void {
  const before = config.pages.get(page);
  if (before?.state !== 'SHARED' || before.at === null) throw new Error('pinned what is not there');
  record(uv, config, page, { ...before, pinned });
}

/** A secure page leaves encrypted. */
export function makeExported(uv: UvContext, config: Configuration, page: number, at: RealAddress): void {
  uv.hardware.flushTranslations();
  const { ciphertext, seal } = sealPage(uv, config, page, uv.view.read(at, PAGE));
  uv.view.write(at, ciphertext);
  uv.state.pages.delete(at);
  record(uv, config, page, { state: 'EXPORTED', seal });
}

/** A secure page is cleared and the host's. Its contents are lost to the guest. */
export function makeDestroyed(uv: UvContext, config: Configuration, page: number, at: RealAddress): void {
  uv.hardware.flushTranslations();
  uv.view.fill(at, PAGE, 0);
  uv.state.pages.delete(at);
  record(uv, config, page, { state: 'LOST' });
}

/**
 * Who may reach an absolute page (3.3): of the host and normal guests 0 or 0x3D, of a secure guest 0, 0x3E or 0x3F. A page that another
 * guest shares is not secure for this one: it would trust it with secrets.
 */
export function checkAccess(
  { state }: UvContext,
  at: number,
  guest: { readonly configuration: object; readonly page: number } | null,
): number {
  const page = state.pages.get(at);
  if (guest === null) {
    return page === undefined || page.use === 'shared' ? 0 : PGM.SECURE_STORAGE_ACCESS;
  }
  if (page === undefined) return PGM.NON_SECURE_STORAGE_ACCESS;
  if (page.use === 'donated') return PGM.SECURE_STORAGE_ACCESS;
  if (page.use === 'ownerless') return PGM.SECURE_STORAGE_VIOLATION;
  if (page.config === guest.configuration && page.page === guest.page) return 0;
  return page.use === 'shared' ? PGM.NON_SECURE_STORAGE_ACCESS : PGM.SECURE_STORAGE_VIOLATION;
}
