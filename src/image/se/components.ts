import { pageUp, SE_PAGE_BYTES } from './format.ts';
import type { SeHasher, SePrimitives, SeXtsCipher } from './primitives.ts';

/** What the header proves of all pages together (s390-pv.md 6.8). */
export interface SePageLists {
  /** How many pages there are. */
  readonly pages: bigint;
  /** SHA-512 over the pages as they are stored, over their addresses, and over their tweaks. */
  readonly pageListDigest: Uint8Array;
  readonly addressListDigest: Uint8Array;
  readonly tweakListDigest: Uint8Array;
}

/** Measures pages one by one, in ascending order of their addresses. */
export class SePageMeasure {
  #pages = 0n;
  readonly #contents: SeHasher;
  readonly #addresses: SeHasher;
  readonly #tweaks: SeHasher;

  constructor(crypto: Pick<SePrimitives, 'sha512Hasher'>) {
    this.#contents = crypto.sha512Hasher();
    this.#addresses = crypto.sha512Hasher();
    this.#tweaks = crypto.sha512Hasher();
  }

  /** One page as it is stored, its address, and its tweak of 16 bytes. */
  add(page: Uint8Array, address: bigint, tweak: Uint8Array): void {
    const addressBytes = new Uint8Array(8);
    new DataView(addressBytes.buffer).setBigUint64(0, address);
    this.#contents.update(page);
    this.#addresses.update(addressBytes);
    this.#tweaks.update(tweak);
    this.#pages++;
  }

  /** What was measured. Nothing may follow. */
  finish(): SePageLists {
    return {
      pages: this.#pages,
      pageListDigest: this.#contents.digest(),
      addressListDigest: this.#addresses.digest(),
      tweakListDigest: this.#tweaks.digest(),
    };
  }
}

/**
 * The tweak of a page: the prefix of its component and its place in it in bytes, big-endian. The two are one number of
 * 128 bits.
 */
export function pageTweak(prefix: bigint, offset: bigint): Uint8Array {
  const tweak = new Uint8Array(16);
  const view = new DataView(tweak.buffer);
  view.setBigUint64(0, prefix + (offset >> 64n));
  view.setBigUint64(8, offset);
  return tweak;
}

/** A component's place, and how its pages are tweaked. */
export interface SeComponentPlace {
  readonly address: bigint;
  readonly tweakPrefix: bigint;
}

/** What each page of a component is made of, in the order in which an Ultravisor unpacks them. */
export function* pagesOf(
  stored: Uint8Array,
  { address, tweakPrefix }: SeComponentPlace,
): Generator<{ readonly page: Uint8Array; readonly address: bigint; readonly tweak: Uint8Array }> {
  for (let at = 0; at < stored.length; at += SE_PAGE_BYTES) {
    const offset = BigInt(at);
    yield {
      page: stored.subarray(at, at + SE_PAGE_BYTES),
      address: address + offset,
      tweak: pageTweak(tweakPrefix, offset),
    };
  }
}

/** Bytes of a component of this many bytes as it is stored: whole pages, at least one. */
export function storedBytes(contents: number): number {
  return Math.max(SE_PAGE_BYTES, pageUp(contents));
}

/**
 * Makes of a component what is stored: zeros up to a whole page, at least one, and encrypted.
 * @param cipher null if pages stay in the clear (PCF 35)
 */
export function sealComponent(
  contents: Uint8Array,
  place: SeComponentPlace,
  cipher: SeXtsCipher | null,
  measure: SePageMeasure,
): Uint8Array {
  const stored = new Uint8Array(storedBytes(contents.length));
  stored.set(contents);
  for (const { page, address, tweak } of pagesOf(stored, place)) {
    if (cipher !== null) page.set(cipher.encrypt(tweak, page));
    measure.add(page, address, tweak);
  }
  return stored;
}

/** The inverse of `sealComponent`, but for the zeros at the end, whose number the pages do not tell. */
export function openComponent(
  stored: Uint8Array,
  place: SeComponentPlace,
  cipher: SeXtsCipher | null,
  measure: SePageMeasure,
): Uint8Array {
  const contents = stored.slice();
  for (const { page, address, tweak } of pagesOf(contents, place)) {
    measure.add(page, address, tweak);
    if (cipher !== null) page.set(cipher.decrypt(tweak, page));
  }
  return contents;
}
