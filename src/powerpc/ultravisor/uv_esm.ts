import { EsmBlobError } from '../../image/esm-format.ts';
import { FdtError, fdtTotalSize } from '../../image/fdt.ts';
import { codeToRegister, type Gfn, guestPhysical, HCALL, MSR, registerToCode, SPR, U_CODE, VECTOR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { isSecureGuest, type Outcome, type UvContext } from './context.ts';
import { askForFrame, askToShare, collect, collected, failEsm } from './esm-ask.ts';
import { finishEsm } from './esm-finish.ts';
import { failedDigests, openProof } from './esm-proof.ts';
import { type EsmRange, MAX_TREE_BYTES, planTree, type TreePlan } from './esm-tree.ts';
import { type Interrupted, saveFrame } from './frame.ts';
import { callHypervisor } from './hypervisor-entry.ts';
import { abortEsm, traceSvmState } from './kill.ts';
import { pageAt, setPage, slotOf } from './pages.ts';
import { createTree } from './partition-scoped.ts';
import { readPate } from './partition-table.ts';
import { RTAS_BUFFERS } from './rtas.ts';
import { commitShare } from './share.ts';
import type { Esm, Svm } from './svm.ts';
import { svmLpcr } from './svm-lpcr.ts';

const { U_SUCCESS, U_PARAMETER, U_P2, U_RETRY, U_PERMISSION } = U_CODE;

const INSTRUCTION_BYTES = 4;
const TREE_ALIGN = 8;
/** Bytes of a device tree that tell its size. */
const TREE_SIZE_FIELD_END = 8;

/**
 * UV_ESM: a normal VM becomes a secure one (3.15, 6.1). R4 is where it is to be entered, R5 its device tree.
 *
 * The call comes back only if it is refused before the hypervisor was told; after that it ends in the SVM, or in
 * H_SVM_INIT_ABORT. The device tree moves in first. The ESM blob that it tells of is opened with the machine's key, and
 * kernel, initrd, command line and RTAS have to have the digests that it holds: without a blob there is no secure VM.
 * Then, with scope `all`, the rest of all slots moves in with its contents (seed 001). Two pages of the guest's memory
 * become the Ultravisor's, for RTAS.
 */
export function uvEsm(uv: UvContext, port: RegisterPort, interrupted: Interrupted): Outcome {
  const { msr } = interrupted;
  if (isSecureGuest(msr)) return (msr & MSR.PR) === 0n ? U_SUCCESS : U_PERMISSION;
  const lpid = Number(port.spr(SPR.LPIDR));
  if ((msr & (MSR.HV | MSR.PR)) !== 0n || lpid === 0) return U_PERMISSION;
  if (uv.state.svms.has(lpid)) return U_RETRY;
  const kernel = guestPhysical(port.gpr(4));
  if (kernel === undefined || kernel === 0 || kernel % INSTRUCTION_BYTES !== 0) return U_PARAMETER;
  const tree = guestPhysical(port.gpr(5));
  if (tree === undefined || tree === 0 || tree % TREE_ALIGN !== 0) return U_P2;
  const partitionTree = createTree(uv.secure);
  if (partitionTree === undefined) return U_RETRY;

  const esm: Esm = {
    frame: saveFrame(port, interrupted),
    kernel,
    tree,
    stage: 'start',
    asked: new Set(),
    kept: new Set(),
    fixed: new Map(),
    asking: null,
    next: 0 as Gfn,
    gathered: new Map(),
    plan: null,
    proof: null,
  };
  const svm: Svm = {
    lpid,
    state: 'ACTIVE',
    slots: [],
    lost: [],
    hand: 0 as Gfn,
    tree: partitionTree,
    normalPateDw0: readPate(uv, lpid).dw0,
    keys: null,
    pending: new Map(),
    starting: new Map(),
    esm,
    machineCheck: VECTOR.MACHINE_CHECK,
    files: null,
    rtas: null,
    lpcr: svmLpcr(port),
  };
  uv.state.svms.set(lpid, svm);
  traceSvmState(uv, port, lpid, 'NORMAL', 'ACTIVE');
  return callHypervisor(uv, port, svm, esm.frame, HCALL.H_SVM_INIT_START, [], { kind: 'esm' });
}

/** The hypervisor has answered a hypercall of UV_ESM. */
export function continueEsm(uv: UvContext, port: RegisterPort, svm: Svm): 'left' {
  const { esm } = svm;
  if (esm === null) throw new Error(`SVM ${svm.lpid} is not in UV_ESM`);
  const result = port.gpr(0);
  if (result !== codeToRegister(U_SUCCESS)) {
    return failEsm(uv, port, svm, esm, `the hypervisor answered ${registerToCode(result)} in stage ${esm.stage}`);
  }
  try {
    return goOn(uv, port, svm, esm);
  } catch (error) {
    if (error instanceof FdtError || error instanceof EsmBlobError) return abortEsm(uv, port, svm, error.message);
    throw error;
  }
}

/** @throws FdtError, EsmBlobError for a tree or a blob that cannot be used */
function goOn(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  switch (esm.stage) {
    case 'start':
    case 'tree':
      esm.stage = 'tree';
      return moveTree(uv, port, svm, esm);
    case 'share':
      return sharePages(uv, port, svm, esm);
    case 'blob':
      return openBlob(uv, port, svm, esm);
    case 'kernel':
      return verify(uv, port, svm, esm);
    case 'pages':
      return movePages(uv, port, svm, esm);
    case 'done':
    case 'finish':
      return finishEsm(uv, port, svm, esm);
  }
}

/** Steps 6 and 7: moves the device tree in, page by page, and reads it once. */
function moveTree(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  const header = collect(uv, port, svm, esm, [['header', { base: esm.tree, size: TREE_SIZE_FIELD_END }]]);
  if (header !== null) return header;
  const size = fdtTotalSize(collected(esm, 'header'));
  if (size > MAX_TREE_BYTES) return abortEsm(uv, port, svm, `a device tree of ${size} bytes`);
  const tree = collect(uv, port, svm, esm, [['tree', { base: esm.tree, size }]]);
  if (tree !== null) return tree;
  const bytes = collected(esm, 'tree');
  esm.plan = planTree(bytes, BigInt(esm.kernel), BigInt(esm.tree), (gfn) => slotOf(svm, gfn) !== undefined);
  esm.stage = 'share';
  return sharePages(uv, port, svm, esm);
}

/** Step 8: shares the pages that the plan reserved, and when they are all there makes them the Ultravisor's. */
function sharePages(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  const { reserved, tokens } = planOf(esm);
  for (const gfn of reserved) {
    const page = pageAt(svm, gfn);
    if (page?.state === 'HV_SHARED' || page?.state === 'HV_SHARED_INV') continue;
    if (page?.state !== 'SECURE' || esm.asked.has(gfn)) return abortEsm(uv, port, svm, 'a page was not shared');
    setPage(uv, port, svm, gfn, { state: 'HV_SHARING', frame: page.frame });
    return askToShare(uv, port, svm, esm, gfn);
  }
  for (const gfn of reserved) commitShare(uv, port, svm, gfn, 'SHARED_IMPLICIT');
  const busy = new Array<boolean>(RTAS_BUFFERS).fill(false);
  svm.rtas = { own: reserved[0], buffers: reserved[1], busy, tokens };
  esm.stage = 'blob';
  return openBlob(uv, port, svm, esm);
}

/** Step 10: reads what the tree tells of, and opens the blob. */
function openBlob(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  const { blob, initrd, rtasText } = planOf(esm);
  const missing = collect(uv, port, svm, esm, [
    ['rtas', rtasText],
    ['initrd', initrd],
    ...(blob === null ? [] : [['blob', blob] as const]),
  ]);
  if (missing !== null) return missing;
  esm.proof = openProof(uv, blob === null ? null : collected(esm, 'blob'), collected(esm, 'initrd'));
  requireApart([
    ['the kernel', { base: esm.kernel, size: esm.proof.digests.kernelSize }],
    ['the initrd', initrd],
    ['RTAS', rtasText],
    ['the device tree', { base: esm.tree, size: collected(esm, 'tree').length }],
  ]);
  esm.stage = 'kernel';
  return verify(uv, port, svm, esm);
}

/** Step 11: reads the kernel, and compares all digests. */
function verify(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  const { proof } = esm;
  if (proof === null) throw new Error('UV_ESM verifies without a blob');
  const kernel = { base: esm.kernel, size: proof.digests.kernelSize };
  const missing = collect(uv, port, svm, esm, [['kernel', kernel]]);
  if (missing !== null) return missing;
  const failed = failedDigests(uv, proof, {
    rtas: collected(esm, 'rtas'),
    kernel: collected(esm, 'kernel'),
    initrd: collected(esm, 'initrd').subarray(proof.archiveLength),
    bootargs: planOf(esm).bootargs,
  });
  if (failed.length > 0) return abortEsm(uv, port, svm, `not what the blob says: ${failed.join(', ')}`);
  esm.stage = 'pages';
  return movePages(uv, port, svm, esm);
}

/** Moves everything else in, if it is to come along, then tells the hypervisor that it is done (step 12). */
function movePages(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  for (const slot of uv.esmScope === 'all' ? svm.slots : []) {
    const end = slot.first + slot.count;
    for (let gfn = Math.max(esm.next, slot.first) as Gfn; gfn < end; gfn++) {
      if (esm.asked.has(gfn)) continue;
      esm.next = gfn;
      return askForFrame(uv, port, svm, esm, gfn);
    }
  }
  esm.stage = 'done';
  return callHypervisor(uv, port, svm, esm.frame, HCALL.H_SVM_INIT_DONE, [], { kind: 'esm' });
}

/** What is measured must not overlap, nor lie under the tree, which the Ultravisor writes (10.2 #72). */
function requireApart(ranges: readonly (readonly [string, EsmRange])[]): void {
  for (const [i, [name, a]] of ranges.entries()) {
    for (const [other, b] of ranges.slice(i + 1)) {
      if (a.size > 0 && b.size > 0 && a.base < b.base + b.size && b.base < a.base + a.size) {
        throw new FdtError(`${name} and ${other} overlap`);
      }
    }
  }
}

function planOf({ plan }: Esm): TreePlan {
  if (plan === null) throw new Error('UV_ESM has no plan');
  return plan;
}
