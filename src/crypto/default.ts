import { nodeProvider } from './node.ts';
import type { CryptoProvider } from './provider.ts';

/** The provider of this build: the one over node:crypto. A browser build puts a file over `noble.ts` in this place. */
export function defaultProvider(): CryptoProvider {
  return nodeProvider;
}
