import type { HostView } from './host-view.ts';

/** How a run of a machine ended. */
export interface MachineOutcome {
  readonly kind: 'poweroff' | 'stopped' | 'crashed' | 'terminated' | 'limit';
  readonly detail: string;
}

/** State of a VM for the report: the last one in which it could execute. */
export type ReportedVmState = 'normal' | 'secure' | 'dead';

/** Counts of a run, for the report. */
export interface MachineStatistics {
  readonly exits: Readonly<Record<string, number>>;
  readonly calls: Readonly<Record<string, number>>;
  readonly pages: Readonly<Record<string, number>>;
  /** By VM: the last state in which it could execute. */
  readonly vmStates: Readonly<Record<string, ReportedVmState>>;
  /** Why VMs that asked did not become secure. */
  readonly esmFailures: readonly { readonly vm: string; readonly reason: string }[];
  /** How often the hypervisor got control. */
  readonly hypervisorEntries: number;
  /** Accesses that the machine refused, by who tried. */
  readonly refused: Readonly<Record<string, number>>;
  /** Pages of 4 KiB of which each untrusted agent read something; only where the machine has them apart. */
  readonly pagesRead?: Readonly<Record<string, number>>;
}

/** `MachineStatistics.pagesRead`: of all views but the trusted part's own. */
export function pagesReadBy(views: readonly HostView[]): Record<string, number> {
  const pages = new Map<string, Set<number>>();
  for (const { rights, pagesRead } of views) {
    if (rights.agent === 'ultravisor') continue;
    pages.set(rights.agent, new Set([...(pages.get(rights.agent) ?? []), ...pagesRead]));
  }
  return Object.fromEntries([...pages].map(([agent, { size }]) => [agent, size]));
}
