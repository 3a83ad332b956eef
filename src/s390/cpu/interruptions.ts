import { CR0, DXC, LOWCORE, PGM } from '../abi.ts';
import type { Core } from './core.ts';
import { Lowcore } from './lowcore.ts';
import type { FloatingInterruption } from './port.ts';
import { isPswValid } from './psw.ts';
import { storeRegisters } from './status.ts';

/** Exceptions that nullify: the old PSW is at the instruction (Principles of Operation, "Types of Instruction Ending", and 3.3). */
const NULLIFYING: ReadonlySet<number> = new Set([
  PGM.SEGMENT_TRANSLATION,
  PGM.PAGE_TRANSLATION,
  PGM.ASCE_TYPE,
  PGM.REGION_FIRST,
  PGM.REGION_SECOND,
  PGM.REGION_THIRD,
  PGM.SECURE_STORAGE_ACCESS,
  PGM.NON_SECURE_STORAGE_ACCESS,
  PGM.SECURE_STORAGE_VIOLATION,
  PGM.SPACE_SWITCH,
]);

/** Length of the instruction that caused an interruption; 0 where there is none. */
export type Ilc = 0 | 2 | 4 | 6;

/** What an interruption found. */
export type Taken =
  | 'taken'
  /** The prefix area is not there, or the program new PSW itself is invalid: the CPU cannot go on. */
  | 'stuck';

/** More that a program interruption stores. */
export interface ProgramDetails {
  readonly dataException?: number;
  readonly teid?: bigint;
  readonly monitor?: { readonly class: number; readonly code: bigint };
  /** Register numbers that MVPG names. */
  readonly operandAccess?: number;
}

/** A program interruption. The PSW is at the instruction, of length `ilc`. */
export function programInterruption(core: Core, code: number, ilc: Ilc, details: ProgramDetails = {}): Taken {
  const lowcore = new Lowcore(core);
  lowcore.write(LOWCORE.PROGRAM_ILC, 2, ilc);
  lowcore.write(LOWCORE.PROGRAM_CODE, 2, code);
  if (code === PGM.DATA) storeDataException(core, lowcore, details.dataException ?? DXC.DECIMAL_OPERAND);
  if (details.teid !== undefined) lowcore.write(LOWCORE.TRANSLATION_EXCEPTION_ID, 8, details.teid);
  if (details.operandAccess !== undefined) lowcore.write(LOWCORE.OPERAND_ACCESS_ID, 1, details.operandAccess);
  if (details.monitor !== undefined) {
    lowcore.write(LOWCORE.MONITOR_CLASS, 2, details.monitor.class);
    lowcore.write(LOWCORE.MONITOR_CODE, 8, details.monitor.code);
  }
  if (!NULLIFYING.has(code)) core.setAddress(BigInt.asUintN(64, core.context.pc + BigInt(ilc)));
  const next = swap(core, lowcore, LOWCORE.PROGRAM_OLD, LOWCORE.PROGRAM_NEW);
  if (lowcore.refused || !isPswValid(next)) return 'stuck';
  core.setPsw(next.mask, next.address);
  return 'taken';
}

function storeDataException(core: Core, lowcore: Lowcore, code: number): void {
  lowcore.write(LOWCORE.DATA_EXCEPTION_CODE, 4, code);
  if ((core.cr(0) & CR0.AFP) !== 0n) core.fpc = (core.fpc & ~0xff00) | (code << 8);
}

/**
 * Loads a PSW; an invalid one is loaded, and then a specification exception.
 * @param ilc length of the instruction that loads it; 0 for an interruption
 */
export function loadPsw(core: Core, mask: bigint, address: bigint, ilc: Ilc): Taken {
  if (isPswValid({ mask, address })) {
    core.setPsw(mask, address);
    return 'taken';
  }
  // It is not loaded into the CPU, which could not execute it, but stored as the old one. The address is not advanced.
  const lowcore = new Lowcore(core);
  lowcore.write(LOWCORE.PROGRAM_ILC, 2, ilc);
  lowcore.write(LOWCORE.PROGRAM_CODE, 2, PGM.SPECIFICATION);
  lowcore.write(LOWCORE.PROGRAM_OLD, 8, mask);
  lowcore.write(LOWCORE.PROGRAM_OLD + 8, 8, address);
  const next = read(lowcore, LOWCORE.PROGRAM_NEW);
  if (lowcore.refused || !isPswValid(next)) return 'stuck';
  core.setPsw(next.mask, next.address);
  return 'taken';
}

/** A supervisor call; the PSW is at the instruction. */
export function supervisorCall(core: Core, number: number, ilc: Ilc): Taken {
  const lowcore = new Lowcore(core);
  lowcore.write(LOWCORE.SVC_ILC, 2, ilc);
  lowcore.write(LOWCORE.SVC_CODE, 2, number);
  core.setAddress(BigInt.asUintN(64, core.context.pc + BigInt(ilc)));
  return exchange(core, lowcore, LOWCORE.SVC_OLD, LOWCORE.SVC_NEW);
}

/** An external interruption. */
export function externalInterruption(core: Core, code: number, cpuAddress = 0, parameter?: number): Taken {
  const lowcore = new Lowcore(core);
  lowcore.write(LOWCORE.EXTERNAL_CODE, 2, code);
  lowcore.write(LOWCORE.EXTERNAL_CPU_ADDRESS, 2, cpuAddress);
  if (parameter !== undefined) lowcore.write(LOWCORE.EXTERNAL_PARAMETER, 4, parameter);
  return exchange(core, lowcore, LOWCORE.EXTERNAL_OLD, LOWCORE.EXTERNAL_NEW);
}

/** A restart interruption. */
export function restartInterruption(core: Core): Taken {
  return exchange(core, new Lowcore(core), LOWCORE.RESTART_OLD, LOWCORE.RESTART_NEW);
}

/** One of those that any CPU may take. */
export function floatingInterruption(core: Core, interruption: FloatingInterruption): Taken {
  switch (interruption.kind) {
    case 'external':
      return externalInterruption(core, interruption.code, interruption.cpuAddress, interruption.parameter);
    case 'io': {
      const lowcore = new Lowcore(core);
      lowcore.write(LOWCORE.SUBCHANNEL_ID, 2, interruption.subchannelId);
      lowcore.write(LOWCORE.SUBCHANNEL_NUMBER, 2, interruption.subchannel);
      lowcore.write(LOWCORE.IO_PARAMETER, 4, interruption.parameter);
      lowcore.write(LOWCORE.IO_WORD, 4, interruption.word);
      return exchange(core, lowcore, LOWCORE.IO_OLD, LOWCORE.IO_NEW);
    }
    case 'machine-check': {
      const lowcore = new Lowcore(core);
      storeRegisters(core, lowcore);
      lowcore.write(LOWCORE.MACHINE_CHECK_CODE, 8, interruption.code);
      lowcore.write(LOWCORE.EXTERNAL_DAMAGE_CODE, 4, interruption.damage);
      lowcore.write(LOWCORE.FAILING_STORAGE_ADDRESS, 8, interruption.failingAddress);
      return exchange(core, lowcore, LOWCORE.MACHINE_CHECK_OLD, LOWCORE.MACHINE_CHECK_NEW);
    }
  }
}

/** Stores the old PSW and loads the new one, which may be invalid. */
function exchange(core: Core, lowcore: Lowcore, oldAt: number, newAt: number): Taken {
  const next = swap(core, lowcore, oldAt, newAt);
  if (lowcore.refused) return 'stuck';
  return loadPsw(core, next.mask, next.address, 0);
}

function swap(core: Core, lowcore: Lowcore, oldAt: number, newAt: number): { mask: bigint; address: bigint } {
  lowcore.write(oldAt, 8, core.pswMask);
  lowcore.write(oldAt + 8, 8, core.context.pc);
  return read(lowcore, newAt);
}

function read(lowcore: Lowcore, at: number): { mask: bigint; address: bigint } {
  return { mask: lowcore.read(at, 8), address: lowcore.read(at + 8, 8) };
}
