import { Store } from '../engine/store.ts';
import type { RegionSpec } from './memory.ts';
import { OptionError } from './types.ts';

/** All RAM together; the rest of the store's 4 GiB is for caches. */
const MOST_MEMORY = 3840 * 2 ** 20;

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

/**
 * A store for these regions and for whatever else the machine keeps in it.
 * @param more bytes beside the regions
 * @throws OptionError where they do not fit, or this computer does not give the memory
 */
export function makeStore(regions: readonly RegionSpec[], more: number): Store {
  const total = regions.reduce((sum, { size }) => sum + size, 0);
  if (total > MOST_MEMORY) {
    const reason = `${mebibytes(total)} MiB in all are more than the ${mebibytes(MOST_MEMORY)} MiB that fit one machine`;
    throw new OptionError('--memory', reason);
  }
  try {
    return new Store(total + more);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new OptionError('--memory', `this computer does not give the ${mebibytes(total + more)} MiB that it takes`);
  }
}
