import { expect } from 'vitest';
import type { RealAddress } from '../../../src/machine/types.ts';
import { SECURE_ADDRESS_BIT } from '../../../src/powerpc/abi.ts';
import { touchedPages } from '../../../src/powerpc/ultravisor/pages.ts';
import { type Machine, PAGE } from './machine.ts';

/** What a test plants in secure pages, and looks for everywhere else. */
export const SECRET = Buffer.from('never to be seen outside of secure memory');

/** Each taken frame of secure memory belongs to one owner; each free one is zero; normal memory never holds the secret. */
export function checkInvariants(m: Machine): void {
  checkOwners(m);
  const { secure } = m.uv.save();
  for (const frame of secure.free) {
    expect(Buffer.from(m.all.read(frame as RealAddress, PAGE)).indexOf(SECRET)).toBe(-1);
  }
  for (const region of m.hv.reachable()) {
    expect(Buffer.from(m.hv.read(region.base, region.size)).indexOf(SECRET)).toBe(-1);
  }
}

/** Each taken frame of secure memory belongs to one page, table or call; no page of the hypervisor is one of secure memory. */
export function checkOwners(m: Pick<Machine, 'uv'>): void {
  const { state, secure } = m.uv.save();
  const owned: number[] = [state.partitionTable as number];
  for (const svm of state.svms.values()) {
    owned.push(svm.tree.root, ...svm.tree.frames);
    for (const { incoming } of svm.pending.values()) if (incoming !== null) owned.push(incoming.frame);
    for (const [, page] of touchedPages(svm)) {
      if ('frame' in page && page.frame !== null) owned.push(page.frame);
      if ('hvPage' in page) expect(page.hvPage).toBeLessThan(SECURE_ADDRESS_BIT);
    }
  }
  expect([...owned].sort((x, y) => x - y)).toEqual([...secure.taken].sort((x, y) => x - y));
}
