import type { RealAddress } from '../../machine/types.ts';
import type { UvContext } from './context.ts';
import { PAGE } from './limits.ts';

/** Pages become the Ultravisor's own. The caller has checked that each is spare. */
export function takeDonation(uv: UvContext, pages: readonly RealAddress[]): void {
  uv.hardware.flushTranslations();
  for (const page of pages) {
    if (uv.state.pages.has(page)) throw new Error(`page 0x${page.toString(16)} donated twice`);
    uv.state.pages.set(page, { use: 'donated' });
    uv.view.fill(page, PAGE, 0);
  }
}

/** They are the host's again, and clean (1.2). */
export function returnDonation(uv: UvContext, pages: readonly RealAddress[]): void {
  for (const page of pages) {
    if (uv.state.pages.get(page)?.use !== 'donated') throw new Error(`page 0x${page.toString(16)} was not donated`);
    uv.view.fill(page, PAGE, 0);
    uv.state.pages.delete(page);
  }
}
