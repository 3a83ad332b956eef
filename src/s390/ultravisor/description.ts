import { ICPT, PSW, SD, VALIDITY } from '../abi.ts';
import type { GuestState } from '../cpu/guest-state.ts';
import { StateDescription } from '../cpu/sie-description.ts';
import type { UvContext } from './context.ts';
import { isHosts } from './host-storage.ts';
import { PAGE } from './limits.ts';
import type { InstructionDataArea, SecureCpuRecord } from './state.ts';

/** The host's state description of a secure CPU. */
export function descriptionOf(uv: UvContext, cpu: SecureCpuRecord): StateDescription {
  const found = StateDescription.find(uv.memory, cpu.description);
  if (found === null) throw new Error('a state description was no RAM');
  return found;
}

/** PSW bits that the host sees: what it may inject, whether the guest waits, and the condition code (4.12, X2). */
const SHOWN = PSW.IO | PSW.EXTERNAL | PSW.MACHINE_CHECK | PSW.WAIT | PSW.CC;

/** Bits of control registers that the host sees: subclass masks of CR 0, all of CR 6 and CR 14 that are masks. */
const CR_SHOWN = { 0: 0x0000fe40n, 6: 0xff000000n, 14: 0x1f000000n } as const;

/** Interception code, and what the host is to see of the guest and of the instruction; everything else is zero. */
export interface Shown {
  readonly code: number;
  /** Pre-set instruction text: first halfword, and the next two. */
  readonly ipa?: number;
  readonly ipb?: number;
  /** General registers in the numbering of that text. */
  readonly gr?: Readonly<Record<number, bigint>>;
  /** What stands at the start of the SIDA. */
  readonly sida?: Uint8Array;
}

/**
 * Writes what the host sees when SIE ends (4.12, X1 and X2). A host that has taken the instruction data area away meanwhile, where the instruction needs it,
 * sees a validity interception.
 */
export function show(uv: UvContext, cpu: SecureCpuRecord, guest: GuestState, shown: Shown): void {
  const sd = descriptionOf(uv, cpu);
  sd.setU8(SD.ICPTCODE, shown.code);
  sd.setU16(SD.IPA, shown.ipa ?? 0);
  sd.setU32(SD.IPB, shown.ipb ?? 0);
  sd.setU64(SD.PSW, guest.pswMask & SHOWN);
  sd.setU64(SD.PSW + 8, 0n);
  for (const [n, bits] of Object.entries(CR_SHOWN))
    sd.setU64(SD.CR + 8 * Number(n), (guest.cr[Number(n)] ?? 0n) & bits);
  sd.setU64(SD.CPU_TIMER, guest.cpuTimer);
  sd.setU64(SD.CLOCK_COMPARATOR, guest.clockComparator);
  for (let n = 0; n < 16; n++) sd.setU64(SD.SECURE_GR + 8 * n, shown.gr?.[n] ?? 0n);
  if (shown.sida === undefined || writeSida(uv, cpu, shown.sida)) return;
  sd.setU8(SD.ICPTCODE, ICPT.VALIDITY);
  sd.setU32(SD.IPB, VALIDITY.DESCRIPTION << 16);
}

/** The instruction data area that the state description names: all of it the host's. @returns null where it is not */
export function sidaOf(uv: UvContext, sd: StateDescription): InstructionDataArea | null {
  const designation = sd.u64(SD.GBEA_OR_SIDA);
  const bytes = (Number(designation & 0xffn) + 1) * PAGE;
  if ((designation & 0xf00n) !== 0n) return null;
  const at = isHosts(uv, designation & ~0xfffn, bytes);
  return at === undefined ? null : { at, bytes };
}

/** @returns false if the host has given its area away since SIE began */
function writeSida(uv: UvContext, { sida }: SecureCpuRecord, bytes: Uint8Array): boolean {
  if (sida === null) throw new Error('a CPU without an instruction data area has run');
  if (bytes.length > sida.bytes || isHosts(uv, BigInt(sida.at), sida.bytes) === undefined) return false;
  uv.view.write(sida.at, bytes);
  return true;
}

/** What the host has put at the start of the instruction data area with which SIE has just begun; read once. */
export function readSida(uv: UvContext, { sida }: SecureCpuRecord, length: number): Uint8Array {
  if (sida === null || length > sida.bytes) throw new Error('the instruction data area was not checked');
  return uv.view.read(sida.at, length);
}
