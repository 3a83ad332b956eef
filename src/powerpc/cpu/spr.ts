import { LPCR, SPR } from '../abi.ts';
import { ctr, lr, SPRS, type SprDefinition } from '../isa/state.ts';
import type { Core } from './core.ts';
import { setXer, xer } from './registers.ts';
import { PPR32, SPECIAL_SPRS, USER_AMR, USER_PMU_OFFSET } from './spr-access.ts';

const WORD = 0xffffffffn;
/** SPR fields have ten bits. */
export const SPR_NUMBERS = 1024;
const TBU40_LOW = 0xffffffn;

/** Registers that translations depend on. */
export const TRANSLATION_SPRS: ReadonlySet<number> = new Set([
  USER_AMR,
  SPR.AMR,
  SPR.PIDR,
  SPR.IAMR,
  SPR.HRMOR,
  SPR.LPCR,
  SPR.LPIDR,
  SPR.PTCR,
  SPR.URMOR,
]);

/** Registers that say where software is to be stopped. */
const DEBUG_SPRS: ReadonlySet<number> = new Set([SPR.CIABR, SPR.DAWR0, SPR.DAWRX0, SPR.SMFCTRL]);

/** Counters that run with the time base; their storage holds the distance from it. */
const TIMEBASE_COUNTERS: ReadonlySet<number> = new Set([SPR.PURR, SPR.SPURR, SPR.VTB]);

/** Registers whose storage is not what is read. */
const COMPUTED_SPRS: ReadonlySet<number> = new Set([SPR.DEC, SPR.HDEC, SPR.IC, ...TIMEBASE_COUNTERS]);
/** Registers whose storage is not what was written, or whose write has effects. */
const EFFECTIVE_SPRS: ReadonlySet<number> = new Set([
  ...[SPR.DEC, SPR.HDEC, SPR.IC, SPR.UAMOR, SPR.HMER, ...TIMEBASE_COUNTERS],
  ...[...TRANSLATION_SPRS, ...DEBUG_SPRS],
]);

/** Slots of the registers that are storage and nothing else, by number: most accesses are to them. */
const STORED: readonly (SprDefinition['slot'] | undefined)[] = plainSlots(({ number }) => !COMPUTED_SPRS.has(number));
const STORABLE: readonly (SprDefinition['slot'] | undefined)[] = plainSlots(
  ({ number, width }) => width === 64 && !EFFECTIVE_SPRS.has(number),
);

function plainSlots(isPlain: (definition: SprDefinition) => boolean): (SprDefinition['slot'] | undefined)[] {
  return Array.from({ length: SPR_NUMBERS }, (_, number) => {
    const definition = SPRS.get(number);
    return definition !== undefined && isPlain(definition) ? definition.slot : undefined;
  });
}

/**
 * Value of a special purpose register: what `mfspr` gives once privilege has been checked (`judgeSpr`).
 * @throws RangeError if the number is no register that can be read
 */
export function readSpr(core: Core, number: number): bigint {
  const { context, timers } = core;
  const plain = STORED[number];
  if (plain !== undefined) return context.get64(plain);
  switch (number) {
    case SPR.XER:
      return xer(context);
    case SPR.LR:
      return context.get64(lr);
    case SPR.CTR:
      return context.get64(ctr);
    case SPR.DSCR_USER:
      return core.raw('DSCR');
    case USER_AMR:
      return core.raw('AMR');
    case SPR.SPRG3_USER:
      return core.raw('SPRG3');
    case SPR.TB:
      return timers.timebase;
    case SPR.TBU:
      return timers.timebase >> 32n;
    case SPR.DEC:
      return timers.decrementer;
    case SPR.HDEC:
      return timers.hypervisorDecrementer;
    case PPR32:
      return core.raw('PPR') >> 32n;
    case SPR.IC:
      return BigInt.asUintN(64, core.clock() + core.raw('IC'));
  }
  const definition = SPRS.get(number) ?? userName(number);
  if (definition === undefined) throw new RangeError(`SPR ${number} cannot be read`);
  const stored = context.get64(definition.slot);
  return TIMEBASE_COUNTERS.has(number) ? BigInt.asUintN(64, timers.timebase + stored) : stored;
}

function userName(number: number): ReturnType<typeof SPRS.get> {
  return SPECIAL_SPRS.has(number) ? SPRS.get(number + USER_PMU_OFFSET) : undefined;
}

/**
 * Writes a special purpose register with all that follows from it: what `mtspr` does once privilege has been checked. The caller looks for
 * interrupts that became due.
 * @throws RangeError if the number is no register that can be written
 */
export function writeSpr(core: Core, number: number, value: bigint): void {
  const { context, timers } = core;
  const plain = STORABLE[number];
  if (plain !== undefined) {
    context.set64(plain, value);
    return;
  }
  switch (number) {
    case SPR.XER:
      setXer(context, value);
      return;
    case SPR.LR:
      context.set64(lr, value);
      return;
    case SPR.CTR:
      context.set64(ctr, value);
      return;
    case SPR.DSCR_USER:
      core.setRaw('DSCR', value);
      return;
    case SPR.CTRL_WRITE:
      core.setRaw('CTRL_READ', value & 1n);
      return;
    case SPR.TBL_WRITE:
      timers.timebase = (timers.timebase & ~WORD) | (value & WORD);
      return;
    case SPR.TBU_WRITE:
      timers.timebase = (timers.timebase & WORD) | ((value & WORD) << 32n);
      return;
    case SPR.TBU40:
      timers.timebase = (timers.timebase & TBU40_LOW) | (value & ~TBU40_LOW);
      return;
    case SPR.DEC:
      timers.decrementer = value;
      return;
    case SPR.HDEC:
      timers.hypervisorDecrementer = value;
      return;
    case PPR32:
      core.setRaw('PPR', (value & WORD) << 32n);
      return;
    case SPR.IC:
      core.setRaw('IC', BigInt.asUintN(64, value - core.clock()));
      return;
    case USER_AMR:
      return writeMasked(core, 'AMR', value, core.raw('UAMOR'));
    case SPR.AMR:
    case SPR.IAMR:
    case SPR.UAMOR:
      // AMOR says which keys the OS may change (ISA 3.0B, Book III 5.7.13.1).
      return writeMasked(core, AUTHORITY[number], value, core.level.hypervisor ? ~0n : core.raw('AMOR'));
    case SPR.HMER:
      core.setRaw('HMER', core.raw('HMER') & value);
      return;
  }
  const definition = SPRS.get(number);
  if (definition === undefined) throw new RangeError(`SPR ${number} cannot be written`);
  if (TIMEBASE_COUNTERS.has(number)) value = BigInt.asUintN(64, value - timers.timebase);
  const stored = definition.width === 32 ? value & WORD : value;
  if (context.get64(definition.slot) === stored) return;
  context.set64(definition.slot, stored);
  if (number === SPR.LPCR) timers.largeDecrementer = (value & LPCR.LD) !== 0n;
  if (TRANSLATION_SPRS.has(number)) core.translationRegistersChanged();
  if (DEBUG_SPRS.has(number)) core.debugRegistersChanged();
}

const AUTHORITY = { [SPR.AMR]: 'AMR', [SPR.IAMR]: 'IAMR', [SPR.UAMOR]: 'UAMOR' } as const;

function writeMasked(core: Core, name: 'AMR' | 'IAMR' | 'UAMOR', value: bigint, mask: bigint): void {
  const old = core.raw(name);
  const merged = BigInt.asUintN(64, (old & ~mask) | (value & mask));
  if (merged === old) return;
  core.setRaw(name, merged);
  core.translationRegistersChanged();
}
