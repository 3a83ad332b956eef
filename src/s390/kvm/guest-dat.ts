import { ADDRESS_SPACE, DAT, PGM, PSW, PSW_AS_SHIFT, SD } from '../abi.ts';
import type { GuestStorage } from './guest-storage.ts';
import { PAGE } from './host-storage.ts';
import type { Vcpu } from './vm.ts';

/** Where a guest address leads, or the program interruption code of the exception on the way. */
export type Translated = { readonly absolute: number } | { readonly code: number };

/** Bit position of a table's index in the address, counted from the right, and the exception of an invalid entry; by designation type. */
const LEVELS = [
  { shift: 20n, invalid: PGM.SEGMENT_TRANSLATION },
  { shift: 31n, invalid: PGM.REGION_THIRD },
  { shift: 42n, invalid: PGM.REGION_SECOND },
  { shift: 53n, invalid: PGM.REGION_FIRST },
] as const;

const INDEX = 0x7ffn;

/** Real to absolute: the prefix area and the first 8 KiB change places. */
export function prefixed(prefix: number, real: number): number {
  if (real < 0x2000) return prefix + real;
  return real >= prefix && real < prefix + 0x2000 ? real - prefix : real;
}

/**
 * Translates a logical address of a guest whose tables KVM may read, as its DAT would (8.3). Access registers, keys and protection are not looked at:
 * who asks writes what the guest asked to be written.
 */
export function translateLogical(storage: GuestStorage, vcpu: Vcpu, address: bigint): Translated {
  const { sie } = vcpu;
  const mask = sie.pswMask;
  if ((mask & PSW.DAT) === 0n) return toAbsolute(vcpu, address);
  const space = Number((mask & PSW.AS) >> PSW_AS_SHIFT);
  const cr = space === ADDRESS_SPACE.secondary ? 7 : space === ADDRESS_SPACE.home ? 13 : 1;
  const asce = sie.u64(SD.CR + 8 * cr);
  return (asce & DAT.ASCE_REAL_SPACE) !== 0n ? toAbsolute(vcpu, address) : walk(storage, vcpu, asce, address);
}

function toAbsolute({ sie, vm }: Vcpu, real: bigint): Translated {
  const address = Number(real);
  if (address >= vm.size && (address < sie.prefix || address >= sie.prefix + 0x2000)) return { code: PGM.ADDRESSING };
  return { absolute: prefixed(sie.prefix, address) };
}

function walk(storage: GuestStorage, vcpu: Vcpu, asce: bigint, address: bigint): Translated {
  const top = Number((asce & DAT.TYPE) >> 2n);
  const topLevel = LEVELS[top];
  if (topLevel === undefined || address >> (topLevel.shift + 11n) !== 0n) return { code: PGM.ASCE_TYPE };
  let table = asce & DAT.ASCE_ORIGIN;
  let first = 0n;
  let last = asce & DAT.TABLE_LENGTH;
  for (let type = top; type >= 0; type--) {
    const { shift, invalid } = LEVELS[type] as (typeof LEVELS)[number];
    const index = (address >> shift) & INDEX;
    if (index >> 9n < first || index >> 9n > last) return { code: invalid };
    const entry = readEntry(storage, vcpu, table + 8n * index);
    if (entry === undefined) return { code: PGM.ADDRESSING };
    if ((entry & DAT.SEGMENT_INVALID) !== 0n) return { code: invalid };
    if ((entry & DAT.TYPE) >> 2n !== BigInt(type)) return { code: PGM.TRANSLATION_SPECIFICATION };
    if (type <= 1 && (entry & DAT.FORMAT_CONTROL) !== 0n) {
      const frame = (1n << shift) - 1n;
      return toAbsolute(vcpu, (entry & DAT.ASCE_ORIGIN & ~frame) | (address & frame));
    }
    table = entry & (type === 0 ? DAT.SEGMENT_ORIGIN : DAT.ASCE_ORIGIN);
    first = (entry & DAT.TABLE_OFFSET) >> 6n;
    last = entry & DAT.TABLE_LENGTH;
  }
  const entry = readEntry(storage, vcpu, table + 8n * ((address >> 12n) & 0xffn));
  if (entry === undefined) return { code: PGM.ADDRESSING };
  if ((entry & DAT.PAGE_INVALID) !== 0n) return { code: PGM.PAGE_TRANSLATION };
  return toAbsolute(vcpu, (entry & DAT.PAGE_ORIGIN) | (address & BigInt(PAGE - 1)));
}

/** Table origins are real or absolute by the model's choice; KVM takes them as real. */
function readEntry(storage: GuestStorage, vcpu: Vcpu, real: bigint): bigint | undefined {
  const at = toAbsolute(vcpu, real);
  if (!('absolute' in at)) return undefined;
  const bytes = storage.read(vcpu.vm, at.absolute, 8);
  return bytes instanceof Uint8Array ? new DataView(bytes.buffer).getBigUint64(0) : undefined;
}
