import { iapmDecrypt, iapmEncrypt } from '../../crypto/iapm.ts';
import type { UvContext } from './context.ts';
import type { PageSeal } from './page.ts';
import type { PageKeys, Svm } from './svm.ts';

const KEY_BYTES = 16;
const NONCE_PREFIX_BYTES = 8;
const NONCE_BYTES = 16;

/** Encrypts a page with a nonce of its own. The SVM's keys are made when first needed (8.4). */
export function sealPage(uv: UvContext, svm: Svm, page: Uint8Array): { ciphertext: Uint8Array; seal: PageSeal } {
  const keys = svm.keys ?? {
    k1: uv.random.keys(KEY_BYTES),
    k2: uv.random.keys(KEY_BYTES),
    noncePrefix: uv.random.keys(NONCE_PREFIX_BYTES),
    counter: 0n,
    generation: 0,
  };
  svm.keys = keys;
  const { counter } = keys;
  keys.counter += 1n;
  const { ciphertext, tag } = iapmEncrypt(uv.crypto, page, nonceOf(keys, counter), keys.k1, keys.k2);
  return { ciphertext, seal: { counter, tag, generation: keys.generation } };
}

function nonceOf({ noncePrefix }: PageKeys, counter: bigint): Uint8Array {
  const nonce = new Uint8Array(NONCE_BYTES);
  nonce.set(noncePrefix);
  new DataView(nonce.buffer).setBigUint64(NONCE_PREFIX_BYTES, counter);
  return nonce;
}

/** The page's contents, or null if the ciphertext is not the one that the seal was made with. */
export function openPage(uv: UvContext, svm: Svm, ciphertext: Uint8Array, seal: PageSeal): Uint8Array | null {
  const { keys } = svm;
  if (keys === null || keys.generation !== seal.generation)
    throw new Error('a page was sealed with keys that are gone');
  return iapmDecrypt(uv.crypto, ciphertext, seal.tag, nonceOf(keys, seal.counter), keys.k1, keys.k2);
}
