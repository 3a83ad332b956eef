import { type RealAddress, realAddress } from '../../machine/types.ts';
import { DAT, LOWCORE, PSW, UV_RC } from '../abi.ts';
import type { HostCall } from '../cpu/ultravisor-port.ts';
import type { Command, UvContext } from './context.ts';
import { PAGE } from './limits.ts';

/** The host's own storage: pages that are in nobody else's books. */

/** Whether all of the range is RAM. */
export function isStorage(uv: UvContext, address: bigint, length: number): RealAddress | undefined {
  const real = realAddress(address);
  return real !== undefined && uv.memory.find(real, length) !== undefined ? real : undefined;
}

/** The pages that a range touches, by absolute address. */
export function pagesOf(address: number, length: number): RealAddress[] {
  const pages: RealAddress[] = [];
  for (let page = address - (address % PAGE); page < address + length; page += PAGE) pages.push(page as RealAddress);
  return pages;
}

/** RAM that the host may reach, all of the range. */
export function isHosts(uv: UvContext, address: bigint, length: number): RealAddress | undefined {
  const real = isStorage(uv, address, length);
  if (real === undefined) return undefined;
  return pagesOf(real, length).every((page) => isAccessible(uv, page)) ? real : undefined;
}

/** Whether the host may reach the page. */
export function isAccessible({ state }: UvContext, page: number): boolean {
  const use = state.pages.get(page)?.use;
  return use === undefined || use === 'shared';
}

/** Whether the page belongs to a host CPU's prefix area. */
export function isLowcore({ hardware }: UvContext, page: number): boolean {
  return hardware.prefixes().some((prefix) => page >= prefix && page < prefix + LOWCORE.SIZE);
}

/**
 * Whether the host can do without the page: it is RAM of its own, no CPU's prefix area, no registered state description, and does not hold the
 * control block of the call that would take it.
 */
export function isSpare({ uv, blockPages }: Command, page: RealAddress): boolean {
  if (uv.state.pages.has(page) || isStorage(uv, BigInt(page), PAGE) === undefined) return false;
  return !isInUse({ uv, blockPages }, page);
}

/** Whether hardware or the Ultravisor itself needs the page to stay within the host's reach. */
export function isInUse({ uv, blockPages }: Pick<Command, 'uv' | 'blockPages'>, page: RealAddress): boolean {
  if (blockPages.has(page) || isLowcore(uv, page)) return true;
  for (const { description } of uv.state.cpus.values()) if (description === page) return true;
  return false;
}

/**
 * Absolute addresses of the pages of a virtual range of the host's home space.
 * @returns a response code where there is none (2.2: 0x30 to 0x32)
 */
export function homePages(uv: UvContext, host: HostCall, address: bigint, length: number): RealAddress[] | number {
  if ((host.pswMask & PSW.DAT) !== 0n && (host.cr(13) & DAT.ASCE_REAL_SPACE) !== 0n) return UV_RC.REAL_SPACE;
  const pages: RealAddress[] = [];
  for (let at = 0; at < length; at += PAGE) {
    const found = host.translate('home', BigInt.asUintN(64, address + BigInt(at)));
    if ('code' in found) return UV_RC.TRANSLATION;
    if (uv.memory.find(found.absolute, PAGE) === undefined) return UV_RC.INVALID_ABSOLUTE;
    pages.push(found.absolute);
  }
  return pages;
}
