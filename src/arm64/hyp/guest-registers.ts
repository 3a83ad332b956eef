import { encodingOf, systemRegister } from '../cpu/register-table.ts';
import { injectUndefined } from './guest-inject.ts';
import type { CpuContextState, VcpuHypState } from './vcpu-state.ts';

/** Least of the system's value and a limit, field by field; fields that are not named read 0, or all ones where that says "none" (arm64-pkvm.md 6.8). */
interface Field {
  readonly shift: number;
  readonly most: number | 'system';
  /** Of fields that count from −1: 0xf is "not there". */
  readonly signed?: boolean;
}

const up = (shift: number, most: Field['most']): Field => ({ shift, most });
const down = (shift: number, most: Field['most']): Field => ({ shift, most, signed: true });
const EVERY_FIELD: readonly Field[] = Array.from({ length: 16 }, (_, n) => up(4 * n, 'system'));

const LIMITS: Readonly<Record<string, readonly Field[]>> = {
  ID_AA64PFR0_EL1: [
    ...[0, 4, 8, 12].map((shift) => up(shift, 1)),
    down(16, 1),
    down(20, 1),
    ...[24, 28, 48, 56, 60].map((shift) => up(shift, 1)),
  ],
  ID_AA64PFR1_EL1: [up(0, 1), up(4, 2)],
  ID_AA64ISAR0_EL1: EVERY_FIELD,
  ID_AA64MMFR0_EL1: [up(0, 2), up(4, 2), up(8, 1), up(12, 1), up(16, 1), down(24, 0), down(28, 0), up(44, 1)],
  ID_AA64MMFR1_EL1: [up(0, 2), up(4, 2), up(12, 2), up(20, 3), up(24, 1), up(36, 1), up(56, 1)],
  ID_AA64MMFR2_EL1: [0, 4, 12, 32, 36, 48, 60].map((shift) => up(shift, 1)).concat(up(52, 2)),
};
/** Fields that say "none" by all ones: DoubleLock and MTPMU. */
const NONE: Readonly<Record<string, bigint>> = { ID_AA64DFR0_EL1: (0xfn << 36n) | (0xfn << 48n) };

function limited(value: bigint, { shift, most, signed = false }: Field): bigint {
  const system = Number((value >> BigInt(shift)) & 0xfn);
  if (most === 'system') return BigInt(system) << BigInt(shift);
  const absent = signed && system >= 8;
  return BigInt(absent ? system : Math.min(system, most)) << BigInt(shift);
}

/** What a protected guest reads of an ID register. @param value the CPU's own */
export function restrictedId(name: string, value: bigint): bigint {
  const fields = LIMITS[name] ?? [];
  return fields.reduce((sum, field) => sum | limited(value, field), NONE[name] ?? 0n);
}

/** Registers that a protected guest reads as 0 and writes without effect. */
const IGNORED = new Set(
  ['DBGBVR0', 'DBGBCR0', 'DBGWVR0', 'DBGWCR0', 'MDSCR', 'OSLAR', 'OSLSR', 'OSDLR'].map(
    (name) => systemRegister(`${name}_EL1`).encoding,
  ),
);

/** Registers that the host answers for (6.8): interrupts, caches and the physical timer. */
const FORWARDED = new Set([
  ...['ICC_PMR', 'ICC_DIR', 'ICC_RPR', 'ICC_SGI1R', 'ICC_ASGI1R', 'ICC_SGI0R', 'ICC_CTLR'].map(
    (name) => systemRegister(`${name}_EL1`).encoding,
  ),
  ...['REVIDR_EL1', 'CCSIDR_EL1', 'CLIDR_EL1', 'AIDR_EL1', 'CSSELR_EL1', 'CTR_EL0'].map(
    (name) => systemRegister(name).encoding,
  ),
  ...['TVAL', 'CTL', 'CVAL'].map((name) => systemRegister(`CNTP_${name}_EL0`).encoding),
]);
const SRE = systemRegister('ICC_SRE_EL1').encoding;

const NAME_OF_ID: ReadonlyMap<number, string> = new Map(
  ['PFR0', 'PFR1', 'ZFR0', 'DFR0', 'DFR1', 'ISAR0', 'ISAR1', 'ISAR2', 'MMFR0', 'MMFR1', 'MMFR2'].map((part) => {
    const name = `ID_AA64${part}_EL1`;
    return [systemRegister(name).encoding, name];
  }),
);

/** Encodings with op0 3, op1 0, CRn 0 and CRm 1 to 7 are ID registers, given out or not. */
const isIdSpace = (encoding: number): boolean => {
  const crm = (encoding >> 3) & 15;
  return (encoding & ~0x7f) === encodingOf(3, 0, 0, 0, 0) && crm >= 1 && crm <= 7;
};

/**
 * A system register access of a protected guest's that trapped (6.8).
 * @param cpu reads a register of the CPU's
 * @returns whether the guest goes on; false where the host answers
 */
export function guestRegister(context: CpuContextState, state: VcpuHypState, cpu: (name: string) => bigint): boolean {
  const iss = Number(state.get('esr') & 0x1ffffffn);
  const read = (iss & 1) !== 0;
  const rt = (iss >> 5) & 31;
  const encoding = encodingOf((iss >> 20) & 3, (iss >> 14) & 7, (iss >> 10) & 15, (iss >> 1) & 15, (iss >> 17) & 7);
  const done = (value: bigint): true => {
    if (read && rt !== 31) context.setX(rt, value);
    context.pc += 4n;
    return true;
  };
  if (isIdSpace(encoding) && read) {
    const name = NAME_OF_ID.get(encoding);
    return done(name === undefined ? 0n : restrictedId(name, cpu(name)));
  }
  if (IGNORED.has(encoding)) return done(0n);
  if (encoding === SRE) return done(7n);
  if (FORWARDED.has(encoding)) return false;
  injectUndefined(context);
  return true;
}
