import { readFileSync } from 'node:fs';
import type { VictimOptions } from '../../../src/cli/attack-experiment.ts';
import { nodeProvider } from '../../../src/crypto/node.ts';

const file = 'guests/powerpc/victim.elf';

/** What all runs of the victim have in common. */
export const VICTIM: Pick<VictimOptions, 'crypto' | 'victim' | 'seed'> = {
  crypto: nodeProvider,
  victim: { file, bytes: new Uint8Array(readFileSync(file)) },
  seed: '1',
};

const ROUNDS = `made a secret
round 1: intact
round 2: intact
round 3: intact
round 4: intact
round 5: intact
round 6: intact
`;

/** What the victim says below an honest hypervisor, from its source. */
export const HONEST_CONSOLE = {
  normal: `normal: asking for secure mode\nno secure mode here, staying normal\n${ROUNDS}ran as a normal VM\n`,
  secure: `normal: asking for secure mode\n${ROUNDS}ran as a secure VM\n`,
};
