import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { ARM_PAGE_SIZE, ERRNO, type Errno, HCR, PHYSICAL_BITS, type PkvmProfile } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { DonationParts } from './donation.ts';
import { EL2_PROT, El2Tables } from './el2-tables.ts';
import { HypPages, type MemoryRange, PAGE_STATE } from './hyp-page.ts';
import { MemProtect, type MemProtectParts } from './mem-protect.ts';
import { HYP_OWNED, type PageRange, pageRange, setHost, setHyp } from './ownership.ts';
import { PagePool } from './page-pool.ts';
import type { Flush, PageSource, Stage2 } from './stage2.ts';
import { ANNOTATION, PROT } from './stage2-format.ts';
import { annotate, map } from './stage2-map.ts';
import { entriesIn, hostTableMemory } from './table-pages.ts';
import { CpuContextState } from './vcpu-state.ts';
import { VmTable, type VmTableParts } from './vm-table.ts';

/** What the hyp is given at power-on. */
export interface PkvmParts {
  readonly view: HostView;
  readonly profile: PkvmProfile;
  /** Memory as firmware described it, ascending. */
  readonly memory: readonly MemoryRange[];
  /** The hyp's code: its stub page, and what else lies there. */
  readonly text: PageRange;
  readonly flush: Flush;
  readonly cpus: number;
  /** Told of what happens to VMs and their pages. */
  readonly events?: PkvmEvents;
}

/** What the trace tells of VMs: states of 1.4 and 3.1. */
export interface PkvmEvents {
  readonly page: NonNullable<MemProtectParts['onGuestPage']>;
  readonly vm: NonNullable<VmTableParts['onVmState']>;
}

/** HCR_EL2 while the host runs, before it is deprivileged (4.11); there is no pointer authentication here that would trap. */
export const HOST_HCR = HCR.RW | HCR.API | HCR.APK | HCR.TSC;

/** Stage 2 of the host, and so of every guest: PARange of the CPU, 44 bits (2.2); no hardware access flag here. */
const BITS = PHYSICAL_BITS;
const START_LEVEL = 0;
export const HOST_VTCR = 0x800c_3594n;

/** The host's table takes its pages from the hyp's pool, whatever cache is named. */
const POOL: PageSource = { pop: () => null };

/** A context takes two pages. */
const CONTEXT_ORDER = 1;

/** Most table pages that a map of `bytes` at page granularity takes, below its root. */
function tablePages(bytes: number): number {
  let pages = 0;
  for (let covered = 512 * ARM_PAGE_SIZE; covered < 2 ** 48; covered *= 512) pages += Math.ceil(bytes / covered) + 1;
  return pages;
}

/** Pages that `__pkvm_init` must be given: EL2's own table, the host's table with 1 GiB of devices, their roots, and a context for each CPU (8.1 step 2). */
export function poolPages(memory: readonly MemoryRange[], cpus: number): number {
  const bytes = memory.reduce((sum, { size }) => sum + size, 0);
  return 2 * tablePages(bytes) + 16 + tablePages(2 ** 30) + cpus * 2 ** CONTEXT_ORDER;
}

/** The hyp after `__pkvm_init`: pages, tables, transitions and VMs. */
export class Pkvm {
  readonly profile: PkvmProfile;
  readonly pages: HypPages;
  readonly el2: El2Tables;
  readonly host: Stage2;
  readonly protect: MemProtect;
  readonly donation: DonationParts;
  readonly vms: VmTable;
  /** What each PE's host has while a guest runs there, in the hyp's own pages. */
  readonly #hostContexts: readonly CpuContextState[];

  /**
   * `__pkvm_init`: builds EL2's table and the host's in the pool, and takes pool and code from the host.
   * @returns −EINVAL for a pool that is not aligned or is no memory, −ENOMEM for one that is too small
   */
  static create(parts: PkvmParts, base: bigint, bytes: bigint): Pkvm | Errno {
    const page = BigInt(ARM_PAGE_SIZE);
    if (base % page !== 0n || bytes % page !== 0n) return ERRNO.EINVAL;
    const pool = pageRange(base / page, bytes / page);
    const inside = ({ base: from, size }: MemoryRange): boolean =>
      pool !== null && pool.start >= from && pool.start + pool.count * ARM_PAGE_SIZE <= from + size;
    if (pool === null || !parts.memory.some(inside)) return ERRNO.EINVAL;
    if (pool.count < poolPages(parts.memory, parts.cpus)) return ERRNO.ENOMEM;
    return new Pkvm(parts, pool);
  }

  private constructor(parts: PkvmParts, poolRange: PageRange) {
    const { view, profile, flush, text } = parts;
    this.profile = profile;
    this.pages = new HypPages(parts.memory);
    view.fill(poolRange.start as RealAddress, poolRange.count * ARM_PAGE_SIZE, 0);
    const pool = new PagePool(this.pages, view, poolRange.start as RealAddress, poolRange.count);
    const entries = entriesIn(view);
    this.el2 = new El2Tables(pool, entries, () => flush.all());
    this.host = {
      bits: BITS,
      startLevel: START_LEVEL,
      root: pool.allocateSplit(0),
      rootBytes: ARM_PAGE_SIZE,
      identity: true,
      entries,
      memory: hostTableMemory(this.pages, pool),
      flush,
    };
    this.protect = new MemProtect({
      view,
      pages: this.pages,
      host: this.host,
      hyp: this.el2,
      guestOf: (handle) => this.vms.find(handle),
      ...(parts.events && { onGuestPage: parts.events.page }),
    });
    this.donation = { view, pages: this.pages, protect: this.protect };
    this.vms = new VmTable({
      ...this.donation,
      profile,
      bits: BITS,
      startLevel: START_LEVEL,
      flush,
      ...(parts.events && { onVmState: parts.events.vm }),
    });
    this.#hostContexts = Array.from({ length: parts.cpus }, () => {
      const pages = pool.allocate(CONTEXT_ORDER);
      if (pages === null) throw new Error('the pool has no page for the context of a host');
      return new CpuContextState(view, pages);
    });
    this.#take(poolRange, EL2_PROT.data);
    this.#take(text, EL2_PROT.text);
  }

  hostContext(cpu: number): CpuContextState {
    const context = this.#hostContexts[cpu];
    if (context === undefined) throw new Error(`no CPU ${cpu}`);
    return context;
  }

  /** The host's stage 2 and traps on a PE (4.11). */
  activateHost(port: RegisterPort): void {
    port.setRegister('VTCR_EL2', HOST_VTCR);
    port.setRegister('VTTBR_EL2', BigInt(this.host.root as number));
    port.setRegister('HCR_EL2', HOST_HCR | HCR.VM);
    port.setRegister('MDCR_EL2', 0n);
    port.setRegister('CNTHCTL_EL2', 3n);
    port.setRegister('VMPIDR_EL2', port.register('MPIDR_EL1'));
  }

  /** Makes pages the hyp's at boot: the host may read code, in 7.2, and nothing of data (1.3). */
  #take(range: PageRange, attributes: bigint): void {
    const { host, pages } = this;
    const bytes = range.count * ARM_PAGE_SIZE;
    this.el2.mapAs(range, attributes);
    const readable = attributes === EL2_PROT.text;
    const error = readable
      ? map(host, range.start, bytes, range.start, PROT.R, POOL, true)
      : annotate(host, range.start, bytes, ANNOTATION.hostDonation, HYP_OWNED, POOL);
    if (error !== 0) throw new Error(`the hyp's own pages: ${error}`);
    setHyp(pages, range, PAGE_STATE.owned);
    setHost(pages, range, PAGE_STATE.noPage);
  }
}
