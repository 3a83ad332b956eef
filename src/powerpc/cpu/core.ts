import type { CpuContext } from '../../engine/cpu.ts';
import type { Slot } from '../../engine/state.ts';
import type { TraceSink } from '../../trace/events.ts';
import type { I64 } from '../../wasm/types.ts';
import { LPCR, MSR, PTCR, SMFCTRL, type SPR } from '../abi.ts';
import { MODE_LE, MODE_SF, type PowerMode, powerMode } from '../isa/mode.ts';
import { ctr, lr, msr as msrSlot, reserved } from '../isa/state.ts';
import type { Timers } from './clock.ts';
import { DataWatch, mayTrace } from './debug.ts';
import { INTERRUPTS, type Interrupt, type InterruptSpec, interruptState } from './interrupts.ts';
import type { Mmu } from './mmu.ts';
import { type Level, levelOf } from './msr.ts';
import { sprSlot } from './registers.ts';

/** How control came to a level. */
export type EntryCause = 'trap' | 'return' | 'boot';

/** Told of every entry into a level. */
export type EntryWatcher = (level: Level, cause: EntryCause, nia: bigint) => void;

/** Parts of a CPU that its core works on. */
export interface CoreParts {
  readonly context: CpuContext<PowerMode>;
  readonly mmu: Mmu;
  readonly timers: Timers;
  readonly index: number;
  readonly clock: () => bigint;
  readonly trace: TraceSink | null;
  readonly entered: EntryWatcher;
  /** Whether native code stands at a level: then each entry counts, also one from the level itself. */
  readonly isNative: (level: Level) => boolean;
}

/** The instruction word and MSR bits that make mode 0 to 3. */
function modeOf(msr: bigint): PowerMode {
  return powerMode(((msr & MSR.LE) !== 0n ? MODE_LE : 0) | ((msr & MSR.SF) !== 0n ? MODE_SF : 0));
}

/** Key 0 of AMR and IAMR, the only one that radix translation knows (ISA 3.0B, Book III 5.7.13.1). */
const AMR_NO_WRITE = 0x8000000000000000n;
const AMR_NO_READ = 0x4000000000000000n;
const IAMR_NO_EXECUTE = 0x4000000000000000n;
const WORD = 0xffffffffn;

/** Where an interrupt saves the address and the MSR. */
const SAVED = {
  SRR: [sprSlot('SRR0'), sprSlot('SRR1')],
  HSRR: [sprSlot('HSRR0'), sprSlot('HSRR1')],
  'LR and CTR': [lr, ctr],
} as const satisfies Record<InterruptSpec['save'], readonly [Slot<I64>, Slot<I64>]>;

/**
 * The architected heart of one CPU: MSR, privilege level, what selects translations, and how interrupts and returns change them. Every change
 * of the MSR passes `setMsr`.
 */
export class Core {
  readonly context: CpuContext<PowerMode>;
  readonly mmu: Mmu;
  readonly timers: Timers;
  /** Position of the CPU in its machine. */
  readonly index: number;
  readonly clock: () => bigint;
  readonly trace: TraceSink | null;
  readonly dataWatch = new DataWatch();
  /** The privilege level in control. */
  level: Level = levelOf(0n);
  /** How often control was transferred by an interrupt or a return: whoever looks twice knows whether an instruction just completed. */
  transfers = 0;
  readonly #entered: EntryWatcher;
  readonly #isNative: (level: Level) => boolean;
  /** Parts of TLB keys that change with registers, not with the MSR. */
  #hypervisorOffset = 0n;
  #ultravisorOffset = 0n;
  #partitionKey = '';
  #processKey = '';
  /** TLB keys by what of the MSR they depend on, so that each is put together, and its hash computed, once. */
  readonly #keys = new Map<number, string>();
  #dataKey = '';
  #fetchKey = '';

  constructor(parts: CoreParts) {
    this.context = parts.context;
    this.mmu = parts.mmu;
    this.timers = parts.timers;
    this.index = parts.index;
    this.clock = parts.clock;
    this.trace = parts.trace;
    this.#entered = parts.entered;
    this.#isNative = parts.isNative;
  }

  get msr(): bigint {
    return this.context.get64(msrSlot);
  }

  /** A special purpose register's storage, with no privilege check and no side effect. */
  raw(name: keyof typeof SPR): bigint {
    return this.context.get64(sprSlot(name));
  }

  setRaw(name: keyof typeof SPR, value: bigint): void {
    this.context.set64(sprSlot(name), value);
  }

  /** Whether the Secure Memory Facility is on (1.6). */
  get secureFacility(): boolean {
    return (this.raw('SMFCTRL') & SMFCTRL.E) !== 0n;
  }

  /** The one place where the MSR changes: code mode, privilege and translations follow it. The value must be legal (`msr.ts`). */
  setMsr(value: bigint): void {
    const { context } = this;
    context.set64(msrSlot, value);
    this.level = levelOf(value);
    const mode = modeOf(value);
    context.mode = mode;
    const s = this.mmu.state;
    s.secure = this.level.secure;
    s.hypervisor = this.level.hypervisor;
    s.problem = this.level.privilege === 'problem';
    s.instructionRelocate = (value & MSR.IR) !== 0n;
    s.dataRelocate = (value & MSR.DR) !== 0n;
    this.#selectTranslations();
    // Whoever runs this CPU goes on instruction by instruction.
    if (mayTrace(this)) context.stopRequested = true;
  }

  /** To be called after a change of CIABR, DAWR0, DAWRX0 or SMFCTRL. */
  debugRegistersChanged(): void {
    this.dataWatch.changed(this);
    this.context.tlb.flush();
    if (mayTrace(this)) this.context.stopRequested = true;
  }

  /** To be called after a change of a register that translations depend on (`TRANSLATION_SPRS`). */
  translationRegistersChanged(): void {
    const s = this.mmu.state;
    const lpcr = this.raw('LPCR');
    const ptcr = this.raw('PTCR');
    const amr = this.raw('AMR');
    s.lpid = Number(this.raw('LPIDR'));
    s.pid = Number(this.raw('PIDR'));
    s.partitionTable = Number(ptcr & PTCR.PATB);
    s.partitionTableBytes = 2 ** (12 + Number(ptcr & PTCR.PATS));
    s.hostRadix = (lpcr & LPCR.HR) !== 0n;
    s.processTables = (lpcr & LPCR.UPRT) !== 0n;
    s.userWriteDenied = (amr & AMR_NO_WRITE) !== 0n;
    s.userReadDenied = (amr & AMR_NO_READ) !== 0n;
    s.userExecuteDenied = (this.raw('IAMR') & IAMR_NO_EXECUTE) !== 0n;
    const keys = [s.userWriteDenied, s.userReadDenied, s.userExecuteDenied].map(Number).join('');
    this.#partitionKey = `${s.lpid}:${ptcr}:${Number(s.hostRadix)}`;
    this.#processKey = `${this.#partitionKey}:${s.pid}:${Number(s.processTables)}:${keys}`;
    this.#hypervisorOffset = this.raw('HRMOR');
    this.#ultravisorOffset = this.raw('URMOR');
    this.#keys.clear();
    this.#selectTranslations();
  }

  /**
   * Takes an interrupt (1.9): saves pc and MSR, changes the MSR and goes to the vector.
   * @param status interrupt-specific bits of SRR1 or HSRR1
   * @param next address to save; default: the instruction at hand
   * @param behind distance from the vector
   */
  interrupt(interrupt: Interrupt, status = 0n, next: bigint = this.context.pc, behind = 0n): void {
    const from = this.level;
    const state = interruptState(interrupt, this.msr, status, { lpcr: this.raw('LPCR'), hid0: this.raw('HID0') });
    const [address, msr] = SAVED[INTERRUPTS[interrupt].save];
    this.context.set64(address, next);
    this.context.set64(msr, state.savedMsr);
    this.#go(from, state.msr, state.nia + behind, 'trap');
  }

  /** Goes where a return instruction leads. The MSR must be legal. */
  return(msr: bigint, nia: bigint): void {
    this.#go(this.level, msr, nia, 'return');
  }

  /** Starts at `nia` as the first thing after power-on. */
  boot(msr: bigint, nia: bigint): void {
    this.#go(null, msr, nia, 'boot');
  }

  #go(from: Level | null, msr: bigint, nia: bigint, cause: EntryCause): void {
    this.transfers++;
    this.setMsr(msr);
    // A reservation may be lost at any time; here it is, because a value that came back would be taken for one that never changed.
    this.context.set32(reserved, 0);
    const aligned = nia & ~3n;
    const target = (msr & MSR.SF) === 0n ? aligned & WORD : aligned;
    this.context.pc = target;
    if (cause === 'return' && from === this.level && !this.#isNative(this.level)) return;
    this.noticeEntry(cause, target);
  }

  /** Tells that the current level gained control. */
  noticeEntry(cause: EntryCause, nia: bigint): void {
    const { trace, level } = this;
    trace?.emit({ type: 'level-enter', at: this.clock(), cpu: this.index, level: level.name, cause, nia });
    this.#entered(level, cause, nia);
  }

  /** Chooses TLBs by everything that translations depend on, so that equal keys may share them. */
  #selectTranslations(): void {
    const s = this.mmu.state;
    const offset = s.secure ? this.#ultravisorOffset : this.#hypervisorOffset;
    s.offsetHigh = Number(offset >> 32n) & 0x0fffffff;
    s.offsetLow = Number(offset & WORD);
    const { key: mode } = this.context.mode;
    const data = this.#keyOf(s.dataRelocate, null);
    if (data !== this.#dataKey) {
      this.#dataKey = data;
      this.context.selectDataSpace(0, data);
    }
    // Decoded and translated code also depends on the mode.
    const fetch = this.#keyOf(s.instructionRelocate, mode);
    if (fetch !== this.#fetchKey) {
      this.#fetchKey = fetch;
      this.context.selectFetchSpace(fetch);
    }
  }

  #keyOf(relocate: boolean, mode: number | null): string {
    const { index } = this.level;
    const which = (index << 4) | (Number(relocate) << 3) | (mode === null ? 0 : mode + 1);
    let key = this.#keys.get(which);
    if (key === undefined) {
      const translation = this.#translationKey(relocate);
      key = mode === null ? translation : `${translation}:${mode}`;
      this.#keys.set(which, key);
    }
    return key;
  }

  #translationKey(relocate: boolean): string {
    const { level } = this;
    if (relocate) return `${level.name}:${this.#processKey}`;
    if (!level.hypervisor) return `${level.secure ? 'secure' : 'normal'} guest real:${this.#partitionKey}`;
    return level.secure ? `ultravisor real:${this.#ultravisorOffset}` : `hypervisor real:${this.#hypervisorOffset}`;
  }
}
