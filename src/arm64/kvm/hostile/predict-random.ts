import type { Attack } from './attack.ts';

/** Knows the random numbers that pass through it. */
export const predictRandom: Attack = {
  name: 'predict-random',
  summary: 'keep the random numbers that the guest asks for',
  begin: (hv) => ({
    randoms(values) {
      hv.keep(values);
      hv.did('answering TRNG');
    },
  }),
};
