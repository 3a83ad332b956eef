import type { HostView } from '../../../machine/host-view.ts';
import { AccessRefused, type RealAddress } from '../../../machine/types.ts';
import { ARM_PAGE_SIZE, HOST_VCPU, HYP_STATE_BYTES, type HypercallName } from '../../abi.ts';
import type { RegisterPort } from '../../cpu/port.ts';
import { topUp } from '../map-page.ts';
import type { Ctx, KvmState } from '../state.ts';
import type { Vcpu, Vm } from '../vm.ts';

/** By what an attack tried something. */
export type Means =
  | 'load'
  | 'store'
  | 'DMA'
  | 'hypercall'
  | 'reading registers'
  | 'changing registers'
  | 'resuming elsewhere'
  | 'injecting an interrupt'
  | 'withholding a page'
  | 'keeping a translation'
  | 'answering TRNG';

/** How often an attack used a means, and how often the machine refused. */
export interface Attempts {
  tried: number;
  refused: number;
}

/** Permissions of a page that a plain guest gets. */
const RWX = 0xf;

/**
 * What an attack has and can do, all of it by the means of any host at EL1: its registers, loads and stores that the host's stage 2 lets through,
 * hypercalls, and DMA of a device. It keeps what the attack got hold of.
 */
export class Toolbox {
  /** What the attack got hold of, for whoever knows the secret to search. */
  readonly loot: Uint8Array[] = [];
  readonly attempts = new Map<Means, Attempts>();
  readonly #device: HostView;
  readonly #targets: readonly [number, number] | null;
  #ctx: Ctx | null = null;

  /**
   * @param device memory with the rights of a device
   * @param targets the two frames to attack, from the beginning of guest memory; null for where an image keeps what it computes
   */
  constructor(device: HostView, targets: readonly [number, number] | null) {
    this.#device = device;
    this.#targets = targets;
  }

  /** The host has this CPU now. */
  at(ctx: Ctx): void {
    this.#ctx = ctx;
  }

  // ---- what an attack has ----

  get kvm(): KvmState {
    return this.#now.kvm;
  }

  get port(): RegisterPort {
    return this.#now.port;
  }

  get victim(): Vm {
    return this.#vm(0);
  }

  get accomplice(): Vm {
    return this.#vm(1);
  }

  get isProtected(): boolean {
    return this.victim.isProtected;
  }

  /** The frame to attack first. */
  get target(): number {
    return this.#targets?.[0] ?? this.#default;
  }

  /** The frame beside it. */
  get partner(): number {
    return this.#targets?.[1] ?? this.#default + 1;
  }

  /** The host page behind a frame. */
  pageOf(gfn: number, vm: Vm = this.victim): RealAddress {
    return vm.frames[gfn] as RealAddress;
  }

  /** A page of the host's own, filled with the byte. */
  ownPage(byte: number): RealAddress {
    const page = this.kvm.pages.allocate();
    this.kvm.view.fill(page, ARM_PAGE_SIZE, byte);
    return page;
  }

  /** What the guest sees as the number of a frame. */
  numberOf(gfn: number, vm: Vm = this.victim): number {
    return vm.base / ARM_PAGE_SIZE + gfn;
  }

  // ---- what an attack does ----

  /** Loads bytes and keeps them. @returns them; null where that was refused */
  take(address: RealAddress, length: number = ARM_PAGE_SIZE): Uint8Array | null {
    let bytes: Uint8Array | null = null;
    this.#access('load', () => {
      bytes = this.kvm.view.read(address, length);
      this.loot.push(bytes);
    });
    return bytes;
  }

  store(address: RealAddress, bytes: Uint8Array): void {
    this.#access('store', () => this.kvm.view.write(address, bytes));
  }

  /** Has a device read a page into the loot, and write it. */
  dma(address: RealAddress, bytes: Uint8Array): void {
    this.#access('DMA', () => this.loot.push(this.#device.read(address, ARM_PAGE_SIZE)));
    this.#access('DMA', () => this.#device.write(address, bytes));
  }

  /** Keeps all that the host has of a vCPU, and all registers of its own that can be left over from the guest. */
  takeRegisters({ struct }: Vcpu): void {
    const { port } = this;
    this.loot.push(this.kvm.view.read(struct.base, HOST_VCPU.hypState + HYP_STATE_BYTES));
    const values: bigint[] = [];
    for (let n = 0; n < 31; n++) values.push(port.x(n));
    for (let n = 0; n < 32; n++) values.push(...port.v(n));
    values.push(port.fpcr(), port.fpsr(), port.sp(0), port.sp(1));
    for (const name of OWN_REGISTERS) values.push(port.register(name));
    this.keep(values);
    this.did('reading registers');
  }

  /** Keeps values. */
  keep(values: readonly bigint[]): void {
    const bytes = new Uint8Array(8 * values.length);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) view.setBigUint64(8 * i, value, true);
    this.loot.push(bytes);
  }

  /** Lays table pages ready for what the attack is going to map. */
  topUp(vcpu: Vcpu): void {
    topUp(this.#now, vcpu);
  }

  /** Makes hypercalls before a guest goes on, with its vCPU loaded. */
  calls(...calls: readonly (readonly [HypercallName, ...(number | bigint)[]])[]): void {
    this.callsFor(this.victim, ...calls);
  }

  callsFor(vm: Vm, ...calls: readonly (readonly [HypercallName, ...(number | bigint)[]])[]): void {
    for (const [name, ...args] of calls) this.kvm.extra.push({ vm, name, args });
    this.#count('hypercall').tried += calls.length;
  }

  /** Puts another page behind a frame of a guest's: takes the one that is there out, and gives the other. */
  replacePage(gfn: number, page: RealAddress, vm: Vm = this.victim): void {
    const number = this.numberOf(gfn, vm);
    const [vcpu] = vm.vcpus;
    if (vcpu !== undefined) this.topUp(vcpu);
    vm.frames[gfn] = page;
    if (vm.isProtected) {
      this.callsFor(
        vm,
        ['__pkvm_reclaim_dying_guest_page', vm.handle, number],
        ['__pkvm_host_donate_guest', page / ARM_PAGE_SIZE, number],
      );
      return;
    }
    this.callsFor(
      vm,
      ['__pkvm_host_unshare_guest', vm.handle, number, 1],
      ['__pkvm_host_share_guest', page / ARM_PAGE_SIZE, number, 1, RWX],
    );
  }

  /** Notes a deed that nothing can refuse. */
  did(means: Means): void {
    this.#count(means).tried += 1;
  }

  #access(means: Means, action: () => void): void {
    const attempts = this.#count(means);
    attempts.tried += 1;
    try {
      action();
    } catch (error) {
      if (!(error instanceof AccessRefused)) throw error;
      attempts.refused += 1;
    }
  }

  #count(means: Means): Attempts {
    const known = this.attempts.get(means);
    if (known !== undefined) return known;
    const fresh = { tried: 0, refused: 0 };
    this.attempts.set(means, fresh);
    return fresh;
  }

  /** Where an image keeps what it computes: the last two frames that the guest has touched when the attack begins. */
  get #default(): number {
    const touched = [...this.victim.mapped].sort((a, b) => a - b);
    return touched.findLast((gfn) => this.victim.mapped.has(gfn + 1)) ?? touched[0] ?? 0;
  }

  #vm(index: number): Vm {
    const vm = this.kvm.vms[index];
    if (vm === undefined) throw new Error(`the attack needs ${index + 1} VMs`);
    return vm;
  }

  get #now(): Ctx {
    if (this.#ctx === null) throw new Error('the hostile host never had a CPU');
    return this.#ctx;
  }
}

/** Registers of EL1 and EL0 that the host reads of the CPU itself. */
const OWN_REGISTERS = [
  'TPIDR_EL0',
  'TPIDRRO_EL0',
  'TPIDR_EL1',
  'CONTEXTIDR_EL1',
  'FAR_EL1',
  'ESR_EL1',
  'PAR_EL1',
  'MAIR_EL1',
  'TTBR0_EL1',
  'TTBR1_EL1',
  'ELR_EL1',
  'SPSR_EL1',
] as const;
