import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { type ContextRegister, CPU_CONTEXT, contextOffsetOf, HYP_STATE, type HypStateField, VGIC } from '../abi.ts';

/**
 * The two parts of a vCPU that the hyp works with (seed 003; arm64-pkvm.md 6.1, 6.2), in RAM with their layouts. Hyp functions take one or both,
 * never the vCPU around them. Little-endian.
 */

/** `kvm_cpu_context`: general registers, PC, PSTATE, V registers and the system registers of EL1 and EL0. */
export class CpuContextState {
  readonly #view: HostView;
  readonly #base: number;

  constructor(view: HostView, base: RealAddress) {
    this.#view = view;
    this.#base = base;
  }

  x(n: number): bigint {
    return this.#read(8 * n);
  }

  setX(n: number, value: bigint): void {
    this.#write(8 * n, value);
  }

  /** SP_EL0. */
  get sp(): bigint {
    return this.#read(CPU_CONTEXT.sp);
  }

  set sp(value: bigint) {
    this.#write(CPU_CONTEXT.sp, value);
  }

  get pc(): bigint {
    return this.#read(CPU_CONTEXT.pc);
  }

  set pc(value: bigint) {
    this.#write(CPU_CONTEXT.pc, value);
  }

  /** In the format of SPSR_EL2. */
  get pstate(): bigint {
    return this.#read(CPU_CONTEXT.pstate);
  }

  set pstate(value: bigint) {
    this.#write(CPU_CONTEXT.pstate, value);
  }

  /** V register n: low and high half. */
  v(n: number): readonly [bigint, bigint] {
    return [this.#read(CPU_CONTEXT.v + 16 * n), this.#read(CPU_CONTEXT.v + 16 * n + 8)];
  }

  setV(n: number, low: bigint, high: bigint): void {
    this.#write(CPU_CONTEXT.v + 16 * n, low);
    this.#write(CPU_CONTEXT.v + 16 * n + 8, high);
  }

  /** FPSR in the low half, FPCR in the high one. */
  get fpControl(): bigint {
    return this.#read(CPU_CONTEXT.fpsr);
  }

  set fpControl(value: bigint) {
    this.#write(CPU_CONTEXT.fpsr, value);
  }

  register(name: ContextRegister): bigint {
    return this.#read(contextOffsetOf(name));
  }

  setRegister(name: ContextRegister, value: bigint): void {
    this.#write(contextOffsetOf(name), value);
  }

  #read(offset: number): bigint {
    return this.#view.readU64Le((this.#base + offset) as RealAddress);
  }

  #write(offset: number, value: bigint): void {
    this.#view.writeU64Le((this.#base + offset) as RealAddress, BigInt.asUintN(64, value));
  }
}

/** `vcpu_hyp_state`: trap configuration, the last exit and flags. */
export class VcpuHypState {
  readonly #view: HostView;
  readonly #base: number;

  constructor(view: HostView, base: RealAddress) {
    this.#view = view;
    this.#base = base;
  }

  get(field: HypStateField): bigint {
    return this.#view.readU64Le((this.#base + HYP_STATE[field]) as RealAddress);
  }

  set(field: HypStateField, value: bigint): void {
    this.#view.writeU64Le((this.#base + HYP_STATE[field]) as RealAddress, BigInt.asUintN(64, value));
  }
}

/** `vgic_v3_cpu_if`: a vCPU's virtual CPU interface and list registers (6.5). */
export class VgicState {
  readonly #view: HostView;
  readonly #base: number;

  constructor(view: HostView, base: RealAddress) {
    this.#view = view;
    this.#base = base;
  }

  get(field: Exclude<keyof typeof VGIC, 'lr'>): bigint {
    return this.#view.readU64Le((this.#base + VGIC[field]) as RealAddress);
  }

  set(field: Exclude<keyof typeof VGIC, 'lr'>, value: bigint): void {
    this.#view.writeU64Le((this.#base + VGIC[field]) as RealAddress, value);
  }

  list(n: number): bigint {
    return this.#view.readU64Le((this.#base + VGIC.lr + 8 * n) as RealAddress);
  }

  setList(n: number, value: bigint): void {
    this.#view.writeU64Le((this.#base + VGIC.lr + 8 * n) as RealAddress, value);
  }
}
