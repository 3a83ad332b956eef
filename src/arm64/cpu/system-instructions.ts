import { writeVirtual } from '../../engine/access.ts';
import { EC, ESR, type ExceptionLevel, FSC, HCR, PSTATE, SCTLR } from '../abi.ts';
import { executeFloat } from '../isa/float-execute.ts';
import { HELPER, TRAP } from '../isa/helpers.ts';
import { trapAddress, x, ZERO } from '../isa/state.ts';
import type { Core } from './core.ts';
import { defaultTarget, exceptionReturn, takeException, takeSynchronous, takeUndefined } from './exceptions.ts';
import {
  accessRegister,
  type RegisterParts,
  type SystemAccess,
  systemAccess,
  trapAccess,
  zeroingPermitted,
} from './register-access.ts';

/** What instructions need of the rest of the CPU and of the machine. */
export interface SystemHooks extends RegisterParts {
  /** Forgets cached translations on every CPU. */
  invalidateEverywhere(): void;
  /** The CPU waits from now on: WFI, or WFE. */
  beginWait(): void;
  /** SEV: wakes every CPU that waits at WFE. */
  sendEvent(): void;
  /** Whether an event is registered; it is then taken (WFE). */
  takeEvent(): boolean;
  /** Which instruction calls the machine's firmware. */
  readonly conduit: 'hvc' | 'smc';
  /** A call of the firmware, with pc behind it. false if there is none. */
  firmware(): boolean;
  /** A register of the GIC's CPU interface: what `accessRegister` does for the others. */
  accessGic(access: SystemAccess, value: bigint): bigint | null;
  /** A fault that a helper's own access met. */
  deliverFault(): void;
  /** AT: PAR_EL1 of a translation. */
  translateAddress(access: SystemAccess, address: bigint): void;
}

/** Bytes that DC ZVA zeroes: DCZID_EL0 says 2^4 words. */
const ZERO_BLOCK = 64;

/** WFx syndrome: condition AL, valid; TI is 0 for WFI, 1 for WFE. */
const WFX_ISS = (1n << 24n) | (0xen << 20n);

/** ICC_ and ICH_ registers have CRn 12, but for ICC_PMR_EL1, and VBAR and ISR are not of them. */
const isGic = ({ op0, crn, crm, op1 }: SystemAccess): boolean =>
  op0 === 3 && ((crn === 12 && crm >= 8) || (crn === 4 && crm === 6 && op1 === 0));

/** The instructions that change the state of the PE as a whole: what `Semantics.helper` and `Semantics.trap` leave to TypeScript. */
export class SystemInstructions {
  readonly #core: Core;
  readonly #hooks: SystemHooks;

  constructor(core: Core, hooks: SystemHooks) {
    this.#core = core;
    this.#hooks = hooks;
  }

  /** As `CpuModel.helper`. */
  execute(helper: number, word: number): boolean {
    const core = this.#core;
    switch (helper) {
      case HELPER.mrs:
      case HELPER.msr:
        return this.#moveRegister(systemAccess(word));
      case HELPER.msrImmediate:
        return this.#moveImmediate(systemAccess(word));
      case HELPER.sys:
        return this.#system(systemAccess(word));
      case HELPER.eret:
        if (core.level === 0) return this.#undefined();
        exceptionReturn(core);
        return false;
      case HELPER.wfi:
        return this.#wait(SCTLR.nTWI, HCR.TWI, 0n);
      case HELPER.wfe:
        return this.#hooks.takeEvent() || this.#wait(SCTLR.nTWE, HCR.TWE, 1n);
      case HELPER.sev:
      case HELPER.sevl:
        this.#hooks.sendEvent();
        return true;
      case HELPER.isb:
        return true;
      case HELPER.float:
        executeFloat(core.context, word);
        return true;
      default:
        throw new Error(`no helper ${helper}`);
    }
  }

  /** As `CpuModel.trap`. */
  trap(cause: number, argument: number): void {
    const core = this.#core;
    const next = core.context.pc + 4n;
    switch (cause) {
      case TRAP.undefined:
        return takeUndefined(core);
      case TRAP.svc:
        return takeException(core, defaultTarget(core), 'synchronous', next, { ec: EC.svc64, iss: BigInt(argument) });
      case TRAP.hvc:
        if (core.level === 0 || (core.level === 1 && core.hcr(HCR.HCD))) return takeUndefined(core);
        if (this.#hooks.conduit === 'hvc') return this.#callFirmware();
        return takeException(core, 2, 'synchronous', next, { ec: EC.hvc64, iss: BigInt(argument) });
      case TRAP.smc:
        return this.#secureMonitorCall(argument);
      case TRAP.brk:
        return takeSynchronous(core, defaultTarget(core), { ec: EC.brk64, iss: BigInt(argument) });
      case TRAP.hlt:
        return takeUndefined(core);
      case TRAP.alignment:
        return this.#alignmentFault(argument !== 0);
      case TRAP.fpAccess:
        return this.#fpAccess();
      case TRAP.softFloat:
        executeFloat(core.context, argument);
        core.context.pc = next;
        return;
      default:
        throw new Error(`no trap ${cause}`);
    }
  }

  #secureMonitorCall(argument: number): void {
    const core = this.#core;
    if (core.level === 0) return takeUndefined(core);
    if (core.level === 1 && core.hcr(HCR.TSC)) {
      return takeSynchronous(core, 2, { ec: EC.smc64, iss: BigInt(argument) });
    }
    if (this.#hooks.conduit !== 'smc') return takeUndefined(core);
    this.#callFirmware();
  }

  #callFirmware(): void {
    const { context } = this.#core;
    context.pc += 4n;
    if (this.#hooks.firmware()) return;
    context.pc -= 4n;
    takeUndefined(this.#core);
  }

  #alignmentFault(store: boolean): void {
    const core = this.#core;
    const target = defaultTarget(core);
    const ec = target === core.level ? EC.dataAbortSame : EC.dataAbortLower;
    const iss = BigInt(FSC.alignment) | (store ? ESR.WnR : 0n);
    takeSynchronous(core, target, { ec, iss, far: core.context.get64(trapAddress) });
  }

  #fpAccess(): void {
    const core = this.#core;
    const target = core.fpTrapLevel();
    if (target === null) throw new Error('an access to V registers trapped where it is allowed');
    // Condition field: AL, valid.
    takeSynchronous(core, target, { ec: EC.fpAccess, iss: (1n << 24n) | (0xen << 20n) });
  }

  #undefined(): false {
    takeUndefined(this.#core);
    return false;
  }

  #x(n: number): bigint {
    return n === ZERO ? 0n : this.#core.context.get64(x.slots[n] as (typeof x.slots)[number]);
  }

  #setX(n: number, value: bigint): void {
    if (n !== ZERO) this.#core.context.set64(x.slots[n] as (typeof x.slots)[number], value);
  }

  #moveRegister(access: SystemAccess): boolean {
    const core = this.#core;
    const special = this.#moveSpecial(access);
    if (special !== undefined) return special;
    const operand = access.read ? 0n : this.#x(access.rt);
    const result = isGic(access)
      ? this.#hooks.accessGic(access, operand)
      : accessRegister(core, this.#hooks, access, operand);
    if (result === null) return false;
    if (access.read) this.#setX(access.rt, result);
    return true;
  }

  /** Parts of PSTATE that MRS and MSR reach by names of their own: CurrentEL, SPSel, DAIF, PAN. */
  #moveSpecial(access: SystemAccess): boolean | undefined {
    const core = this.#core;
    const { op0, op1, crn, crm, op2, read, rt } = access;
    if (op0 !== 3 || crn !== 4) return undefined;
    const field = SPECIAL.find((s) => s.op1 === op1 && s.crm === crm && s.op2 === op2);
    if (field === undefined) return undefined;
    if (!this.#mayTouch(field, access)) return false;
    if (read) {
      this.#setX(rt, core.pstate & field.mask & ~(0xfn << 28n));
      return true;
    }
    if (field.readOnly) return this.#undefined();
    core.setPstate((core.pstate & ~field.mask) | (this.#x(rt) & field.mask));
    return true;
  }

  #mayTouch(field: SpecialField, access: SystemAccess): boolean {
    const core = this.#core;
    if (core.level > 0) return true;
    if (!field.user) return this.#undefined();
    if ((core.sctlr(1) & SCTLR.UMA) !== 0n) return true;
    trapAccess(core, access, defaultTarget(core));
    return false;
  }

  /** MSR (immediate): CRm is the operand. */
  #moveImmediate(access: SystemAccess): boolean {
    const core = this.#core;
    const { op1, op2, crm } = access;
    const operand = BigInt(crm);
    const field = SPECIAL.find((s) => s.immediate?.op1 === op1 && s.immediate.op2 === op2);
    if (field !== undefined) {
      if (core.level === 0) return this.#undefined();
      const bit = (operand & 1n) === 0n ? 0n : field.mask;
      core.setPstate((core.pstate & ~field.mask) | bit);
      return true;
    }
    // DAIFSet and DAIFClr.
    if (op1 !== 3 || (op2 !== 6 && op2 !== 7)) return this.#undefined();
    if (core.level === 0 && (core.sctlr(1) & SCTLR.UMA) === 0n) {
      trapAccess(core, { ...access, op0: 0, crn: 4, rt: 31 }, defaultTarget(core));
      return false;
    }
    const mask = operand << 6n;
    core.setPstate(op2 === 6 ? core.pstate | mask : core.pstate & ~mask);
    return true;
  }

  #wait(enable: bigint, hypTrap: bigint, ti: bigint): boolean {
    const core = this.#core;
    const trapped = (target: ExceptionLevel): false => {
      takeSynchronous(core, target, { ec: EC.wfx, iss: WFX_ISS | ti });
      return false;
    };
    if (core.level === 0 && (core.sctlr(1) & enable) === 0n) return trapped(defaultTarget(core));
    if (core.level < 2 && core.hcr(hypTrap)) return trapped(2);
    core.context.pc += 4n;
    this.#hooks.beginWait();
    return false;
  }

  /** SYS and SYSL: cache and TLB maintenance, address translation (Arm ARM, C5.3 to C5.5). */
  #system(access: SystemAccess): boolean {
    const { crn, crm, op1, op2 } = access;
    if (access.read) return this.#undefined();
    if (crn === 8) return this.#invalidate(access);
    if (crn !== 7) return this.#undefined();
    if (crm === 8 && (op1 === 0 || op1 === 4)) return this.#addressTranslation(access);
    if (crm === 4 && op1 === 3 && op2 === 1) return this.#zero(access);
    return this.#cacheMaintenance(access);
  }

  /** Caches hold nothing that memory does not: maintenance only asks for privilege. */
  #cacheMaintenance(access: SystemAccess): boolean {
    const core = this.#core;
    const { op1, crm, op2 } = access;
    const row = CACHE.find((c) => c.op1 === op1 && c.crm === crm && c.op2 === op2);
    if (row === undefined) return this.#undefined();
    if (core.level === 0) {
      if (!row.user) return this.#undefined();
      if ((core.sctlr(1) & SCTLR.UCI) === 0n) return this.#trap(access, defaultTarget(core));
    }
    if (core.level < 2 && row.trap !== 0n && core.hcr(row.trap)) return this.#trap(access, 2);
    return true;
  }

  #zero(access: SystemAccess): boolean {
    const core = this.#core;
    if (!zeroingPermitted(core)) {
      const user = core.level === 0 && (core.sctlr(1) & SCTLR.DZE) === 0n;
      return this.#trap(access, user ? defaultTarget(core) : 2);
    }
    const address = this.#x(access.rt) & ~BigInt(ZERO_BLOCK - 1);
    const [high, low] = [Number(address >> 32n), Number(address & 0xffffffffn)];
    if (writeVirtual(core.context, high | 0, low | 0, new Uint8Array(ZERO_BLOCK))) return true;
    this.#hooks.deliverFault();
    return false;
  }

  #invalidate(access: SystemAccess): boolean {
    const core = this.#core;
    const hypOnly = access.op1 === 4;
    if (core.level === 0 || (hypOnly && core.level < 2) || (access.op1 !== 0 && !hypOnly)) return this.#undefined();
    if (core.level === 1 && core.hcr(HCR.TTLB)) return this.#trap(access, 2);
    // CRm 3 and 8 (inner shareable) reach every PE; 7 only this one. HCR_EL2.FB makes every one reach all.
    if (access.crm === 7 && !(core.level === 1 && core.hcr(HCR.FB))) core.context.tlb.flush();
    else this.#hooks.invalidateEverywhere();
    return true;
  }

  #addressTranslation(access: SystemAccess): boolean {
    const core = this.#core;
    if (core.level === 0 || (access.op1 === 4 && core.level < 2)) return this.#undefined();
    this.#hooks.translateAddress(access, this.#x(access.rt));
    return true;
  }

  #trap(access: SystemAccess, target: ExceptionLevel): false {
    trapAccess(this.#core, access, target);
    return false;
  }
}

interface SpecialField {
  readonly op1: number;
  readonly crm: number;
  readonly op2: number;
  readonly mask: bigint;
  readonly readOnly?: true;
  /** EL0 may touch it, if SCTLR_EL1.UMA lets it. */
  readonly user?: true;
  /** op1 and op2 of the MSR (immediate) that writes it. */
  readonly immediate?: { readonly op1: number; readonly op2: number };
}

/** MRS and MSR with op0 3 and CRn 4 that are parts of PSTATE. */
const SPECIAL: readonly SpecialField[] = [
  { op1: 0, crm: 2, op2: 2, mask: PSTATE.EL, readOnly: true },
  { op1: 0, crm: 2, op2: 0, mask: PSTATE.SP, immediate: { op1: 0, op2: 5 } },
  { op1: 0, crm: 2, op2: 3, mask: PSTATE.PAN, immediate: { op1: 0, op2: 4 } },
  { op1: 3, crm: 2, op2: 1, mask: PSTATE.DAIF, user: true },
];

/** Cache maintenance instructions, with CRn 7. */
const CACHE: readonly {
  readonly op1: number;
  readonly crm: number;
  readonly op2: number;
  readonly user: boolean;
  readonly trap: bigint;
}[] = [
  // IC IALLUIS, IALLU, IVAU
  { op1: 0, crm: 1, op2: 0, user: false, trap: HCR.TPU },
  { op1: 0, crm: 5, op2: 0, user: false, trap: HCR.TPU },
  { op1: 3, crm: 5, op2: 1, user: true, trap: HCR.TPU },
  // DC IVAC, ISW, CSW, CISW
  { op1: 0, crm: 6, op2: 1, user: false, trap: HCR.TPCP },
  { op1: 0, crm: 6, op2: 2, user: false, trap: HCR.TSW },
  { op1: 0, crm: 10, op2: 2, user: false, trap: HCR.TSW },
  { op1: 0, crm: 14, op2: 2, user: false, trap: HCR.TSW },
  // DC CVAC, CVAU, CVAP, CIVAC
  { op1: 3, crm: 10, op2: 1, user: true, trap: HCR.TPCP },
  { op1: 3, crm: 11, op2: 1, user: true, trap: HCR.TPU },
  { op1: 3, crm: 14, op2: 1, user: true, trap: HCR.TPCP },
];
