import { aliasPage } from './alias-page.ts';
import type { Attack } from './attack.ts';
import { changeAfterCheck } from './change-after-check.ts';
import { changeLpcr } from './change-lpcr.ts';
import { changeRegisters } from './change-registers.ts';
import { corruptBlob } from './corrupt-blob.ts';
import { corruptImage } from './corrupt-image.ts';
import { dma } from './dma.ts';
import { dropPage } from './drop-page.ts';
import { endAndRead } from './end-and-read.ts';
import { foreignPage } from './foreign-page.ts';
import { holeInMemory } from './hole-in-memory.ts';
import { injectMasked } from './inject-masked.ts';
import { leaveOutSlot } from './leave-out-slot.ts';
import { lieAboutSlots } from './lie-about-slots.ts';
import { otherPartition } from './other-partition.ts';
import { overwritePage } from './overwrite-page.ts';
import { partitionTable } from './partition-table.ts';
import { predictRandom } from './predict-random.ts';
import { readMemory } from './read-memory.ts';
import { readRegisters } from './read-registers.ts';
import { replayCookie } from './replay-cookie.ts';
import { replayPage } from './replay-page.ts';
import { replaySnapshot } from './replay-snapshot.ts';
import { resumeElsewhere } from './resume-elsewhere.ts';
import { rtasAnswer } from './rtas-answer.ts';
import { staleTranslation } from './stale-translation.ts';
import { swapPages } from './swap-pages.ts';
import { ultravisorRegisters } from './ultravisor-registers.ts';
import { writeMemory } from './write-memory.ts';

/** All hostile hypervisors, in the order in which they are listed: memory, registers, what governs both, and the VM as a whole. */
export const ATTACKS: readonly Attack[] = [
  readMemory,
  writeMemory,
  overwritePage,
  replayPage,
  replaySnapshot,
  swapPages,
  aliasPage,
  foreignPage,
  dropPage,
  staleTranslation,
  dma,
  endAndRead,
  readRegisters,
  predictRandom,
  changeRegisters,
  changeLpcr,
  resumeElsewhere,
  injectMasked,
  replayCookie,
  otherPartition,
  rtasAnswer,
  partitionTable,
  ultravisorRegisters,
  lieAboutSlots,
  leaveOutSlot,
  holeInMemory,
  corruptImage,
  corruptBlob,
  changeAfterCheck,
];
