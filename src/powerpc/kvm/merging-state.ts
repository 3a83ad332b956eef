import type { RealAddress } from '../../machine/types.ts';
import type { Frame } from './memslot.ts';
import type { Vm } from './vm.ts';

/** How busy the page-merging service is; Linux's defaults are 100 pages every 20 ms. */
export interface PageMergingOptions {
  readonly pagesToScan: number;
  /** Time base ticks between two scans. */
  readonly sleepTicks: bigint;
}

export const DEFAULT_PAGE_MERGING: PageMergingOptions = { pagesToScan: 100, sleepTicks: 10_240_000n };

/** A frame and its VM. */
export interface Candidate {
  readonly vm: Vm;
  readonly frame: Frame;
}

/** Where the service is, as plain data. */
export interface PageMerging {
  readonly options: PageMergingOptions;
  /** Time base at which it next scans. */
  due: bigint;
  /** The next frame to look at: positions in the lists of VMs, slots and frames. */
  vm: number;
  slot: number;
  index: number;
  /** What each frame held when it was last looked at, by VM, slot and frame: a page that changes often is not worth merging. */
  readonly checksums: Map<string, number>;
  /** Frames of this pass that wait for an equal one, by checksum. */
  readonly waiting: Map<number, Candidate[]>;
  /** Merged pages, by checksum. Their contents cannot change while they are merged. */
  readonly merged: Map<number, RealAddress>;
}

export function startPageMerging(options: PageMergingOptions): PageMerging {
  return { options, due: 0n, vm: 0, slot: 0, index: 0, checksums: new Map(), waiting: new Map(), merged: new Map() };
}
