import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { PkvmProfile } from '../abi.ts';

/**
 * The two parts of a vCPU that the hyp works with (seed 003; arm64-pkvm.md 6.1, 6.2), in RAM with their layouts. Hyp functions take one or both,
 * never the vCPU around them. Little-endian.
 */

/** Registers of EL1 and EL0 that a world switch exchanges (6.1): what a context's `sys_regs` hold, by position. 0 is no register. */
export const CONTEXT_REGISTERS = [
  'SCTLR_EL1',
  'CPACR_EL1',
  'TTBR0_EL1',
  'TTBR1_EL1',
  'TCR_EL1',
  'ESR_EL1',
  'AFSR0_EL1',
  'AFSR1_EL1',
  'FAR_EL1',
  'MAIR_EL1',
  'VBAR_EL1',
  'CONTEXTIDR_EL1',
  'AMAIR_EL1',
  'CNTKCTL_EL1',
  'PAR_EL1',
  'TPIDR_EL1',
  'ELR_EL1',
  'SPSR_EL1',
  'SP_EL1',
  'MDSCR_EL1',
  'TPIDR_EL0',
  'TPIDRRO_EL0',
  'CSSELR_EL1',
  'CNTV_CVAL_EL0',
  'CNTV_CTL_EL0',
] as const;
export type ContextRegister = (typeof CONTEXT_REGISTERS)[number];

const POSITION: ReadonlyMap<string, number> = new Map(CONTEXT_REGISTERS.map((name, n) => [name, n + 1]));

/** Offsets in `kvm_cpu_context` (6.1). */
const CONTEXT = { sp: 248, pc: 256, pstate: 264, v: 304, fpsr: 816, fpcr: 820, registers: 832 } as const;

/** Positions in `sys_regs`, of which most are unused here, and the bytes of the whole: with two pointers at its end, in units of 16. */
const REGISTER_COUNT: Readonly<Record<PkvmProfile, number>> = { I: 491, M: 491, L: 282 };
export const contextBytes = (profile: PkvmProfile): number =>
  Math.ceil((CONTEXT.registers + 8 * REGISTER_COUNT[profile] + 16) / 16) * 16;

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
    return this.#read(CONTEXT.sp);
  }

  set sp(value: bigint) {
    this.#write(CONTEXT.sp, value);
  }

  get pc(): bigint {
    return this.#read(CONTEXT.pc);
  }

  set pc(value: bigint) {
    this.#write(CONTEXT.pc, value);
  }

  /** In the format of SPSR_EL2. */
  get pstate(): bigint {
    return this.#read(CONTEXT.pstate);
  }

  set pstate(value: bigint) {
    this.#write(CONTEXT.pstate, value);
  }

  /** V register n: low and high half. */
  v(n: number): readonly [bigint, bigint] {
    return [this.#read(CONTEXT.v + 16 * n), this.#read(CONTEXT.v + 16 * n + 8)];
  }

  setV(n: number, low: bigint, high: bigint): void {
    this.#write(CONTEXT.v + 16 * n, low);
    this.#write(CONTEXT.v + 16 * n + 8, high);
  }

  /** FPSR in the low half, FPCR in the high one. */
  get fpControl(): bigint {
    return this.#read(CONTEXT.fpsr);
  }

  set fpControl(value: bigint) {
    this.#write(CONTEXT.fpsr, value);
  }

  register(name: ContextRegister): bigint {
    return this.#read(offsetOf(name));
  }

  setRegister(name: ContextRegister, value: bigint): void {
    this.#write(offsetOf(name), value);
  }

  #read(offset: number): bigint {
    return this.#view.readU64Le((this.#base + offset) as RealAddress);
  }

  #write(offset: number, value: bigint): void {
    this.#view.writeU64Le((this.#base + offset) as RealAddress, BigInt.asUintN(64, value));
  }
}

function offsetOf(name: ContextRegister): number {
  return CONTEXT.registers + 8 * (POSITION.get(name) as number);
}

/** `vcpu_hyp_state`: trap configuration, the last exit and flags; 64 bytes, u64 each here as in 7.2's (6.2). */
const HYP_STATE = {
  hcr: 0,
  mdcr: 8,
  vsesr: 16,
  esr: 24,
  far: 32,
  hpfar: 40,
  disr: 48,
  flags: 56,
} as const;
export const HYP_STATE_BYTES = 64;
export type HypStateField = keyof typeof HYP_STATE;

/** Bits of `flags`: what is to be done with the guest before it goes on (6.2). */
export const IFLAG = { pendingException: 1n, incrementPc: 2n, exceptMask: 0xen } as const;

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
