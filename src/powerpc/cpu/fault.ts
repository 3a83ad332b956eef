import { MSR } from '../abi.ts';
import type { Core } from './core.ts';
import type { Fault } from './mmu.ts';

/**
 * Syndromes of machine checks for real addresses that cannot be reached, as POWER9's are read by Linux (`mce_power.c`); for secure memory the
 * sheet leaves them open (2.1).
 */
const MACHINE_CHECK = {
  /** SRR1 of a load or store: the cause is in DSISR. */
  LOAD_STORE: 0x200000n,
  DSISR_LOAD_STORE: 0x40n,
  DSISR_WALK: 0x20n,
  FETCH: 0x080c0000n,
  FETCH_WALK: 0x08100000n,
} as const;

/** A guest physical address loses its byte offset in ASDR (2.5). */
const ASDR_PAGE = ~0xfffn;

/**
 * Takes the interrupt that an access failed with, with the registers of 2.5.
 * @returns false where that is a machine check and MSR[ME]=0: hardware stops (checkstop)
 */
export function deliverFault(core: Core, fault: Fault): boolean {
  if (fault.kind !== 'machine-check') {
    storageInterrupt(core, fault);
    return true;
  }
  reportRefusal(core, fault);
  if ((core.msr & MSR.ME) === 0n) return false;
  machineCheck(core, fault);
  return true;
}

function effectiveAddress(fault: Fault): bigint {
  return (BigInt(fault.high) << 32n) | BigInt(fault.low);
}

function storageInterrupt(core: Core, fault: Fault): void {
  const fetch = fault.access === 'fetch';
  const address = effectiveAddress(fault);
  const cause = BigInt(fault.cause);
  switch (fault.kind) {
    case 'segment':
      if (fetch) return core.interrupt('instructionSegment');
      core.setRaw('DAR', address);
      return core.interrupt('dataSegment');

    case 'storage':
      if (fetch) return core.interrupt('instructionStorage', cause);
      core.setRaw('DAR', address);
      core.setRaw('DSISR', cause);
      return core.interrupt('dataStorage');

    default:
      core.setRaw('ASDR', BigInt(fault.guestAddress) & ASDR_PAGE);
      core.setRaw('HDSISR', cause);
      if (fetch) return core.interrupt('hypervisorInstructionStorage', cause);
      core.setRaw('HDAR', address);
      return core.interrupt('hypervisorDataStorage');
  }
}

function reportRefusal(core: Core, fault: Fault): void {
  core.trace?.emit({
    type: 'refused-access',
    at: core.clock(),
    cpu: core.index,
    agent: core.level.name,
    address: BigInt(fault.realAddress),
    size: fault.size,
    write: fault.access === 'store' && !fault.inWalk,
  });
}

function machineCheck(core: Core, fault: Fault): void {
  if (fault.access === 'fetch') {
    core.interrupt('machineCheck', fault.inWalk ? MACHINE_CHECK.FETCH_WALK : MACHINE_CHECK.FETCH);
    return;
  }
  core.setRaw('DAR', effectiveAddress(fault));
  core.setRaw('DSISR', fault.inWalk ? MACHINE_CHECK.DSISR_WALK : MACHINE_CHECK.DSISR_LOAD_STORE);
  core.interrupt('machineCheck', MACHINE_CHECK.LOAD_STORE);
}
