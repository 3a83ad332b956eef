import type { UvContext } from './context.ts';
import { PAGE } from './limits.ts';
import type { Configuration, PageKeys, PageSeal } from './state.ts';

const TWEAK = 16;
const COUNTER_AT = 8;

/** A page as it leaves. The tweak is fresh, so an earlier ciphertext of the same page no longer opens. */
export function sealPage(
  uv: UvContext,
  config: Configuration,
  page: number,
  contents: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly seal: PageSeal } {
  const keys = config.pageKeys ?? makeKeys(uv);
  config.pageKeys = keys;
  keys.counter += 1n;
  const { counter } = keys;
  const ciphertext = uv.se.xtsEncrypt(keys.cipher, tweakOf(keys, counter), contents);
  return { ciphertext, seal: { counter, tag: tagOf(uv, config, keys, page, counter, ciphertext) } };
}

/** The page's contents, or null if this is not the ciphertext that left last for this address. */
export function openPage(
  uv: UvContext,
  config: Configuration,
  page: number,
  ciphertext: Uint8Array,
  seal: PageSeal,
): Uint8Array | null {
  const keys = config.pageKeys;
  if (keys === null) throw new Error('a page was sealed with keys that are gone');
  const { counter, tag } = seal;
  if (!uv.crypto.equal(tag, tagOf(uv, config, keys, page, counter, ciphertext))) return null;
  return uv.se.xtsDecrypt(keys.cipher, tweakOf(keys, counter), ciphertext);
}

/** The 16 bytes that a dump has for a page: the tweak is their OR with the nonce (6.13). */
export function tweakComponent({ counter }: PageSeal): Uint8Array {
  const component = new Uint8Array(TWEAK);
  new DataView(component.buffer).setBigUint64(COUNTER_AT, counter);
  return component;
}

/** Nothing that went out under these keys comes back. */
export function erasePageKeys({ pageKeys }: Configuration): void {
  pageKeys?.cipher.fill(0);
  pageKeys?.authentication.fill(0);
  pageKeys?.nonce.fill(0);
}

/** Keys of a configuration, made now if no page has left yet. */
export function pageKeysOf(uv: UvContext, config: Configuration): PageKeys {
  config.pageKeys ??= makeKeys(uv);
  return config.pageKeys;
}

function makeKeys({ random }: UvContext): PageKeys {
  const nonce = new Uint8Array(TWEAK);
  nonce.set(random(COUNTER_AT));
  return { cipher: random(64), authentication: random(32), nonce, counter: 0n };
}

function tweakOf({ nonce }: PageKeys, counter: bigint): Uint8Array {
  const tweak = nonce.slice();
  new DataView(tweak.buffer).setBigUint64(COUNTER_AT, counter);
  return tweak;
}

function tagOf(
  uv: UvContext,
  config: Configuration,
  keys: PageKeys,
  page: number,
  counter: bigint,
  ciphertext: Uint8Array,
): Uint8Array {
  const data = new Uint8Array(24 + PAGE);
  const view = new DataView(data.buffer);
  view.setBigUint64(0, config.handle);
  view.setBigUint64(8, BigInt(page));
  view.setBigUint64(16, counter);
  data.set(ciphertext, 24);
  return uv.crypto.hmacSha256(keys.authentication, data);
}
