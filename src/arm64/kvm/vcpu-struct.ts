import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import {
  type ContextRegister,
  CPU_CONTEXT,
  contextOffsetOf,
  HOST_VCPU,
  HYP_STATE,
  type HypStateField,
  MEMCACHE,
  VGIC,
} from '../abi.ts';

/** The host's `struct kvm_vcpu` in its own memory, which it shares with the hyp: what KVM reads of an exit and writes for an entry. */
export class VcpuStruct {
  readonly base: RealAddress;
  readonly #view: HostView;

  constructor(view: HostView, base: RealAddress) {
    this.#view = view;
    this.base = base;
  }

  x(n: number): bigint {
    return this.read(8 * n);
  }

  setX(n: number, value: bigint): void {
    this.write(8 * n, value);
  }

  get pc(): bigint {
    return this.read(CPU_CONTEXT.pc);
  }

  set pc(value: bigint) {
    this.write(CPU_CONTEXT.pc, value);
  }

  get pstate(): bigint {
    return this.read(CPU_CONTEXT.pstate);
  }

  set pstate(value: bigint) {
    this.write(CPU_CONTEXT.pstate, value);
  }

  register(name: ContextRegister): bigint {
    return this.read(contextOffsetOf(name));
  }

  setRegister(name: ContextRegister, value: bigint): void {
    this.write(contextOffsetOf(name), value);
  }

  state(field: HypStateField): bigint {
    return this.read(HOST_VCPU.hypState + HYP_STATE[field]);
  }

  setState(field: HypStateField, value: bigint): void {
    this.write(HOST_VCPU.hypState + HYP_STATE[field], value);
  }

  setVgic(field: Exclude<keyof typeof VGIC, 'lr'>, value: bigint): void {
    this.write(HOST_VCPU.vgic + VGIC[field], value);
  }

  list(n: number): bigint {
    return this.read(HOST_VCPU.vgic + VGIC.lr + 8 * n);
  }

  setList(n: number, value: bigint): void {
    this.write(HOST_VCPU.vgic + VGIC.lr + 8 * n, value);
  }

  /** Pages that lie ready for the hyp. */
  get cached(): number {
    return Number(this.read(HOST_VCPU.memcache + MEMCACHE.count));
  }

  /** Lays a page ready for the hyp: it becomes the head of the list (arm64-pkvm.md 4.6). */
  pushCached(page: RealAddress): void {
    this.#view.writeU64Le(page, this.read(HOST_VCPU.memcache + MEMCACHE.head));
    this.write(HOST_VCPU.memcache + MEMCACHE.head, BigInt(page));
    this.write(HOST_VCPU.memcache + MEMCACHE.count, BigInt(this.cached + 1));
  }

  read(offset: number): bigint {
    return this.#view.readU64Le((this.base + offset) as RealAddress);
  }

  write(offset: number, value: bigint): void {
    this.#view.writeU64Le((this.base + offset) as RealAddress, value);
  }
}

/** Takes a memcache's list apart, as the hyp leaves it. @param head address of the head and count */
export function takeCached(view: HostView, head: RealAddress): RealAddress[] {
  const pages: RealAddress[] = [];
  let next = view.readU64Le((head + MEMCACHE.head) as RealAddress);
  for (let left = view.readU64Le((head + MEMCACHE.count) as RealAddress); left > 0n; left--) {
    const page = Number(next) as RealAddress;
    next = view.readU64Le(page);
    pages.push(page);
  }
  view.writeU64Le((head + MEMCACHE.head) as RealAddress, 0n);
  view.writeU64Le((head + MEMCACHE.count) as RealAddress, 0n);
  return pages;
}
