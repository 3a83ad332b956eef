import type { RealAddress } from '../../machine/types.ts';
import { contextBytes, HOST_KVM, HOST_VCPU, HYP_STATE_BYTES, type PkvmProfile } from '../abi.ts';
import { type DonationParts, giveBack, Memcache, pushRange, pushToHost } from './donation.ts';
import type { GuestMemory, PageRange } from './ownership.ts';
import { PagePool } from './page-pool.ts';
import { destroy, type Flush, type Stage2 } from './stage2.ts';
import { entriesIn, guestTableMemory } from './table-pages.ts';
import { CpuContextState, VcpuHypState, VgicState } from './vcpu-state.ts';

/** What the firmware of a VM knows of a vCPU: profile I keeps it at EL2 (5.6). */
export type PowerState = 'off' | 'on-pending' | 'on';

/** A protected or plain vCPU as the hyp has it: everything here lies in pages that the host cannot reach. */
export interface HypVcpu {
  readonly vm: HypVm;
  readonly index: number;
  readonly id: number;
  readonly area: PageRange;
  /** The host's structure: pinned, and the host's to write at any time. */
  readonly hostArea: PageRange;
  readonly host: RealAddress;
  readonly context: CpuContextState;
  readonly state: VcpuHypState;
  readonly vgic: VgicState;
  readonly memcache: Memcache;
  /** PE that it is loaded on. */
  loadedOn: number | null;
  power: PowerState;
  /** Where CPU_ON said to begin. */
  boot: { readonly entry: bigint; readonly context: bigint } | null;
  /** How it last left for the host (`EXIT_CODE`), until the host's answer is taken; null before and while it executes. */
  exit: number | null;
  /** The last exit was an access to a device, which the host may complete (6.6). */
  mmio: boolean;
  /** Until an illegal state was seen: then it never runs again (6.6). */
  initialised: boolean;
}

/** What a VM is made from. */
export interface HypVmParts {
  readonly handle: number;
  readonly isProtected: boolean;
  readonly vcpus: number;
  readonly area: PageRange;
  readonly rootArea: PageRange;
  readonly hostArea: PageRange;
  readonly host: RealAddress;
  readonly bits: number;
  readonly startLevel: number;
  readonly flush: Flush;
}

/** A VM as the hyp has it: its stage 2 table and its vCPUs. */
export class HypVm implements GuestMemory {
  readonly handle: number;
  readonly isProtected: boolean;
  readonly host: RealAddress;
  readonly table: Stage2;
  readonly vcpus: (HypVcpu | undefined)[];
  readonly parts: HypVmParts;
  readonly #donation: DonationParts;
  readonly #pool: PagePool;
  isDying = false;
  /** The guest names its devices' pages, and the host answers for no others (5.4). */
  mmioGuard = false;

  constructor(donation: DonationParts, parts: HypVmParts) {
    const { view, pages } = donation;
    this.#donation = donation;
    this.parts = parts;
    this.handle = parts.handle;
    this.isProtected = parts.isProtected;
    this.host = parts.host;
    this.vcpus = Array.from({ length: parts.vcpus }, () => undefined);
    this.#pool = new PagePool(pages, view, parts.rootArea.start as RealAddress, parts.rootArea.count);
    const root = this.#pool.allocateSplit(Math.log2(parts.rootArea.count));
    this.table = {
      bits: parts.bits,
      startLevel: parts.startLevel,
      root,
      rootBytes: parts.rootArea.count * 4096,
      identity: false,
      entries: entriesIn(view),
      memory: guestTableMemory(pages, this.#pool),
      flush: parts.flush,
    };
  }

  /** References of loaded vCPUs, in the record of the VM's first page (0.4). */
  get references(): number {
    return this.#donation.pages.refcount(this.parts.area.start);
  }

  hold(by: 1 | -1): void {
    this.#donation.pages.setRefcount(this.parts.area.start, this.references + by);
  }

  /** Takes the root back before anything was mapped: creation failed later on. */
  abandon(): void {
    this.#freeTables();
    giveBack(this.#donation, this.parts.rootArea);
  }

  /** The second half of `__pkvm_finalize_teardown_vm` (8.6): every page of the VM's goes back, through the lists that the host's structure has. */
  release(): void {
    const { area, hostArea } = this.parts;
    const tables = this.host + HOST_KVM.stage2Teardown;
    const structures = this.host + HOST_KVM.teardown;
    for (const page of this.#freeTables()) pushToHost(this.#donation, tables, page);
    for (const vcpu of this.vcpus) {
      if (vcpu === undefined) continue;
      for (let page = vcpu.memcache.pop(); page !== null; page = vcpu.memcache.pop()) {
        pushToHost(this.#donation, tables, page);
      }
      this.#donation.protect.unpin(vcpu.hostArea);
      pushRange(this.#donation, structures, vcpu.area);
    }
    pushRange(this.#donation, structures, area);
    this.#donation.protect.unpin(hostArea);
  }

  /** All pages of the table and of the pool, with no reference left. */
  #freeTables(): number[] {
    destroy(this.table);
    const freed: number[] = [];
    for (let page = this.#pool.allocate(0); page !== null; page = this.#pool.allocate(0)) {
      this.#donation.pages.setRefcount(page, 0);
      freed.push(page);
    }
    return freed;
  }
}

/** A vCPU in cleared pages of its own. */
export function makeVcpu(
  { view }: DonationParts,
  profile: PkvmProfile,
  parts: Pick<HypVcpu, 'vm' | 'index' | 'id' | 'area' | 'hostArea' | 'host'>,
): HypVcpu {
  const base = parts.area.start;
  const stateAt = base + contextBytes(profile);
  return {
    ...parts,
    context: new CpuContextState(view, base as RealAddress),
    state: new VcpuHypState(view, stateAt as RealAddress),
    vgic: new VgicState(view, (stateAt + HYP_STATE_BYTES) as RealAddress),
    memcache: new Memcache(),
    loadedOn: null,
    power: 'off',
    boot: null,
    exit: null,
    mmio: false,
    initialised: true,
  };
}

/** The host's copy of the same two parts, in its own pages. */
export const hostContext = ({ view }: DonationParts, host: RealAddress): CpuContextState =>
  new CpuContextState(view, (host + HOST_VCPU.context) as RealAddress);
export const hostState = ({ view }: DonationParts, host: RealAddress): VcpuHypState =>
  new VcpuHypState(view, (host + HOST_VCPU.hypState) as RealAddress);
export const hostVgic = ({ view }: DonationParts, host: RealAddress): VgicState =>
  new VgicState(view, (host + HOST_VCPU.vgic) as RealAddress);
