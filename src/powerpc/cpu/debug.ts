import type { AccessKind } from '../../engine/cpu-model.ts';
import { CIABR, DAWRX, MSR, SMFCTRL } from '../abi.ts';
import type { Level, Privilege } from './msr.ts';

/** What of a CPU decides where its software is stopped. */
export interface DebuggedCpu {
  readonly msr: bigint;
  readonly level: Level;
  readonly context: { readonly pc: bigint };
  raw(name: 'CIABR' | 'DAWR0' | 'DAWRX0' | 'SMFCTRL'): bigint;
}

/** MSR[TE]: single step, and branch trace (ISA 3.0B, Book III 4.2.1). */
const STEP = 0x400n;
const BRANCH = 0x200n;
/** SRR1 of a trace interrupt: bit 33 always for the MSR's, 43 for a CIABR match (ISA 3.0B, Book III 6.5.15). */
const TRACED = 0x40000000n;
const CIABR_MATCH = 0x100000n;

const CIABR_LEVEL: Readonly<Record<Privilege, bigint>> = {
  problem: CIABR.PROBLEM,
  supervisor: CIABR.SUPERVISOR,
  hypervisor: CIABR.HYPERVISOR,
  ultravisor: CIABR.HYPERVISOR,
};

/** In secure state CIABR and DAWR match only where they are the Ultravisor's, SMFCTRL[D]=1 (1.6). */
function matchesHere(core: DebuggedCpu, { secure }: Level): boolean {
  return !secure || (core.raw('SMFCTRL') & SMFCTRL.D) !== 0n;
}

function ciabrCounts(core: DebuggedCpu): boolean {
  const wanted = core.raw('CIABR') & CIABR.PRIVILEGE;
  return wanted === CIABR_LEVEL[core.level.privilege] && matchesHere(core, core.level);
}

/** Whether a trace interrupt could follow the next instruction: then instructions are executed one by one. */
export function mayTrace(core: DebuggedCpu): boolean {
  return (core.msr & MSR.TE) !== 0n || ciabrCounts(core);
}

/** Opcodes of branches: bc, b, and under 19 the extended ones of bclr, bcctr and bctar. */
function isBranch(word: number): boolean {
  const opcode = word >>> 26;
  const extended = (word >>> 1) & 0x3ff;
  return opcode === 16 || opcode === 18 || (opcode === 19 && [16, 528, 560].includes(extended));
}

/**
 * Status of the trace interrupt that follows the instruction at pc once it has completed, null if none does. SIAR and SDAR are not set, and
 * SRR1 does not tell loads from stores.
 * @param instruction reads the word at pc
 */
export function traceStatus(core: DebuggedCpu, instruction: () => number): bigint | null {
  const { msr } = core;
  const stepped = (msr & STEP) !== 0n || ((msr & BRANCH) !== 0n && isBranch(instruction()));
  const matched = ciabrCounts(core) && (core.raw('CIABR') & CIABR.ADDRESS) === core.context.pc;
  if (!stepped && !matched) return null;
  return (stepped ? TRACED : 0n) | (matched ? CIABR_MATCH : 0n);
}

const DAWRX_LEVEL: Readonly<Record<Privilege, bigint>> = {
  problem: DAWRX.PROBLEM,
  supervisor: DAWRX.SUPERVISOR,
  hypervisor: DAWRX.HYPERVISOR,
  ultravisor: DAWRX.HYPERVISOR,
};
const PAGE = 12n;

/** The data address watchpoint, DAWR0 and DAWRX0 (ISA 3.0B, Book III 8.3). */
export class DataWatch {
  /** Whether any access could match. */
  armed = false;
  #first = 0n;
  #last = 0n;

  /** To be called after a change of DAWR0 or DAWRX0. Cached translations of watched pages must go. */
  changed(core: DebuggedCpu): void {
    const dawrx = core.raw('DAWRX0');
    const levels = DAWRX.PROBLEM | DAWRX.SUPERVISOR | DAWRX.HYPERVISOR;
    this.armed = (dawrx & (DAWRX.READ | DAWRX.WRITE)) !== 0n && (dawrx & levels) !== 0n;
    this.#first = core.raw('DAWR0') & ~7n;
    this.#last = this.#first + 8n * (((dawrx & DAWRX.MRD) >> DAWRX.MRD_SHIFT) + 1n) - 1n;
  }

  /** Whether something on the page of this address is watched: then each access to the page has to be looked at. */
  touchesPage(address: bigint): boolean {
    const page = address >> PAGE;
    return page >= this.#first >> PAGE && page <= this.#last >> PAGE;
  }

  /** Whether the access is one that is watched for. */
  matches(core: DebuggedCpu, address: bigint, size: number, access: AccessKind): boolean {
    if (address > this.#last || address + BigInt(size) <= this.#first) return false;
    const dawrx = core.raw('DAWRX0');
    if ((dawrx & (access === 'store' ? DAWRX.WRITE : DAWRX.READ)) === 0n) return false;
    if ((dawrx & DAWRX_LEVEL[core.level.privilege]) === 0n || !matchesHere(core, core.level)) return false;
    return (dawrx & DAWRX.WTI) !== 0n || ((dawrx & DAWRX.WT) !== 0n) === ((core.msr & MSR.DR) !== 0n);
  }
}
