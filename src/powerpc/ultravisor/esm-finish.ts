import { type Gfn, MSR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { askForFrame, failEsm } from './esm-ask.ts';
import { lostFrame } from './esm-gather.ts';
import { keepOnly } from './esm-scope.ts';
import type { EsmRange } from './esm-tree.ts';
import { resumeGuest } from './guest-entry.ts';
import { writeGuest } from './guest-memory.ts';
import { setSvmState } from './kill.ts';
import { touchedPages } from './pages.ts';
import { treePateDw0 } from './partition-scoped.ts';
import { readPate, writePate } from './partition-table.ts';
import { makeRoom } from './secure-frames.ts';
import type { Esm, Svm } from './svm.ts';

/**
 * Steps 14 to 16, once H_SVM_INIT_DONE has succeeded: the VM is secure. Nothing can be aborted any more, what fails now
 * kills it (10.2 #50).
 */
export function finishEsm(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  const { plan, proof, frame } = esm;
  if (plan === null || proof === null) throw new Error('UV_ESM is done without a plan or a blob');
  if (esm.stage === 'done') {
    writePate(uv, port, svm.lpid, { dw0: treePateDw0(svm.tree), dw1: readPate(uv, svm.lpid).dw1 });
    setSvmState(uv, port, svm, 'SECURE');
    esm.stage = 'finish';
    esm.next = 0 as Gfn;
  }
  const lost = lostFrame(svm, esm);
  if (lost !== undefined) return failEsm(uv, port, svm, esm, `guest frame ${lost} was measured, and dropped`);
  const absent = uv.esmScope === 'verified' ? dropUnproven(uv, port, svm, esm, provenRanges(esm)) : undefined;
  if (absent !== undefined) return askForFrame(uv, port, svm, esm, absent);
  const fault = writeGuest(uv, port, svm, esm.tree, plan.newTree);
  if (fault?.fault === 'paged-out') return askForFrame(uv, port, svm, esm, fault.gfn);
  if (fault?.fault === 'no-frame') return makeRoom(uv, port, svm, frame, { kind: 'esm' });
  if (fault !== null) return failEsm(uv, port, svm, esm, 'its device tree cannot be written back');

  svm.files = { key: proof.key, sealed: proof.files, readers: new Map() };
  svm.esm = null;
  frame.nia = BigInt(esm.kernel);
  frame.msr = (frame.msr & ~(MSR.EE | MSR.HV)) | MSR.S;
  frame.gprs[3] = BigInt(esm.tree);
  frame.gprs[4] = BigInt(esm.kernel);
  frame.gprs[5] = 0n;
  return resumeGuest(uv, port, svm, frame);
}

/** What a VM keeps with scope `verified`: what was measured, and the device tree. */
function provenRanges({ kernel, tree, plan, proof }: Esm): EsmRange[] {
  if (plan === null || proof === null) throw new Error('UV_ESM has proven nothing');
  return [
    { base: kernel, size: proof.digests.kernelSize },
    { base: tree, size: plan.newTree.length },
    plan.initrd,
    plan.rtasText,
  ];
}

/** Zeroes what was not proven. @returns a page that is paged out and has to come back first */
function dropUnproven(
  uv: UvContext,
  port: RegisterPort,
  svm: Svm,
  esm: Esm,
  ranges: readonly EsmRange[],
): Gfn | undefined {
  for (const [gfn] of touchedPages(svm)) {
    if (gfn < esm.next) continue;
    if (!keepOnly(uv, port, svm, gfn, ranges)) return gfn;
    esm.next = (gfn + 1) as Gfn;
  }
  return undefined;
}
