import { Iapm } from '../../crypto/iapm.ts';
import type { Sealed } from '../../crypto/provider.ts';
import type { UvContext } from './context.ts';
import type { PageSeal } from './page.ts';
import type { PageCipher } from './page-cipher.ts';
import type { PageKeys, Svm } from './svm.ts';

const KEY_BYTES = 16;
const COUNTER_BYTES = 8;

/** What each cipher needs: how many keys, and the first bytes of its nonces, to which the counter is added. */
const SHAPE: Readonly<Record<PageCipher, { readonly keys: 1 | 2; readonly noncePrefix: number }>> = {
  iapm: { keys: 2, noncePrefix: 8 },
  gcm: { keys: 1, noncePrefix: 4 },
};
const NO_DATA = new Uint8Array(0);

/** Key schedules of live keys: a cache, made again from the keys when it is needed. */
const schedules = new WeakMap<PageKeys, Iapm>();

/** Encrypts a page with a nonce of its own. The SVM's keys are made when first needed. */
export function sealPage(uv: UvContext, svm: Svm, page: Uint8Array): { ciphertext: Uint8Array; seal: PageSeal } {
  const keys = svm.keys ?? makeKeys(uv);
  svm.keys = keys;
  const { counter } = keys;
  keys.counter += 1n;
  const { ciphertext, tag } = encrypt(uv, keys, page, nonceOf(keys, counter));
  return { ciphertext, seal: { counter, tag, generation: keys.generation } };
}

/** The page's contents, or null if the ciphertext is not the one that the seal was made with. */
export function openPage(uv: UvContext, svm: Svm, ciphertext: Uint8Array, seal: PageSeal): Uint8Array | null {
  const { keys } = svm;
  if (keys === null || keys.generation !== seal.generation)
    throw new Error('a page was sealed with keys that are gone');
  const nonce = nonceOf(keys, seal.counter);
  if (keys.cipher === 'iapm') return schedule(uv, keys).decrypt(ciphertext, seal.tag, nonce);
  return uv.crypto.aesGcmDecrypt(keys.k1, nonce, NO_DATA, ciphertext, seal.tag);
}

/** Erases the keys of an SVM: no page that went out can come back. */
export function eraseKeys({ keys }: Svm): void {
  if (keys === null) return;
  schedules.delete(keys);
  keys.k1.fill(0);
  keys.k2.fill(0);
}

function makeKeys({ cipher, random }: UvContext): PageKeys {
  const { keys, noncePrefix } = SHAPE[cipher];
  return {
    cipher,
    k1: random.keys(KEY_BYTES),
    k2: keys === 2 ? random.keys(KEY_BYTES) : NO_DATA,
    noncePrefix: random.keys(noncePrefix),
    counter: 0n,
    generation: 0,
  };
}

function encrypt(uv: UvContext, keys: PageKeys, page: Uint8Array, nonce: Uint8Array): Sealed {
  if (keys.cipher === 'iapm') return schedule(uv, keys).encrypt(page, nonce);
  return uv.crypto.aesGcmEncrypt(keys.k1, nonce, NO_DATA, page);
}

function schedule(uv: UvContext, keys: PageKeys): Iapm {
  const known = schedules.get(keys) ?? new Iapm(uv.crypto, keys.k1, keys.k2);
  schedules.set(keys, known);
  return known;
}

function nonceOf({ noncePrefix }: PageKeys, counter: bigint): Uint8Array {
  const nonce = new Uint8Array(noncePrefix.length + COUNTER_BYTES);
  nonce.set(noncePrefix);
  new DataView(nonce.buffer).setBigUint64(noncePrefix.length, counter);
  return nonce;
}
