import type { RealAddress } from '../../machine/types.ts';
import {
  CPU_CONTEXT,
  ERRNO,
  type Errno,
  HOST_KVM,
  HOST_VCPU,
  hypVcpuBytes,
  hypVmBytes,
  type PkvmProfile,
  RESET_PSTATE,
  RESET_SCTLR,
  VM_HANDLE,
} from '../abi.ts';
import { type DonationParts, giveBack, pinShared, takeDonated } from './donation.ts';
import { type HypVcpu, HypVm, makeVcpu } from './hyp-vm.ts';
import type { Flush } from './stage2.ts';

/** What the table needs beside donations. */
export interface VmTableParts extends DonationParts {
  readonly profile: PkvmProfile;
  /** Shape of every guest's table: the host's (2.2). */
  readonly bits: number;
  readonly startLevel: number;
  readonly flush: Flush;
  /** Told of every VM that enters another state of 1.4. */
  readonly onVmState?: (handle: number, from: VmTableState, to: VmTableState) => void;
}

/** States of a VM (1.4). */
export type VmTableState = 'FREE' | 'RESERVED' | 'CREATED' | 'DYING';

/** A slot of the table: `reserved` is the marker that 7.2 stores (1.4). */
type Slot = HypVm | 'reserved' | null;

/**
 * VMs by handle, from reservation to the end of teardown (arm64-pkvm.md 1.4, 4.4). Every failure leaves everything as it was, and pages that the host
 * gave are cleared and go back.
 */
export class VmTable {
  readonly #parts: VmTableParts;
  readonly #slots: Slot[] = Array.from({ length: VM_HANDLE.most }, () => null);
  /** The vCPU that each PE has loaded. */
  readonly #loaded = new Map<number, HypVcpu>();

  constructor(parts: VmTableParts) {
    this.#parts = parts;
  }

  #note(index: number, from: VmTableState, to: VmTableState): void {
    this.#parts.onVmState?.(VM_HANDLE.first + index, from, to);
  }

  /** The VM with a handle: created, maybe dying. */
  find(handle: bigint | number): HypVm | undefined {
    const slot = this.#slots[this.#index(BigInt(handle))];
    return slot instanceof HypVm ? slot : undefined;
  }

  /** All VMs that were created and not torn down. */
  get vms(): readonly HypVm[] {
    return this.#slots.filter((slot) => slot instanceof HypVm);
  }

  loadedOn(cpu: number): HypVcpu | undefined {
    return this.#loaded.get(cpu);
  }

  /** #38. @returns a handle; −ENOMEM where all are taken */
  reserve(): number {
    const index = this.#slots.indexOf(null);
    if (index < 0) return ERRNO.ENOMEM;
    this.#slots[index] = 'reserved';
    this.#note(index, 'FREE', 'RESERVED');
    return VM_HANDLE.first + index;
  }

  /** #39: of a handle that is not reserved nothing happens. */
  unreserve(handle: bigint): void {
    const index = this.#index(handle);
    if (this.#slots[index] !== 'reserved') return;
    this.#slots[index] = null;
    this.#note(index, 'RESERVED', 'FREE');
  }

  /** #40: the host's structure is pinned and read once, then two areas change hands. */
  create(hostKvm: bigint, vmArea: bigint, rootArea: bigint): Errno {
    const { view, protect } = this.#parts;
    const hostArea = pinShared(this.#parts, hostKvm, HOST_KVM.size);
    if (hostArea === null) return ERRNO.EPERM;
    const undo = (error: Errno): Errno => {
      protect.unpin(hostArea);
      return error;
    };
    const host = Number(hostKvm) as RealAddress;
    const field = (offset: number): bigint => view.readU64Le((host + offset) as RealAddress);
    const vcpus = field(HOST_KVM.createdVcpus) & 0xffffffffn;
    if (vcpus < 1n || vcpus > MOST_VCPUS) return undo(ERRNO.EINVAL);
    const handle = field(HOST_KVM.handle) & 0xffffn;
    if (handle < BigInt(VM_HANDLE.first)) return undo(ERRNO.EINVAL);
    const isProtected = field(HOST_KVM.isProtected) !== 0n;
    const area = takeDonated(this.#parts, vmArea, hypVmBytes(Number(vcpus)));
    if (area === null) return undo(ERRNO.ENOMEM);
    const root = takeDonated(this.#parts, rootArea, this.#rootBytes);
    if (root === null) {
      giveBack(this.#parts, area);
      return undo(ERRNO.ENOMEM);
    }
    const { bits, startLevel, flush } = this.#parts;
    const vm = new HypVm(this.#parts, {
      handle: Number(handle),
      isProtected,
      vcpus: Number(vcpus),
      area,
      rootArea: root,
      hostArea,
      host,
      bits,
      startLevel,
      flush,
    });
    const index = this.#index(handle);
    if (this.#slots[index] !== 'reserved') {
      vm.abandon();
      giveBack(this.#parts, area);
      return undo(ERRNO.EINVAL);
    }
    this.#slots[index] = vm;
    this.#note(index, 'RESERVED', 'CREATED');
    return 0;
  }

  /** #41. */
  createVcpu(handle: bigint, hostVcpu: bigint, vcpuArea: bigint): Errno {
    const { view, protect, profile } = this.#parts;
    const area = takeDonated(this.#parts, vcpuArea, hypVcpuBytes(profile));
    if (area === null) return ERRNO.ENOMEM;
    const undo = (error: Errno): Errno => {
      giveBack(this.#parts, area);
      return error;
    };
    const vm = this.find(handle);
    if (vm === undefined) return undo(ERRNO.ENOENT);
    const hostArea = pinShared(this.#parts, hostVcpu, HOST_VCPU.size);
    if (hostArea === null) return undo(ERRNO.EBUSY);
    const host = Number(hostVcpu) as RealAddress;
    const field = (offset: number): bigint => view.readU64Le((host + offset) as RealAddress);
    const index = Number(field(HOST_VCPU.vcpuIndex) & 0xffffffffn);
    const id = Number(field(HOST_VCPU.vcpuId) & 0xffffffffn);
    if (index >= vm.vcpus.length || vm.vcpus[index] !== undefined) {
      protect.unpin(hostArea);
      return undo(ERRNO.EINVAL);
    }
    const vcpu = makeVcpu(this.#parts, profile, { vm, index, id, area, hostArea, host });
    this.#reset(vcpu);
    vm.vcpus[index] = vcpu;
    return 0;
  }

  /** #47: says nothing of failures; the next run does (10.2 #31). */
  load(cpu: number, handle: bigint, index: bigint): HypVcpu | null {
    if (this.#loaded.has(cpu)) return null;
    const vm = this.find(handle);
    if (vm === undefined || vm.isDying) return null;
    const vcpu = index < BigInt(vm.vcpus.length) ? vm.vcpus[Number(index)] : undefined;
    if (vcpu === undefined || vcpu.loadedOn !== null) return null;
    vcpu.loadedOn = cpu;
    this.#loaded.set(cpu, vcpu);
    vm.hold(1);
    return vcpu;
  }

  /** #48. */
  put(cpu: number): void {
    const vcpu = this.#loaded.get(cpu);
    if (vcpu === undefined) return;
    this.#loaded.delete(cpu);
    vcpu.loadedOn = null;
    vcpu.vm.hold(-1);
  }

  /** #45. */
  startTeardown(handle: bigint): Errno {
    const vm = this.find(handle);
    if (vm === undefined || vm.references !== 0 || vm.isDying) return ERRNO.EINVAL;
    vm.isDying = true;
    this.#note(this.#index(handle), 'CREATED', 'DYING');
    return 0;
  }

  /** #46: the VMID is flushed before anybody can have it again (10.1 #24). */
  finalizeTeardown(handle: bigint): Errno {
    const vm = this.find(handle);
    if (vm === undefined || vm.references !== 0 || !vm.isDying) return ERRNO.EINVAL;
    this.#parts.flush.all();
    this.#slots[this.#index(handle)] = null;
    vm.release();
    this.#note(this.#index(handle), 'DYING', 'FREE');
    return 0;
  }

  get #rootBytes(): number {
    const { bits, startLevel } = this.#parts;
    return 4096 * 2 ** Math.max(0, bits - (9 * (4 - (startLevel - 1)) + 3));
  }

  #index(handle: bigint): number {
    const index = handle - BigInt(VM_HANDLE.first);
    return index >= 0n && index < BigInt(VM_HANDLE.most) ? Number(index) : -1;
  }

  /**
   * The first state of a vCPU. In profile I the host says where a protected guest's first vCPU begins, once and here: its x0 to x14 and PC, as 8.7 has
   * it for firmware. All others begin off.
   */
  #reset(vcpu: HypVcpu): void {
    const { view, profile } = this.#parts;
    const { context, vm } = vcpu;
    const first = vcpu.index === 0;
    if (profile !== 'I' || !vm.isProtected) {
      vcpu.power = 'on';
      return;
    }
    context.pstate = RESET_PSTATE;
    context.setRegister('SCTLR_EL1', RESET_SCTLR);
    if (first) {
      for (let n = 0; n < 15; n++) context.setX(n, view.readU64Le((vcpu.host + 8 * n) as RealAddress));
      context.pc = view.readU64Le((vcpu.host + CPU_CONTEXT.pc) as RealAddress);
    }
    vcpu.power = first ? 'on' : 'off';
  }
}

/** KVM_MAX_VCPUS with a GICv3. */
const MOST_VCPUS = 512n;
