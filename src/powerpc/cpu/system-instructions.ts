import { FSCR_SCV, HFSCR, LPCR, MSR, SCV_STRIDE, SPR, SRR1 } from '../abi.ts';
import { executeFloat } from '../isa/float-execute.ts';
import { divideExtended } from '../isa/helper-arithmetic.ts';
import { HELPER, TRAP } from '../isa/helpers.ts';
import { ctr, lr } from '../isa/state.ts';
import type { Core } from './core.ts';
import { type ExceptionLines, exceptionDue, takeException } from './exceptions.ts';
import { mayUse, msrAfterHrfid, msrAfterMtmsr, msrAfterMtmsrd, msrAfterRfid, msrAfterUrfid } from './msr.ts';
import { gpr, setGpr } from './registers.ts';
import { readSpr, TRANSLATION_SPRS, writeSpr } from './spr.ts';
import { judgeSpr, type SprVerdict } from './spr-access.ts';
import { currentInstruction, effectiveAddress, loadMultiple, storeMultiple } from './storage-instructions.ts';

/** What instructions need of the rest of the CPU and of the machine. */
export interface SystemHooks {
  readonly lines: ExceptionLines;
  /** 64 random bits for `darn`. */
  random(): bigint;
  /** Forgets cached translations on every CPU. */
  invalidateEverywhere(): void;
  /** `msgsnd`: rings the hypervisor doorbell of the CPU with this PIR. */
  ringDoorbell(pir: number): void;
  /** Serves `attn`; false if this is no place for it. */
  attention(): boolean;
  /** Whether a native level gained control and has not run yet. */
  nativePending(): boolean;
  /** The CPU waits from now on, at `stop` or at `wait`. */
  beginWait(stop: boolean): void;
  /** A fault that a helper's own access met. */
  deliverFault(): void;
}

/** `msgsnd` and the like: message type 5 is a doorbell (ISA 3.0B, Book III 11.2). */
const DOORBELL = 5n;
const ALL_ONES = (1n << 64n) - 1n;
const FACILITY_CAUSE_SHIFT = 56n;
const FACILITY_CAUSE = 0xffn << FACILITY_CAUSE_SHIFT;

/** Registers that decide when an interrupt comes. */
const TIMING_SPRS: ReadonlySet<number> = new Set([
  SPR.DEC,
  SPR.HDEC,
  SPR.LPCR,
  SPR.DPDES,
  SPR.TBL_WRITE,
  SPR.TBU_WRITE,
  SPR.TBU40,
]);

/** Kinds of `HELPER.message`, in the order of its argument. */
type Message = 'msgsnd' | 'msgclr' | 'msgsndp' | 'msgclrp';
const MESSAGES: readonly Message[] = ['msgsnd', 'msgclr', 'msgsndp', 'msgclrp'];

/** The instructions that change the state of the CPU as a whole: what `Semantics.helper` and `Semantics.trap` leave to TypeScript. */
export class SystemInstructions {
  readonly #core: Core;
  readonly #hooks: SystemHooks;

  constructor(core: Core, hooks: SystemHooks) {
    this.#core = core;
    this.#hooks = hooks;
  }

  /** As `CpuModel.helper`. */
  execute(helper: number, a: number, b: number): boolean {
    const core = this.#core;
    switch (helper) {
      case HELPER.mfspr:
        return this.#moveFromSpr(a, b);
      case HELPER.mtspr:
        return this.#moveToSpr(a, b);
      case HELPER.mfmsr:
        if (!this.#require('supervisor')) return false;
        setGpr(core.context, a, core.msr);
        return true;
      case HELPER.mtmsr:
        return this.#require('supervisor') && this.#changeMsr(msrAfterMtmsr(core.msr, gpr(core.context, a), b !== 0));
      case HELPER.mtmsrd:
        return this.#require('supervisor') && this.#changeMsr(msrAfterMtmsrd(core.msr, gpr(core.context, a), b !== 0));
      case HELPER.rfid:
        return this.#require('supervisor') && this.#return(msrAfterRfid(core.msr, core.raw('SRR1')), core.raw('SRR0'));
      case HELPER.rfscv: {
        const { context } = core;
        return (
          this.#require('supervisor') && this.#return(msrAfterRfid(core.msr, context.get64(ctr)), context.get64(lr))
        );
      }
      case HELPER.hrfid:
        return (
          this.#require('hypervisor') && this.#return(msrAfterHrfid(core.msr, core.raw('HSRR1')), core.raw('HSRR0'))
        );
      case HELPER.urfid:
        return this.#require('ultravisor') && this.#return(msrAfterUrfid(core.raw('USRR1')), core.raw('USRR0'));
      case HELPER.sc:
        return this.#systemCall(a);
      case HELPER.scv:
        return this.#systemCallVectored(a);
      case HELPER.synchronize:
        return this.#require(this.#synchronizer(a));
      case HELPER.tlbie:
        return this.#invalidate(a, true);
      case HELPER.tlbiel:
        return this.#invalidate(a, false);
      case HELPER.slb:
        // There is no segment lookaside buffer under radix; some of these also invalidate cached translations.
        if (!this.#require('supervisor')) return false;
        core.context.tlb.flush();
        return true;
      case HELPER.message:
        return this.#message(MESSAGES[a] as Message, gpr(core.context, b));
      case HELPER.stop:
        if (!this.#require('hypervisor')) return false;
        this.#skip();
        this.#hooks.beginWait(true);
        return false;
      case HELPER.wait:
        // WC=0 waits for an exception; the others may end at any time, and do so at once (ISA 3.0B, Book II 4.6.4).
        if (a !== 0) return true;
        this.#skip();
        this.#hooks.beginWait(false);
        return false;
      case HELPER.darn:
        setGpr(core.context, a, this.#random(b));
        return true;
      case HELPER.attn:
        return this.#hooks.attention() || this.emulationAssistance();
      case HELPER.float:
        return this.#float(a);
      case HELPER.divideExtended:
        divideExtended(core.context, a);
        return true;
      case HELPER.loadMultiple:
        return this.#multiple(loadMultiple);
      case HELPER.storeMultiple:
        return this.#multiple(storeMultiple);
      default:
        throw new Error(`instruction helper ${helper} is not there`);
    }
  }

  /** As `CpuModel.trap`. */
  trap(cause: number, argument: number): void {
    const core = this.#core;
    switch (cause) {
      case TRAP.trap:
        return core.interrupt('program', SRR1.PROGRAM_TRAP);
      case TRAP.illegal:
        this.emulationAssistance();
        return;
      case TRAP.privileged:
        return core.interrupt('program', SRR1.PROGRAM_PRIVILEGED);
      case TRAP.alignment:
        return this.#alignment();
      case TRAP.fpUnavailable:
        return core.interrupt('fpUnavailable');
      case TRAP.vectorUnavailable:
        return this.#vectorUnavailable(MSR.VEC, 'vectorUnavailable');
      case TRAP.vsxUnavailable:
        return this.#vectorUnavailable(MSR.VSX, 'vsxUnavailable');
      case TRAP.floatingPoint:
        return core.interrupt('program', SRR1.PROGRAM_FP);
      case TRAP.hypervisorPrivileged:
        this.#require('hypervisor');
        return;
      case TRAP.targetAddressRegister:
        this.#refuse(this.#judge(SPR.TAR, false));
        return;
      case TRAP.transactionalUnavailable:
        this.#facilityUnavailable(false, Number(HFSCR.IC_TM));
        return;
      case TRAP.softFloat:
        if (this.#float(argument)) this.#skip();
        return;
      default:
        throw new Error(`trap cause ${cause} is not there`);
    }
  }

  /**
   * Hypervisor Emulation Assistance for the instruction at hand (1.8): illegal ones, and ones above the level's privilege.
   * @returns false: the context's pc is where the interrupt leads
   */
  emulationAssistance(word: number = currentInstruction(this.#core)): false {
    this.#core.setRaw('HEIR', BigInt(word >>> 0));
    this.#core.interrupt('emulationAssistance');
    return false;
  }

  /** @returns false where the instruction ended in a program interrupt, for an exception that FPSCR and MSR[FE0,FE1] enable */
  #float(word: number): boolean {
    const core = this.#core;
    if (!executeFloat(core.context, word) || (core.msr & (MSR.FE0 | MSR.FE1)) === 0n) return true;
    core.interrupt('program', SRR1.PROGRAM_FP);
    return false;
  }

  /** The vector facilities are not there: with the MSR bit on, software that only turned it on would come back forever. */
  #vectorUnavailable(available: bigint, interrupt: 'vectorUnavailable' | 'vsxUnavailable'): void {
    if ((this.#core.msr & available) === 0n) this.#core.interrupt(interrupt);
    else this.emulationAssistance();
  }

  /** Whether the level has the privilege; if not, the interrupt that says so is taken (1.8). */
  #require(privilege: 'supervisor' | 'hypervisor' | 'ultravisor'): boolean {
    const have = this.#core.level.privilege;
    if (mayUse(have, privilege)) return true;
    if (have === 'problem') this.#core.interrupt('program', SRR1.PROGRAM_PRIVILEGED);
    else this.emulationAssistance();
    return false;
  }

  #judge(number: number, write: boolean): SprVerdict {
    const core = this.#core;
    const guards = { smfctrl: core.raw('SMFCTRL'), fscr: core.raw('FSCR'), hfscr: core.raw('HFSCR') };
    return judgeSpr(number, write, core.level, guards);
  }

  #moveFromSpr(register: number, number: number): boolean {
    const verdict = this.#judge(number, false);
    if (verdict.kind !== 'granted') return this.#refuse(verdict);
    setGpr(this.#core.context, register, readSpr(this.#core, number));
    return true;
  }

  #moveToSpr(register: number, number: number): boolean {
    const core = this.#core;
    const verdict = this.#judge(number, true);
    if (verdict.kind !== 'granted') return this.#refuse(verdict);
    writeSpr(core, number, gpr(core.context, register));
    // The next deadline may be another, and an interrupt may be due: whoever runs this CPU looks again.
    if (TIMING_SPRS.has(number)) core.context.stopRequested = true;
    if (!TRANSLATION_SPRS.has(number)) return true;
    this.#skip();
    return false;
  }

  #facilityUnavailable(hypervisor: boolean, cause: number): false {
    const core = this.#core;
    const register = hypervisor ? 'HFSCR' : 'FSCR';
    core.setRaw(register, (core.raw(register) & ~FACILITY_CAUSE) | (BigInt(cause) << FACILITY_CAUSE_SHIFT));
    core.interrupt(hypervisor ? 'hypervisorFacilityUnavailable' : 'facilityUnavailable');
    return false;
  }

  #refuse(verdict: SprVerdict): boolean {
    const core = this.#core;
    switch (verdict.kind) {
      case 'granted':
      case 'no-op':
        return true;
      case 'privileged':
        core.interrupt('program', SRR1.PROGRAM_PRIVILEGED);
        return false;
      case 'emulation':
        return this.emulationAssistance();
      case 'facility':
        return this.#facilityUnavailable(verdict.hypervisor, verdict.cause);
    }
  }

  /** The context's pc goes behind the instruction at hand. */
  #skip(): void {
    const { context } = this.#core;
    const next = context.pc + 4n;
    context.pc = BigInt.asUintN(context.mode.sixtyFour ? 64 : 32, next);
  }

  #changeMsr(msr: bigint): boolean {
    const core = this.#core;
    const same = ((core.msr ^ msr) & ~(MSR.EE | MSR.RI)) === 0n;
    if (same) {
      core.setMsr(msr);
      if ((msr & MSR.EE) === 0n || !exceptionDue(core, this.#hooks.lines)) return true;
    }
    this.#skip();
    core.setMsr(msr);
    takeException(core, this.#hooks.lines);
    return false;
  }

  #return(msr: bigint, nia: bigint): false {
    const core = this.#core;
    core.return(msr, nia);
    // Native code that gained control is as one instruction: it runs first.
    if (!this.#hooks.nativePending()) takeException(core, this.#hooks.lines);
    return false;
  }

  /** Routing of 1.5. With the facility off `sc 2` is `sc 1`, its SRR1[LEV] too. LEV 3 is reserved and illegal here. */
  #systemCall(lev: number): false {
    const core = this.#core;
    const next = BigInt.asUintN(core.context.mode.sixtyFour ? 64 : 32, core.context.pc + 4n);
    switch (lev) {
      case 0:
        core.interrupt('systemCall', 0n, next);
        return false;
      case 1:
        core.interrupt('hypercall', SRR1.LEV1, next);
        return false;
      case 2:
        if (!core.secureFacility) core.interrupt('hypercall', SRR1.LEV1, next);
        else core.interrupt('ultracall', SRR1.LEV2, next);
        return false;
      default:
        return this.emulationAssistance();
    }
  }

  /** `scv` (ISA 3.0B, Book I 3.3.15; Book III 6.5.28). FSCR counts in every state, as on QEMU. */
  #systemCallVectored(lev: number): false {
    const core = this.#core;
    if ((core.raw('FSCR') & FSCR_SCV.ENABLE) === 0n) {
      return this.#facilityUnavailable(false, FSCR_SCV.CAUSE);
    }
    const next = BigInt.asUintN(core.context.mode.sixtyFour ? 64 : 32, core.context.pc + 4n);
    core.interrupt('systemCallVectored', 0n, next, SCV_STRIDE * BigInt(lev));
    return false;
  }

  /** Who may tlbsync (the hypervisor where LPCR[GTSE]=0), slbsync and msgsync (ISA 3.0B, Book III 5.9.3 and 11.2). */
  #synchronizer(which: number): 'supervisor' | 'hypervisor' {
    const guests = which === 1 || (which === 0 && (this.#core.raw('LPCR') & LPCR.GTSE) !== 0n);
    return guests ? 'supervisor' : 'hypervisor';
  }

  /**
   * tlbie and tlbiel forget all cached translations, the first on every CPU. Privileged; the hypervisor's where LPCR[GTSE]=0 (tlbie), or where
   * partition-scoped translations are named under radix (PRS=0) (ISA 3.0B, Book III 5.9.3.3).
   * @param fields RS, RB, RIC, PRS and R from bit 0 up
   */
  #invalidate(fields: number, everywhere: boolean): boolean {
    const core = this.#core;
    const lpcr = core.raw('LPCR');
    const partitionScoped = ((fields >>> 12) & 1) === 0 && (lpcr & LPCR.HR) !== 0n;
    const hypervisors = partitionScoped || (everywhere && (lpcr & LPCR.GTSE) === 0n);
    if (!this.#require('supervisor')) return false;
    if (hypervisors && !this.#require('hypervisor')) return false;
    if (everywhere) this.#hooks.invalidateEverywhere();
    else core.context.tlb.flush();
    return true;
  }

  /** Doorbells (ISA 3.0B, Book III 11.2). A CPU is a core of one thread, so a privileged doorbell rings only where it is sent. */
  #message(kind: Message, rb: bigint): boolean {
    const core = this.#core;
    const hypervisor = kind === 'msgsnd' || kind === 'msgclr';
    if (!this.#require(hypervisor ? 'hypervisor' : 'supervisor')) return false;
    if (((rb >> 27n) & 0x1fn) !== DOORBELL) return true;
    const dpdes = core.raw('DPDES');
    switch (kind) {
      case 'msgsnd':
        this.#hooks.ringDoorbell(Number(rb & 0xfffffn));
        break;
      case 'msgclr':
        this.#hooks.lines.hypervisorDoorbell = false;
        break;
      case 'msgsndp':
        if ((rb & 0x7fn) === 0n) core.setRaw('DPDES', dpdes | 1n);
        break;
      case 'msgclrp':
        core.setRaw('DPDES', dpdes & ~1n);
        break;
    }
    core.context.stopRequested = true;
    return true;
  }

  /** ISA 3.0B, Book I 3.3.9.1: L=0 gives 32 conditioned bits, 1 and 2 give 64, and 3 is the error value. */
  #random(length: number): bigint {
    if (length === 3) return ALL_ONES;
    const bits = this.#hooks.random();
    return length === 0 ? bits & 0xffffffffn : bits;
  }

  /** Multiple and string accesses exist in big-endian mode only; in little-endian mode they are alignment interrupts. */
  #multiple(move: (core: Core, word: number) => boolean): boolean {
    const core = this.#core;
    if (!core.context.mode.dataBigEndian) {
      this.#alignment();
      return false;
    }
    if (move(core, currentInstruction(core))) return true;
    this.#hooks.deliverFault();
    return false;
  }

  #alignment(): void {
    const core = this.#core;
    core.setRaw('DAR', effectiveAddress(core, currentInstruction(core)));
    core.interrupt('alignment');
  }
}
