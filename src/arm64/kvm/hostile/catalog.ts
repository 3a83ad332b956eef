import type { Attack } from './attack.ts';
import { changeRegisters } from './change-registers.ts';
import { corruptCalls } from './corrupt-calls.ts';
import { dma } from './dma.ts';
import { donateTwice } from './donate-twice.ts';
import { dropPage } from './drop-page.ts';
import { dyingHandle } from './dying-handle.ts';
import { endAndRead } from './end-and-read.ts';
import { foreignPage } from './foreign-page.ts';
import { injectMasked } from './inject-masked.ts';
import { mapHypMemory } from './map-hyp-memory.ts';
import { mapTwice } from './map-twice.ts';
import { predictRandom } from './predict-random.ts';
import { readMemory } from './read-memory.ts';
import { readRegisters } from './read-registers.ts';
import { replayPage } from './replay-page.ts';
import { resumeElsewhere } from './resume-elsewhere.ts';
import { staleTranslation } from './stale-translation.ts';
import { swapPages } from './swap-pages.ts';
import { withholdPage } from './withhold-page.ts';
import { writeMemory } from './write-memory.ts';

/** All hostile hosts, in the order in which they are listed: memory, registers, calls, and the VM as a whole. */
export const ARM_ATTACKS: readonly Attack[] = [
  readMemory,
  writeMemory,
  replayPage,
  swapPages,
  mapTwice,
  foreignPage,
  donateTwice,
  dropPage,
  withholdPage,
  staleTranslation,
  dma,
  readRegisters,
  predictRandom,
  changeRegisters,
  resumeElsewhere,
  injectMasked,
  mapHypMemory,
  corruptCalls,
  endAndRead,
  dyingHandle,
];
