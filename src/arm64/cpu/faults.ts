import { EC, ESR, type ExceptionLevel } from '../abi.ts';
import type { ArmInstruction } from '../isa/common.ts';
import { armIsa } from '../isa/index.ts';
import type { Core } from './core.ts';
import { defaultTarget, takeSynchronous } from './exceptions.ts';
import type { MmuFault } from './mmu.ts';

/** HPFAR_EL2.FIPA begins at bit 4 and leaves out the page offset. */
const FIPA_SHIFT = 4n;
const PAGE_SHIFT = 12n;

/** What a stage 2 data abort tells of the instruction: a single load or store of a general register without write-back. */
const DESCRIBED = /^(ld|st)(u|t|l?a?)?r(s?[bhw])?$|^ldlar[bh]?$|^stllr[bh]?$/;

/** ISS[24:14] of a data abort to EL2 (Arm ARM, D13.2.37, "ISS encoding for an exception from a Data Abort"). */
export function accessSyndrome(word: number): bigint {
  const instruction: ArmInstruction | undefined = armIsa.decode(word, 0);
  if (instruction === undefined || !DESCRIBED.test(instruction.name)) return 0n;
  const { operands } = instruction;
  const writesBack = operands.endsWith('!') || operands.includes('],');
  const isLiteral = !operands.includes('[');
  // V registers have bit 26 set; pairs and exclusives do not match above.
  if (writesBack || isLiteral || (word & 0x04000000) !== 0) return 0n;
  const size = BigInt(word >>> 30);
  const signed = /^ld[a-z]*rs[bhw]$/.test(instruction.name);
  const wide = operands.startsWith('{Xt}');
  const ordered = /^(ldar|ldlar|stlr|stllr)/.test(instruction.name);
  return (
    ESR.ISV |
    (size << ESR.sasShift) |
    (signed ? ESR.SSE : 0n) |
    (BigInt(word & 31) << ESR.srtShift) |
    (wide ? ESR.SF : 0n) |
    (ordered ? ESR.AR : 0n)
  );
}

/** Delivers the abort of an access that the MMU refused. `word` is the instruction, null where it could not be fetched. */
export function takeAbort(core: Core, fault: MmuFault, word: number | null): void {
  const { access, high, low, status, stage2, onWalk, ipa } = fault;
  const target: ExceptionLevel = stage2 ? 2 : defaultTarget(core);
  const fetch = access === 'fetch';
  const same = core.level === target;
  const ec = fetch
    ? same
      ? EC.instructionAbortSame
      : EC.instructionAbortLower
    : same
      ? EC.dataAbortSame
      : EC.dataAbortLower;
  let iss = BigInt(status) | (onWalk ? ESR.S1PTW : 0n);
  if (access === 'store') iss |= ESR.WnR;
  if (stage2 && !fetch && !onWalk && word !== null) iss |= accessSyndrome(word);
  const far = (BigInt(high) << 32n) | BigInt(low);
  const hpfar = (BigInt(ipa) >> PAGE_SHIFT) << FIPA_SHIFT;
  takeSynchronous(core, target, { ec, iss, far, ...(stage2 && { hpfar }) });
}
