import { readFileSync } from 'node:fs';
import { nodeProvider } from '../../../src/crypto/node.ts';
import { armGuest } from '../../support/arm-guest.ts';

/** The victim, as attacks find it. */
export const VICTIM = {
  crypto: nodeProvider,
  victim: { file: armGuest('victim'), bytes: new Uint8Array(readFileSync(armGuest('victim'))) },
  seed: '1',
} as const;

/** What it says below an honest host, by its source. */
export const honestConsole = (kind: string): string =>
  ['made a secret', ...Array.from({ length: 6 }, (_, n) => `round ${n + 1}: intact`), `ran as a ${kind} VM`, ''].join(
    '\n',
  );
