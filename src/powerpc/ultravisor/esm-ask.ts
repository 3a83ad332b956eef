import { type Gfn, gpaOf, H_PAGE_IN_SHARED, HCALL, UV_PAGE_ORDER } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { gather, startGathering } from './esm-gather.ts';
import type { EsmRange } from './esm-tree.ts';
import { callHypervisor } from './hypervisor-entry.ts';
import { abortEsm, killSvm } from './kill.ts';
import { slotOf } from './pages.ts';
import { askForPage, makeRoom, takeFrame } from './secure-frames.ts';
import type { Esm, GatheredPart, Svm } from './svm.ts';

/** How often in a row the hypervisor is asked for a frame that does not come. */
const TRIES = 4;

/** UV_ESM cannot go on: the VM stays normal, or dies if it is secure already (10.2 #50). */
export function failEsm(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm, reason: string): 'left' {
  return esm.stage === 'finish' ? killSvm(uv, port, svm, esm.frame, reason) : abortEsm(uv, port, svm, reason);
}

/**
 * H_SVM_PAGE_IN for a frame, which must be in a slot; UV_ESM goes on in the same stage when it is answered. If secure
 * memory is used up a page of the VM goes out first, and the stage goes on without having asked.
 */
export function askForFrame(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm, gfn: Gfn): 'left' {
  if (slotOf(svm, gfn) === undefined) return failEsm(uv, port, svm, esm, `guest frame ${gfn} is in no slot`);
  const times = esm.asking?.gfn === gfn ? esm.asking.times + 1 : 1;
  if (times > TRIES) return failEsm(uv, port, svm, esm, `guest frame ${gfn} does not come back`);
  const incoming = takeFrame(uv, svm);
  if (incoming === undefined) return makeRoom(uv, port, svm, esm.frame, { kind: 'esm' });
  esm.asking = { gfn, times };
  esm.asked.add(gfn);
  if (esm.stage === 'tree') esm.kept.add(gfn);
  return askForPage(uv, port, svm, esm.frame, gfn, { kind: 'esm' }, incoming);
}

/** H_SVM_PAGE_IN to share a frame. */
export function askToShare(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm, gfn: Gfn): 'left' {
  esm.asked.add(gfn);
  const args = [BigInt(gpaOf(gfn)), H_PAGE_IN_SHARED, BigInt(UV_PAGE_ORDER)];
  return callHypervisor(uv, port, svm, esm.frame, HCALL.H_SVM_PAGE_IN, args, { kind: 'esm' });
}

/**
 * Reads parts of the VM into `esm.gathered`.
 * @returns null once all of them are there
 */
export function collect(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  esm: Esm,
  parts: readonly (readonly [GatheredPart, EsmRange])[],
): 'left' | null {
  for (const [name, range] of parts) {
    const gathering = esm.gathered.get(name) ?? startGathering(svm, range);
    if (gathering === undefined) return failEsm(uv, port, svm, esm, `the ${name} is not all in slots`);
    esm.gathered.set(name, gathering);
    const step = gather(uv, svm, esm, gathering);
    if (step === 'all there') continue;
    if ('ask' in step) return askForFrame(uv, port, svm, esm, step.ask);
    return failEsm(uv, port, svm, esm, `the ${name} cannot be read: ${step.refused}`);
  }
  return null;
}

/** What `collect` has read. @throws Error if it has not */
export function collected(esm: Esm, name: GatheredPart): Uint8Array {
  const gathering = esm.gathered.get(name);
  if (gathering?.filled !== gathering?.bytes.length || gathering === undefined) {
    throw new Error(`UV_ESM has not read the ${name}`);
  }
  return gathering.bytes;
}
