import type { CpuContext } from '../../engine/cpu.ts';
import type { TraceSink } from '../../trace/events.ts';
import { affinityOf, type ExceptionLevel, HCR, PSTATE, SCTLR } from '../abi.ts';
import { SPACE } from '../isa/address.ts';
import { type ArmMode, armMode, MODE_ALIGNMENT_CHECKED, MODE_BIG_ENDIAN } from '../isa/mode.ts';
import { exclusiveSize, fpTrapped, pstate } from '../isa/state.ts';
import { levelOf, readPstate, writePstate } from './banked.ts';
import type { Mmu, TranslationState } from './mmu.ts';
import { SYSTEM_REGISTERS, systemRegister } from './register-table.ts';
import { stage1Geometry, stage2Geometry } from './table-geometry.ts';

/** How control came to a level. */
export type EntryCause = 'trap' | 'return' | 'boot';

/** Parts of a CPU that its core works on. */
export interface CoreParts {
  readonly context: CpuContext<ArmMode>;
  readonly mmu: Mmu;
  readonly index: number;
  readonly clock: () => bigint;
  readonly trace: TraceSink | null;
  /** Told of every entry into a level from another one, and of every exception. */
  readonly entered: (level: ExceptionLevel, cause: EntryCause, pc: bigint) => void;
}

/** Registers whose change selects other translations or other code. */
const SELECTING: ReadonlySet<string> = new Set([
  'SCTLR_EL1',
  'SCTLR_EL2',
  'TTBR0_EL1',
  'TTBR1_EL1',
  'TCR_EL1',
  'TTBR0_EL2',
  'TCR_EL2',
  'HCR_EL2',
  'VTTBR_EL2',
  'VTCR_EL2',
  'CPACR_EL1',
  'CPTR_EL2',
]);

/** What a translation regime gives to the MMU. */
type Regime = Omit<TranslationState, 'user' | 'pan' | 'protectWalks'>;

/** CPACR_EL1.FPEN, and CPTR_EL2.TFP. */
const FPEN_SHIFT = 20n;
const TFP = 1n << 10n;

/**
 * The architected heart of one PE: PSTATE, exception level, system registers, and what selects translations. Every change of PSTATE passes
 * `setPstate`, every write of a system register `setRegister`.
 */
export class Core {
  readonly context: CpuContext<ArmMode>;
  readonly mmu: Mmu;
  /** Position of the CPU in its machine. */
  readonly index: number;
  readonly clock: () => bigint;
  readonly trace: TraceSink | null;
  readonly #entered: CoreParts['entered'];
  /** TLB keys of the regimes: they change with registers, not with PSTATE. */
  #hypKey = '';
  #guestKey = '';
  #hyp: Regime | null = null;
  #guest: Regime | null = null;
  #selected = '';

  constructor(parts: CoreParts) {
    this.context = parts.context;
    this.mmu = parts.mmu;
    this.index = parts.index;
    this.clock = parts.clock;
    this.trace = parts.trace;
    this.#entered = parts.entered;
  }

  /** The exception level in control. */
  get level(): ExceptionLevel {
    return levelOf(this.context.get64(pstate));
  }

  /** PSTATE with its flags, in the format of SPSR_ELx. */
  get pstate(): bigint {
    return readPstate(this.context);
  }

  /** A system register's value, with no privilege check and no side effect. */
  register(name: string): bigint {
    return this.context.get64(systemRegister(name).slot);
  }

  /** Writes a system register's value, whole; what depends on it follows. */
  setRegister(name: string, value: bigint): void {
    this.context.set64(systemRegister(name).slot, value);
    if (SELECTING.has(name)) this.configure();
  }

  /** Whether an HCR_EL2 bit is set; EL2's own accesses do not ask. */
  hcr(bit: bigint): boolean {
    return (this.register('HCR_EL2') & bit) !== 0n;
  }

  /** All system registers as after a reset, PSTATE at the highest level with everything masked. */
  reset(): void {
    for (const { slot, reset } of SYSTEM_REGISTERS.values()) this.context.set64(slot, reset);
    const affinity = BigInt(affinityOf(this.index));
    this.context.set64(systemRegister('MPIDR_EL1').slot, (1n << 31n) | affinity);
    this.context.set64(systemRegister('VMPIDR_EL2').slot, (1n << 31n) | affinity);
    this.context.set64(systemRegister('VPIDR_EL2').slot, this.register('MIDR_EL1'));
    writePstate(this.context, PSTATE.DAIF | PSTATE.SP | (2n << 2n));
    this.configure();
  }

  /** The one place where PSTATE changes: stack pointer, privilege and translations follow it. */
  setPstate(value: bigint): void {
    const before = this.context.get64(pstate);
    writePstate(this.context, value);
    // What was masked may be due now: the run loop looks.
    if ((before & ~value & PSTATE.DAIF) !== 0n) this.context.stopRequested = true;
    if (((before ^ value) & (PSTATE.EL | PSTATE.PAN)) !== 0n) this.#select();
  }

  /** Goes to `pc` with this PSTATE; an exception or a return. The exclusive monitor closes. */
  go(value: bigint, pc: bigint, cause: EntryCause): void {
    const from = this.level;
    this.context.set32(exclusiveSize, 0);
    this.setPstate(value);
    this.context.pc = pc;
    const { level } = this;
    if (cause === 'return' && from === level) return;
    this.trace?.emit({ type: 'level-enter', at: this.clock(), cpu: this.index, level: `EL${level}`, cause, nia: pc });
    this.#entered(level, cause, pc);
  }

  /** SCTLR_ELx of the regime that an exception level's accesses belong to. */
  sctlr(level: ExceptionLevel = this.level): bigint {
    return this.register(level === 2 ? 'SCTLR_EL2' : 'SCTLR_EL1');
  }

  /** VMID of VTTBR_EL2, 16 bits: 0 is the host's. */
  get vmid(): number {
    return Number(this.register('VTTBR_EL2') >> 48n);
  }

  /** Brings everything that depends on system registers in step with them. */
  configure(): void {
    const r = (name: string): string => this.register(name).toString(36);
    this.#hypKey = `${r('SCTLR_EL2')},${r('TTBR0_EL2')},${r('TCR_EL2')}`;
    const virtual = this.hcr(HCR.VM | HCR.DC) ? `${r('VTTBR_EL2')},${r('VTCR_EL2')}` : `${this.vmid}`;
    const bits = this.register('HCR_EL2') & (HCR.VM | HCR.DC | HCR.PTW | HCR.TGE);
    this.#guestKey = `${r('SCTLR_EL1')},${r('TTBR0_EL1')},${r('TTBR1_EL1')},${r('TCR_EL1')};${virtual};${bits.toString(36)}`;
    this.#hyp = this.#regimeOf(this.sctlr(2), true);
    this.#guest = this.#regimeOf(this.sctlr(1), false);
    this.mmu.state.protectWalks = this.hcr(HCR.PTW);
    this.#select();
  }

  /** What an access at EL0 would see, for LDTR and STTR from EL1; `asItself` ends it. */
  asUser(): void {
    const s = this.mmu.state;
    if (s.hyp) return;
    s.user = true;
    s.pan = false;
  }

  asItself(): void {
    const s = this.mmu.state;
    const { level } = this;
    s.user = level === 0;
    s.pan = level === 1 && (this.context.get64(pstate) & PSTATE.PAN) !== 0n;
  }

  /** Looks through the MMU as another level would; `look` must not change anything. */
  lookAs<T>(view: 'el0' | 'el1' | 'el2', look: () => T): T {
    const s = this.mmu.state;
    const saved = { ...s };
    Object.assign(s, view === 'el2' ? this.#hyp : this.#guest, { user: view === 'el0', pan: false });
    try {
      return look();
    } finally {
      Object.assign(s, saved);
    }
  }

  #regimeOf(sctlr: bigint, hyp: boolean): Regime {
    const on = (sctlr & SCTLR.M) !== 0n;
    const writeNoExecute = (sctlr & SCTLR.WXN) !== 0n;
    if (hyp) {
      const lower = stage1Geometry(this.register('TCR_EL2'), this.register('TTBR0_EL2'), 'hyp');
      return { hyp, stage1: on, writeNoExecute, lower, upper: null, stage2: false, second: null };
    }
    const tcr = this.register('TCR_EL1');
    return {
      hyp,
      // With HCR_EL2.DC or TGE stage 1 of EL1&0 is off.
      stage1: on && !this.hcr(HCR.DC | HCR.TGE),
      writeNoExecute,
      lower: stage1Geometry(tcr, this.register('TTBR0_EL1'), 'lower'),
      upper: stage1Geometry(tcr, this.register('TTBR1_EL1'), 'upper'),
      stage2: this.hcr(HCR.VM | HCR.DC),
      second: stage2Geometry(this.register('VTCR_EL2'), this.register('VTTBR_EL2')),
    };
  }

  /** Brings what depends on PSTATE in step with it: code mode, MMU state, TLBs. */
  #select(): void {
    const { level, context } = this;
    const sctlr = this.sctlr(level);
    const big = (sctlr & (level === 0 ? SCTLR.E0E : SCTLR.EE)) !== 0n;
    const checked = (sctlr & SCTLR.A) !== 0n;
    context.mode = armMode((big ? MODE_BIG_ENDIAN : 0) | (checked ? MODE_ALIGNMENT_CHECKED : 0));
    context.set32(fpTrapped, Number(this.fpTrapLevel() !== null));
    const hyp = level === 2;
    Object.assign(this.mmu.state, hyp ? this.#hyp : this.#guest);
    this.asItself();
    const own = `${level}${this.mmu.state.pan ? 'p' : ''}:${hyp ? this.#hypKey : this.#guestKey}`;
    const key = `${own}/${context.mode.key}`;
    if (key === this.#selected) return;
    this.#selected = key;
    context.selectDataSpace(SPACE.current, own);
    context.selectDataSpace(SPACE.unprivileged, hyp ? own : `0:${this.#guestKey}`);
    context.selectFetchSpace(key);
  }

  /** The level that an access to V registers from here is trapped to; null where it is allowed (CPACR_EL1.FPEN, CPTR_EL2.TFP). */
  fpTrapLevel(): ExceptionLevel | null {
    const { level } = this;
    const enabled = Number((this.register('CPACR_EL1') >> FPEN_SHIFT) & 3n);
    if (level !== 2 && !this.hcr(HCR.TGE)) {
      if ((enabled & 1) === 0 || (enabled === 1 && level === 0)) return 1;
    }
    return (this.register('CPTR_EL2') & TFP) !== 0n ? 2 : null;
  }
}
