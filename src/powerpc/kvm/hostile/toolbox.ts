import type { HostView } from '../../../machine/host-view.ts';
import { AccessRefused, type RealAddress } from '../../../machine/types.ts';
import { type Gfn, type GuestPhysical, gpaOf, UV_PAGE_SIZE } from '../../abi.ts';
import { PrivilegeRefused, type RegisterPort } from '../../cpu/port.ts';
import type { MemoryRange } from '../host-pages.ts';
import { frameOf, framePage } from '../memslot.ts';
import { unmapPage } from '../radix.ts';
import type { Ctx, KvmState } from '../state.ts';
import type { Vm } from '../vm.ts';

/** By what an attack tried something. */
export type Means =
  | 'load'
  | 'store'
  | 'DMA'
  | 'mfspr'
  | 'mtspr'
  | 'reading registers'
  | 'changing registers'
  | 'resuming elsewhere'
  | 'injecting an interrupt'
  | 'withholding a page'
  | 'giving another page'
  | 'keeping a translation'
  | 'answering H_RANDOM'
  | 'answering RTAS'
  | 'changing the image';

/** How often an attack used a means, and how often the machine refused. */
export interface Attempts {
  tried: number;
  refused: number;
}

/** A range of guest memory. */
export interface GuestRange {
  /** Guest physical address. */
  readonly base: GuestPhysical;
  /** Bytes. */
  readonly size: number;
}

/** What a hypervisor knows of a guest because its VMM loaded it. */
export interface LoadedGuest {
  /** The frames that are worth attacking: where the guest keeps what it computes. */
  readonly targets: readonly [Gfn, Gfn];
  /** What came from the image file, and from the initrd; the flat device tree, where it was started with one. */
  readonly image: GuestRange;
  readonly initrd: GuestRange | null;
  readonly tree: GuestRange | null;
}

/** What any hypervisor finds out from its device tree, and a device that it can program. */
export interface ToolboxOptions {
  /** Memory with the rights of a device. */
  readonly device: HostView;
  /** Secure memory; null where there is none. */
  readonly secure: MemoryRange | null;
  /** Told of a page that `takeOut` took from a normal VM. */
  readonly pagedOut: (gfn: Gfn, page: RealAddress, vm: Vm) => void;
}

/**
 * What an attack has and can do, all of it by the means of any hypervisor: its registers, loads and stores that the machine checks, ultracalls,
 * and DMA of a device. It keeps what the attack got hold of.
 */
export class Toolbox {
  readonly secure: MemoryRange | null;
  /** What the attack got hold of, for whoever knows the secret to search. */
  readonly loot: Uint8Array[] = [];
  readonly attempts = new Map<Means, Attempts>();
  /** The values of registers, in the order in which the attack reads them, look by look. */
  readonly looks: (readonly bigint[])[] = [];
  /** Registers that the attack left for the victim to find, by name as `architectedRegisters` has them, until the victim goes on. */
  planted: ReadonlyMap<string, bigint> | null = null;
  /** Numbers of the hypercalls that the attack waits for. */
  readonly awaited: number[] = [];
  /** Frames of the argument blocks in which the attack answered RTAS, for whoever judges to take out. */
  readonly answered: Gfn[] = [];
  readonly #device: HostView;
  readonly #pagedOut: ToolboxOptions['pagedOut'];
  /** By LPID. */
  readonly #loaded = new Map<number, LoadedGuest>();
  #ctx: Ctx | null = null;

  constructor({ device, secure, pagedOut }: ToolboxOptions) {
    this.#device = device;
    this.secure = secure;
    this.#pagedOut = pagedOut;
  }

  /** The hypervisor has this CPU now. */
  at(ctx: Ctx): void {
    this.#ctx = ctx;
  }

  /** A guest was loaded. */
  aim(vm: Vm, loaded: LoadedGuest): void {
    this.#loaded.set(vm.lpid, loaded);
  }

  // ---- what an attack has ----

  get kvm(): KvmState {
    return this.#now.kvm;
  }

  get port(): RegisterPort {
    return this.#now.port;
  }

  /** The first VM. */
  get victim(): Vm {
    return vmAt(this.kvm, 0);
  }

  /** The second VM. */
  get accomplice(): Vm {
    return vmAt(this.kvm, 1);
  }

  /** Where what of the victim was loaded. */
  get loaded(): LoadedGuest {
    return this.#loadedOf(this.victim);
  }

  /** The frame to attack first. */
  get target(): Gfn {
    return this.targetOf(this.victim);
  }

  /** The frame beside it. */
  get partner(): Gfn {
    return this.loaded.targets[1];
  }

  targetOf(vm: Vm): Gfn {
    return this.#loadedOf(vm).targets[0];
  }

  /** Whether the hypervisor has given the VM's memory to the Ultravisor. */
  isSecure(vm: Vm = this.victim): boolean {
    return vm.secureGuest !== 0;
  }

  /** The normal page behind a frame, if KVM's books have one. */
  pageOf(gfn: Gfn, vm: Vm = this.victim): RealAddress | undefined {
    const frame = frameOf(vm.slots, gfn);
    return frame === undefined ? undefined : framePage(frame);
  }

  /** A page of the hypervisor's own, filled with the byte. */
  ownPage(byte: number): RealAddress {
    const page = this.kvm.pages.allocate();
    if (page === undefined) throw new RangeError('the hostile hypervisor has no page left for itself');
    this.kvm.view.fill(page, UV_PAGE_SIZE, byte);
    return page;
  }

  /** Real addresses of all pages of a range. */
  pagesOf({ base, size }: MemoryRange): RealAddress[] {
    return Array.from({ length: size / UV_PAGE_SIZE }, (_, i) => (base + i * UV_PAGE_SIZE) as RealAddress);
  }

  // ---- what an attack does ----

  /** Loads bytes and keeps them. */
  take(address: RealAddress, length: number = UV_PAGE_SIZE): void {
    this.#access('load', () => this.loot.push(this.kvm.view.read(address, length)));
  }

  store(address: RealAddress, bytes: Uint8Array): void {
    this.#access('store', () => this.kvm.view.write(address, bytes));
  }

  /** Memory of the victim, as the VMM reaches it before the guest runs. */
  readGuest({ base, size }: GuestRange): Uint8Array {
    return this.kvm.memory.read(this.victim, base, size);
  }

  writeGuest({ base }: GuestRange, bytes: Uint8Array): void {
    this.kvm.memory.write(this.victim, base, bytes);
  }

  /** Has a device read a page into the loot, and write it. */
  dma(address: RealAddress, bytes: Uint8Array): void {
    this.#access('DMA', () => this.loot.push(this.#device.read(address, UV_PAGE_SIZE)));
    this.#access('DMA', () => this.#device.write(address, bytes));
  }

  /** @returns undefined if it was refused */
  readSpr(spr: number): bigint | undefined {
    let value: bigint | undefined;
    this.#access('mfspr', () => {
      value = this.port.spr(spr);
    });
    return value;
  }

  writeSpr(spr: number, value: bigint): void {
    this.#access('mtspr', () => this.port.setSpr(spr, value));
  }

  /** Keeps the values of registers. */
  takeRegisters(values: readonly bigint[]): void {
    const bytes = new Uint8Array(8 * values.length);
    const view = new DataView(bytes.buffer);
    for (const [i, value] of values.entries()) view.setBigUint64(8 * i, value);
    this.loot.push(bytes);
    this.looks.push(values);
    this.did('reading registers');
  }

  /** Sets registers for the victim to find when it goes on. `name` is that of the ISA. */
  plant(
    registers: readonly { readonly name: string; readonly value: bigint; readonly set: (value: bigint) => void }[],
  ): void {
    for (const { value, set } of registers) set(value);
    this.planted = new Map(registers.map(({ name, value }) => [name, value]));
    this.did('changing registers');
  }

  /** Has the frame leave its VM, as under memory pressure: `pagedOut` is told where it went; its next touch is a `pageIn`. */
  takeOut(gfn: Gfn, vm: Vm = this.victim): void {
    if (this.isSecure(vm)) {
      this.kvm.requests.push({ kind: 'page-out', lpid: vm.lpid, gfn, page: null });
      return;
    }
    const page = this.pageOf(gfn, vm);
    if (page === undefined) return;
    this.unmap(gfn, vm);
    this.port.invalidateTranslations(vm.lpid);
    this.#pagedOut(gfn, page, vm);
  }

  /** Takes the frame out of the hypervisor's own tree, and leaves what CPUs remember of it. */
  unmap(gfn: Gfn, vm: Vm = this.victim): void {
    unmapPage(vm.tree, this.kvm.view, gpaOf(gfn));
  }

  /** Puts another page behind a frame, in the hypervisor's own tree: what is done to a normal VM. */
  replacePage(gfn: Gfn, page: RealAddress): void {
    const frame = frameOf(this.victim.slots, gfn);
    if (frame === undefined) return;
    frame.slot.pages[frame.index] = page;
    this.unmap(gfn);
    this.port.invalidateTranslations(this.victim.lpid);
    this.did('giving another page');
  }

  /** Makes ultracalls before the victim goes on. */
  ultracalls(...calls: readonly { readonly number: number; readonly args: readonly (bigint | number)[] }[]): void {
    this.kvm.requests.push({ kind: 'ultracalls', lpid: this.victim.lpid, calls, made: 0 });
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
      if (!(error instanceof AccessRefused || error instanceof PrivilegeRefused)) throw error;
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

  #loadedOf(vm: Vm): LoadedGuest {
    const loaded = this.#loaded.get(vm.lpid);
    if (loaded === undefined) throw new Error(`nobody said what to attack in ${vm.name}`);
    return loaded;
  }

  get #now(): Ctx {
    if (this.#ctx === null) throw new Error('the hostile hypervisor never had a CPU');
    return this.#ctx;
  }
}

function vmAt(kvm: KvmState, index: number): Vm {
  const vm = [...kvm.vms.values()][index];
  if (vm === undefined) throw new Error(`the attack needs ${index + 1} VMs`);
  return vm;
}
