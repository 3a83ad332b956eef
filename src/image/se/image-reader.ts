import { hex } from '../hex.ts';
import { openComponent, SePageMeasure, storedBytes } from './components.ts';
import {
  hasText,
  SE_HEAD,
  SE_HEADER_LIMIT,
  SE_IPIB,
  SE_IPIB_COMPONENT,
  SE_IPIB_IS,
  SE_KINDS,
  SE_KINDS_BEFORE_PVIMG,
  SE_MAGIC,
  SE_METADATA,
  SE_METADATA_VERSION,
  SE_PAGE_BYTES,
  SE_PCF,
  SE_PLACE,
  SE_STAGE3B_ARGUMENTS,
  SeImageError,
  type SeKind,
} from './format.ts';
import { readSeHeader, type SeHeader, type SeSecrets } from './header.ts';
import type { SeIpib } from './image-writer.ts';
import type { SePrimitives } from './primitives.ts';

/** A component of an image as it is stored. */
export interface SeComponent {
  /** What its tweak says it is; null for a kind that is none. */
  readonly kind: SeKind | null;
  readonly address: bigint;
  readonly tweakPrefix: bigint;
  readonly stored: Uint8Array;
}

/** An image as it was found: nothing is authenticated yet. */
export interface SeImage {
  readonly headerAt: number;
  readonly ipibAt: number;
  /** Whether the image itself says where they are; older tools do not write that, and one has to look for them. */
  readonly metadata: boolean;
  readonly headerBytes: Uint8Array;
  readonly header: SeHeader;
  readonly components: readonly SeComponent[];
}

/** Pages from `SE_PLACE.STAGE3A_ENTRY` on in which a header is looked for where nothing says where it is: more than those that pv tools look at (6.9). */
const SEARCHED_PAGES = 0x20;

/**
 * Reads the structure of an image (s390-pv.md 6.9). Nothing in it is trusted, and nothing is decrypted here.
 * @throws SeImageError
 */
export function readSeImage(image: Uint8Array): SeImage {
  const metadata = hasText(image, SE_PLACE.METADATA, SE_MAGIC.METADATA);
  const places = metadata ? readMetadata(image) : null;
  const headerAt = places?.headerAt ?? findHeader(image);
  const headerBytes = headerAtPlace(image, headerAt);
  const header = readSeHeader(headerBytes, headerAt);
  const ipibAt = places?.ipibAt ?? findIpib(image, headerAt, headerBytes.length);
  const ipib = readSeIpib(image, ipibAt);
  if (!isAddressOf(ipib.headerAddress, headerAt) || ipib.headerBytes !== BigInt(headerBytes.length)) {
    throw new SeImageError(
      `IPIB, headerAddress at ${hex(ipibAt + SE_IPIB.offsets.headerAddress)}`,
      `${ipib.headerBytes} bytes at ${hex(ipib.headerAddress)}, but the header is ${headerBytes.length} bytes at ${hex(headerAt)}`,
    );
  }
  const components = ipib.components.map(({ tweakPrefix, address, length }, i) => {
    if (address + length > BigInt(image.length)) {
      throw new SeImageError(`IPIB, component ${i}`, `${length} bytes at ${hex(address)} pass the end of the image`);
    }
    const stored = image.subarray(Number(address), Number(address + length));
    return { kind: kindOf(tweakPrefix), address, tweakPrefix, stored };
  });
  return { headerAt, ipibAt, metadata, headerBytes, header, components };
}

function readMetadata(image: Uint8Array): { readonly headerAt: number; readonly ipibAt: number } {
  const place = (field: keyof typeof SE_METADATA.offsets): string =>
    `metadata, ${field} at ${hex(SE_PLACE.METADATA + SE_METADATA.offsets[field])}`;
  if (image.length < SE_PLACE.METADATA + SE_METADATA.bytes) throw new SeImageError('metadata', 'it passes the end');
  const { version, headerOffset, ipibOffset } = SE_METADATA.read(image, SE_PLACE.METADATA);
  if (version !== SE_METADATA_VERSION) throw new SeImageError(place('version'), `unknown version ${version}`);
  if (headerOffset >= BigInt(image.length))
    throw new SeImageError(place('headerOffset'), `${hex(headerOffset)} passes the end`);
  if (ipibOffset >= BigInt(image.length))
    throw new SeImageError(place('ipibOffset'), `${hex(ipibOffset)} passes the end`);
  return { headerAt: Number(headerOffset), ipibAt: Number(ipibOffset) };
}

function findHeader(image: Uint8Array): number {
  for (let page = 0; page < SEARCHED_PAGES; page++) {
    const at = SE_PLACE.STAGE3A_ENTRY + page * SE_PAGE_BYTES;
    if (hasText(image, at, SE_MAGIC.HEADER)) return at;
  }
  throw new SeImageError(
    'header',
    `no "${SE_MAGIC.METADATA}" at ${hex(SE_PLACE.METADATA)} and no "${SE_MAGIC.HEADER}" at a page from ${hex(SE_PLACE.STAGE3A_ENTRY)} on: it is no such image`,
  );
}

/** The bytes of the header at a place, as many as it says. */
function headerAtPlace(image: Uint8Array, at: number): Uint8Array {
  const rest = image.subarray(at, at + SE_HEADER_LIMIT);
  if (rest.length < SE_HEAD.bytes) return rest;
  const { size } = SE_HEAD.read(rest);
  return size > rest.length ? rest : rest.subarray(0, Math.max(size, SE_HEAD.bytes));
}

/** An IPIB lies at a page: behind the components, or before the header where genprotimg of s390-tools up to 2.35 put it. */
function findIpib(image: Uint8Array, headerAt: number, headerBytes: number): number {
  for (let at: number = SE_PLACE.STAGE3A; at + SE_IPIB.bytes <= image.length; at += SE_PAGE_BYTES) {
    const found = SE_IPIB.read(image, at);
    const form = found.version === SE_IPIB_IS.VERSION && found.blockType === SE_IPIB_IS.BLOCK_TYPE_PV;
    if (form && found.headerBytes === BigInt(headerBytes) && isAddressOf(found.headerAddress, headerAt)) return at;
  }
  throw new SeImageError('IPIB', `none at a page that goes with the header at ${hex(headerAt)}`);
}

/** The address may be left to stage3a. */
function isAddressOf(address: bigint, headerAt: number): boolean {
  return address === 0n || address === BigInt(headerAt);
}

/**
 * Reads an IPIB with the checks of DIAG 308 subcode 8 (s390-pv.md 5.3, 6.4).
 * @throws SeImageError
 */
export function readSeIpib(image: Uint8Array, at: number): SeIpib {
  const fail = (field: keyof typeof SE_IPIB.offsets, reason: string): never => {
    throw new SeImageError(`IPIB, ${field} at ${hex(at + SE_IPIB.offsets[field])}`, reason);
  };
  if (image.length - at < SE_IPIB.bytes) fail('length', `it ends after ${image.length - at} bytes`);
  const { length, version, blockLength, blockType, blockVersion, components, headerAddress, headerBytes } =
    SE_IPIB.read(image, at);
  if (version !== SE_IPIB_IS.VERSION) fail('version', `unknown version ${version}`);
  if (blockType !== SE_IPIB_IS.BLOCK_TYPE_PV) fail('blockType', `${blockType} instead of ${SE_IPIB_IS.BLOCK_TYPE_PV}`);
  // What genprotimg of s390-tools up to 2.35 writes: no version, and a whole page as the length.
  if (blockVersion > SE_IPIB_IS.BLOCK_VERSION) fail('blockVersion', `unknown version ${blockVersion}`);
  if (components === 0) fail('components', 'there are none');
  const bytes = SE_IPIB.bytes + components * SE_IPIB_COMPONENT.bytes;
  if (bytes > SE_IPIB_IS.LIMIT) fail('components', `${components} make it more than ${SE_IPIB_IS.LIMIT} bytes`);
  if (length < bytes || length > SE_IPIB_IS.LIMIT)
    fail('length', `${length}, but ${components} components need ${bytes}`);
  const rest = bytes - SE_IPIB.offsets.blockLength;
  if (blockLength !== rest) fail('blockLength', `${blockLength} instead of ${rest}`);
  if (image.length - at < bytes) fail('length', `it ends after ${image.length - at} bytes`);
  const entries = Array.from({ length: components }, (_, i) =>
    SE_IPIB_COMPONENT.read(image, at + SE_IPIB.bytes + i * SE_IPIB_COMPONENT.bytes),
  );
  for (const [i, entry] of entries.entries()) requireComponent(entry, i, i === 0 ? null : entries[i - 1]);
  return { headerAddress, headerBytes, components: entries };
}

type Entry = SeIpib['components'][number];

function requireComponent({ tweakPrefix, address, length }: Entry, i: number, before: Entry | null): void {
  const place = `IPIB, component ${i}`;
  const page = BigInt(SE_PAGE_BYTES);
  if (address % page !== 0n) throw new SeImageError(place, `its address ${hex(address)} is not that of a page`);
  if (length === 0n || length % page !== 0n) throw new SeImageError(place, `${length} bytes are not whole pages`);
  if (before === null) return;
  if (address < before.address + before.length) throw new SeImageError(place, 'it is not behind the one before it');
  if (tweakPrefix <= before.tweakPrefix)
    throw new SeImageError(place, 'its tweak is not above that of the one before it');
}

const KIND_NUMBERS = [...Object.entries(SE_KINDS), ...Object.entries(SE_KINDS_BEFORE_PVIMG)] as [SeKind, number][];

function kindOf(tweakPrefix: bigint): SeKind | null {
  const number = Number(tweakPrefix >> 48n);
  return KIND_NUMBERS.find(([, kind]) => kind === number)?.[0] ?? null;
}

/** What differs between the pages of an image and what its header says of them, by the names of s390-pv.md 2.10. */
export type SeDifference = 'page count' | 'PLD' | 'ALD' | 'TLD';

/** An image that was decrypted. */
export interface SeOpened {
  /** In the order of the image; whole pages. */
  readonly components: readonly { readonly kind: SeKind | null; readonly contents: Uint8Array }[];
  /** Empty if the header vouches for these pages. */
  readonly differences: readonly SeDifference[];
}

/** Decrypts all components as an Ultravisor does, page by page, and compares them with the header. */
export function openSeImage({ header, components }: SeImage, secrets: SeSecrets, crypto: SePrimitives): SeOpened {
  const encrypted = (header.plaintextFlags & SE_PCF.NO_COMPONENT_ENCRYPTION) === 0n;
  const cipher = encrypted ? crypto.aesXts(secrets.componentKey) : null;
  const measure = new SePageMeasure(crypto);
  const opened = components.map(({ kind, address, tweakPrefix, stored }) => ({
    kind,
    contents: openComponent(stored, { address, tweakPrefix }, cipher, measure),
  }));
  const found = measure.finish();
  const same = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);
  const checks: readonly (readonly [SeDifference, boolean])[] = [
    ['page count', found.pages === header.pages],
    ['PLD', same(found.pageListDigest, header.pageListDigest)],
    ['ALD', same(found.addressListDigest, header.addressListDigest)],
    ['TLD', same(found.tweakListDigest, header.tweakListDigest)],
  ];
  return { components: opened, differences: checks.filter(([, right]) => !right).map(([name]) => name) };
}

/** How long components were before zeros filled their last pages, as stage3b's arguments say; null if they are not found. */
export function trueSizes(
  image: SeImage,
  opened: SeOpened,
): ({ readonly [K in SeKind]?: number } & { readonly kernelEntry: bigint }) | null {
  const stage3b = opened.components.find(({ kind }) => kind === 'stage3b')?.contents;
  if (stage3b === undefined) return null;
  const placeOf = (kind: SeKind): SeComponent | undefined => image.components.find((part) => part.kind === kind);
  const matches = (kind: SeKind, address: bigint, bytes: bigint): boolean => {
    const part = placeOf(kind);
    if (part === undefined) return bytes === 0n && address === 0n;
    const fits = bytes <= BigInt(part.stored.length);
    return address === part.address && fits && storedBytes(Number(bytes)) === part.stored.length;
  };
  for (let at = stage3b.length - SE_STAGE3B_ARGUMENTS.bytes; at >= 0; at--) {
    const found = SE_STAGE3B_ARGUMENTS.read(stage3b, at);
    const all =
      matches('kernel', found.kernelAddress, found.kernelBytes) &&
      matches('cmdline', found.cmdlineAddress, found.cmdlineBytes) &&
      matches('ramdisk', found.ramdiskAddress, found.ramdiskBytes);
    if (!all) continue;
    return {
      kernel: Number(found.kernelBytes),
      cmdline: Number(found.cmdlineBytes),
      ramdisk: Number(found.ramdiskBytes),
      stage3b: at + SE_STAGE3B_ARGUMENTS.bytes,
      kernelEntry: found.pswAddress,
    };
  }
  return null;
}
