import { ERRNO } from '../abi.ts';

/** Descriptors of stage 2 tables, 4 KiB granule (arm64-pkvm.md 2.1 to 2.9). A PTE is an unsigned 64-bit number. */
export type Pte = bigint;

/** The level of pages. */
export const LAST_LEVEL = 3;
/** The first level that blocks are allowed at. */
const FIRST_BLOCK_LEVEL = 1;

const VALID = 1n;
const TABLE_OR_PAGE = 2n;
const ADDRESS = 0x0000_ffff_ffff_f000n;

/** log2 of what an entry of a level covers. */
export const levelShift = (level: number): number => 9 * (4 - level) + 3;
/** Bytes that an entry of a level covers. */
export const granuleOf = (level: number): number => 2 ** levelShift(level);

export const isValid = (pte: Pte): boolean => (pte & VALID) !== 0n;
export const isTable = (pte: Pte, level: number): boolean =>
  level < LAST_LEVEL && (pte & (VALID | TABLE_OR_PAGE)) === (VALID | TABLE_OR_PAGE);
export const addressOf = (pte: Pte): number => Number(pte & ADDRESS);
export const tablePte = (child: number): Pte => BigInt(child) | TABLE_OR_PAGE | VALID;

/** Permissions and types of a mapping, numbered as in 7.2 (2.4): the number is part of the hypercall ABI. */
export const PROT = {
  PX: 1n << 0n,
  UX: 1n << 1n,
  X: 3n,
  W: 1n << 2n,
  R: 1n << 3n,
  RW: 0xcn,
  RWX: 0xfn,
  DEVICE: 1n << 4n,
  NORMAL_NC: 1n << 5n,
  SW0: 1n << 55n,
  SW1: 1n << 56n,
  SW: 0xfn << 55n,
} as const;

/** Bits of a leaf (2.4). */
const LEAF = {
  memory: 2n,
  S2AP_R: 1n << 6n,
  S2AP_W: 1n << 7n,
  INNER_SHAREABLE: 3n << 8n,
  AF: 1n << 10n,
  XN: 1n << 54n,
  SW: 0xfn << 55n,
} as const;
const PERMISSIONS = LEAF.S2AP_R | LEAF.S2AP_W | LEAF.XN;

/** MemAttr without FWB (2.5). */
const MEMORY = { normal: 0xfn, nonCacheable: 0x5n, device: 0x1n } as const;

/** The attributes of a leaf, everything but address and type. @returns −EINVAL for protections that do not go together (2.4, 2.5) */
export function leafAttributes(prot: bigint): bigint | typeof ERRNO.EINVAL {
  const device = (prot & PROT.DEVICE) !== 0n;
  const nonCacheable = (prot & PROT.NORMAL_NC) !== 0n;
  const execute = prot & PROT.X;
  // Without FEAT_XNX execution is for both levels or for none.
  if ((device && nonCacheable) || (execute !== 0n && (device || nonCacheable))) return ERRNO.EINVAL;
  if (execute !== 0n && execute !== PROT.X) return ERRNO.EINVAL;
  const memory = device ? MEMORY.device : nonCacheable ? MEMORY.nonCacheable : MEMORY.normal;
  return (
    (memory << LEAF.memory) |
    ((prot & PROT.R) !== 0n ? LEAF.S2AP_R : 0n) |
    ((prot & PROT.W) !== 0n ? LEAF.S2AP_W : 0n) |
    (execute === 0n ? LEAF.XN : 0n) |
    LEAF.INNER_SHAREABLE |
    LEAF.AF |
    (prot & PROT.SW)
  );
}

/** A valid leaf of a level. */
export function leafPte(physical: number, attributes: bigint, level: number): Pte {
  return BigInt(physical) | attributes | VALID | (level === LAST_LEVEL ? TABLE_OR_PAGE : 0n);
}

/** Permissions and software bits of a valid leaf. */
export function protOf(pte: Pte): bigint {
  return (
    ((pte & LEAF.S2AP_R) !== 0n ? PROT.R : 0n) |
    ((pte & LEAF.S2AP_W) !== 0n ? PROT.W : 0n) |
    ((pte & LEAF.XN) === 0n ? PROT.X : 0n) |
    (pte & PROT.SW)
  );
}

export const withoutWrite = (pte: Pte): Pte => pte & ~LEAF.S2AP_W;
export const isYoung = (pte: Pte): boolean => (pte & LEAF.AF) !== 0n;
export const withAge = (pte: Pte, young: boolean): Pte => (young ? pte | LEAF.AF : pte & ~LEAF.AF);

/** A leaf with permissions added, none taken away. */
export function withPermissions(pte: Pte, prot: bigint): Pte {
  const added = ((prot & PROT.R) !== 0n ? LEAF.S2AP_R : 0n) | ((prot & PROT.W) !== 0n ? LEAF.S2AP_W : 0n);
  const executable = (prot & PROT.X) !== 0n ? pte & ~LEAF.XN : pte;
  return executable | added;
}

/** Whether an entry counts as a reference to its table page: everything but 0, annotations too (2.10). */
export const isCounted = (pte: Pte): boolean => pte !== 0n;

/** Whether writing `next` over `old` is more than a change of permissions; with an invalid one it always is (2.10). */
export function needsUpdate(old: Pte, next: Pte): boolean {
  if (!isValid(old) || !isValid(next)) return true;
  return ((old ^ next) & ~PERMISSIONS) !== 0n;
}

/** Whether two entries differ in software bits only. */
export const onlySoftwareDiffers = (old: Pte, next: Pte): boolean => ((old ^ next) & ~LEAF.SW) === 0n;

/** Whether a level can hold a leaf for an entry at `address` in a walk that ends at `end`. `physical` is null for an annotation. */
export function isBlockSupported(address: number, end: number, physical: number | null, level: number): boolean {
  if (level < FIRST_BLOCK_LEVEL) return false;
  const granule = granuleOf(level);
  if (granule > end - address) return false;
  return (physical === null || physical % granule === 0) && address % granule === 0;
}

/** Ownership in an invalid entry as in seed 004, format A (2.9): the owner in bits 63 to 56. */
export const OWNER_ANNOTATION = { shift: 56n, maxOwner: 1 } as const;
export const ownerAnnotation = (owner: number): Pte => BigInt(owner) << OWNER_ANNOTATION.shift;

/** Kinds of invalid entries as in 7.2, format C (2.9): bits 63 to 60. */
export const ANNOTATION = { locked: 1, hostDonation: 2, guestPoisoned: 3 } as const;
export type AnnotationKind = (typeof ANNOTATION)[keyof typeof ANNOTATION];
const KIND_SHIFT = 60n;
const BELOW_KIND = (1n << KIND_SHIFT) - 1n;

/** An entry that break-before-make has taken out and that nobody else may change. */
export const LOCKED: Pte = BigInt(ANNOTATION.locked) << KIND_SHIFT;

/** A guest's entry for a page of which it said that it is a device's (5.4): the one annotation that has no kind. */
export const MMIO_GUARD: Pte = 0x9a9a_929en;

/** An annotation of a kind. @returns null where the parts do not fit: type 0 or LOCKED, bit 0 or bits of the kind in `value` */
export function annotationPte(kind: number, value: bigint): Pte | null {
  if (kind === 0 || kind === ANNOTATION.locked || kind > 15) return null;
  if ((value & 1n) !== 0n || (value & ~BELOW_KIND) !== 0n) return null;
  return (BigInt(kind) << KIND_SHIFT) | value;
}

export const annotationKind = (pte: Pte): number => Number(pte >> KIND_SHIFT);

/** Who has a page that the host gave away; a guest with its handle and the frame it sees (2.9, format C). */
export interface Donation {
  readonly owner: number;
  readonly handle: number;
  readonly gfn: number;
}

export function donationValue({ owner, handle, gfn }: Donation): bigint {
  return (BigInt(gfn) << 20n) | (BigInt(handle) << 4n) | (BigInt(owner) << 1n);
}

export function donationOf(pte: Pte): Donation {
  return {
    owner: Number((pte >> 1n) & 7n),
    handle: Number((pte >> 4n) & 0xffffn),
    gfn: Number((pte >> 20n) & ((1n << 40n) - 1n)),
  };
}
