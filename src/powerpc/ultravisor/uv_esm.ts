import { FdtError, fdtTotalSize } from '../../image/fdt.ts';
import {
  codeToRegister,
  type Gfn,
  type GuestPhysical,
  gfnOf,
  gpaOf,
  guestPhysical,
  H_PAGE_IN_SHARED,
  HCALL,
  MSR,
  registerToCode,
  SPR,
  U_CODE,
  UV_PAGE_ORDER,
  VECTOR,
} from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { isSecureGuest, type Outcome, type UvContext } from './context.ts';
import { MAX_TREE_BYTES, planTree } from './esm-tree.ts';
import { type Interrupted, saveFrame } from './frame.ts';
import { resumeGuest } from './guest-entry.ts';
import { readGuest, writeGuest } from './guest-memory.ts';
import { callHypervisor } from './hypervisor-entry.ts';
import { abortEsm, killSvm, setSvmState, traceSvmState } from './kill.ts';
import { pageAt, setPage, slotOf } from './pages.ts';
import { createTree, treePateDw0 } from './partition-scoped.ts';
import { readPate, writePate } from './partition-table.ts';
import { RTAS_BUFFERS } from './rtas.ts';
import { askForPage, makeRoom, takeFrame } from './secure-frames.ts';
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
 * H_SVM_INIT_ABORT. All memory of all slots moves in with its contents (seed 001), the device tree first; two pages of
 * it become the Ultravisor's, for RTAS.
 *
 * Nothing is verified: the ESM blob and its digests are not looked at, so an SVM is what the hypervisor loaded,
 * protected from then on.
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
    next: 0 as Gfn,
    plan: null,
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
    return abortEsm(uv, port, svm, `the hypervisor answered ${registerToCode(result)} in stage ${esm.stage}`);
  }
  switch (esm.stage) {
    case 'start':
      esm.stage = 'tree';
      return moveTree(uv, port, svm, esm);
    case 'tree':
      return moveTree(uv, port, svm, esm);
    case 'share':
      return sharePages(uv, port, svm, esm);
    case 'pages':
      return movePages(uv, port, svm, esm);
    case 'done':
      return enterSvm(uv, port, svm, esm);
  }
}

/** Steps 6 and 7: moves the device tree in, page by page, and reads it once. */
function moveTree(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  const missingHeader = firstNotAsked(esm, TREE_SIZE_FIELD_END);
  if (missingHeader !== undefined) return ask(uv, port, svm, esm, missingHeader, 0n);
  const header = readGuest(uv, svm, esm.tree, TREE_SIZE_FIELD_END);
  if ('fault' in header) return abortEsm(uv, port, svm, 'the device tree cannot be read');
  try {
    const size = fdtTotalSize(header);
    if (size > MAX_TREE_BYTES) return abortEsm(uv, port, svm, `a device tree of ${size} bytes`);
    const missing = firstNotAsked(esm, size);
    if (missing !== undefined) return ask(uv, port, svm, esm, missing, 0n);
    const bytes = readGuest(uv, svm, esm.tree, size);
    if ('fault' in bytes) return abortEsm(uv, port, svm, 'the device tree cannot be read');
    esm.plan = planTree(bytes, BigInt(esm.kernel), BigInt(esm.tree), (gfn) => slotOf(svm, gfn) !== undefined);
  } catch (error) {
    if (error instanceof FdtError) return abortEsm(uv, port, svm, error.message);
    throw error;
  }
  esm.stage = 'share';
  return sharePages(uv, port, svm, esm);
}

/** Step 8: shares the pages that the plan reserved, and when they are all there makes them the Ultravisor's. */
function sharePages(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  if (esm.plan === null) throw new Error('UV_ESM shares pages without a plan');
  const { reserved, tokens } = esm.plan;
  for (const gfn of reserved) {
    const page = pageAt(svm, gfn);
    if (page?.state === 'HV_SHARED' || page?.state === 'HV_SHARED_INV') continue;
    if (page?.state !== 'SECURE' || esm.asked.has(gfn)) return abortEsm(uv, port, svm, 'a page was not shared');
    setPage(uv, port, svm, gfn, { state: 'HV_SHARING', frame: page.frame });
    return ask(uv, port, svm, esm, gfn, H_PAGE_IN_SHARED);
  }
  for (const gfn of reserved) commitShare(uv, port, svm, gfn, 'SHARED_IMPLICIT');
  const busy = new Array<boolean>(RTAS_BUFFERS).fill(false);
  svm.rtas = { own: reserved[0], buffers: reserved[1], busy, tokens };
  esm.stage = 'pages';
  return movePages(uv, port, svm, esm);
}

/** Moves everything else in, then tells the hypervisor that it is done (step 12). */
function movePages(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  for (const slot of svm.slots) {
    const end = slot.first + slot.count;
    for (let gfn = Math.max(esm.next, slot.first) as Gfn; gfn < end; gfn++) {
      if (esm.asked.has(gfn)) continue;
      esm.next = gfn;
      return ask(uv, port, svm, esm, gfn, 0n);
    }
  }
  esm.stage = 'done';
  return callHypervisor(uv, port, svm, esm.frame, HCALL.H_SVM_INIT_DONE, [], { kind: 'esm' });
}

/** Steps 14 to 16: the VM is secure; nothing can be aborted any more, what fails now kills it (10.2 #50). */
function enterSvm(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm): 'left' {
  if (esm.plan === null) throw new Error('UV_ESM is done without a plan');
  const { frame } = esm;
  writePate(uv, port, svm.lpid, { dw0: treePateDw0(svm.tree), dw1: readPate(uv, svm.lpid).dw1 });
  setSvmState(uv, port, svm, 'SECURE');
  svm.esm = null;
  if (writeGuest(uv, port, svm, esm.tree, esm.plan.newTree) !== null) {
    return killSvm(uv, port, svm, frame, 'its device tree was taken out again');
  }
  frame.nia = BigInt(esm.kernel);
  frame.msr = (frame.msr & ~(MSR.EE | MSR.HV)) | MSR.S;
  frame.gprs[3] = BigInt(esm.tree);
  frame.gprs[4] = BigInt(esm.kernel);
  frame.gprs[5] = 0n;
  return resumeGuest(uv, port, svm, frame);
}

/** The first frame of the device tree's first `length` bytes that the hypervisor was not asked for. */
function firstNotAsked({ tree, asked }: Esm, length: number): Gfn | undefined {
  const last = gfnOf((tree + length - 1) as GuestPhysical);
  for (let gfn = gfnOf(tree); gfn <= last; gfn++) {
    if (!asked.has(gfn)) return gfn;
  }
  return undefined;
}

/**
 * H_SVM_PAGE_IN for a frame, which must be in a slot. If secure memory is used up a page of the VM goes out first, and the stage begins anew
 * without having asked.
 */
function ask(uv: UvContext, port: RegisterPort, svm: Svm, esm: Esm, gfn: Gfn, flags: bigint): 'left' {
  if (slotOf(svm, gfn) === undefined) return abortEsm(uv, port, svm, `guest frame ${gfn} is in no slot`);
  if (flags !== 0n) {
    esm.asked.add(gfn);
    const args = [BigInt(gpaOf(gfn)), flags, BigInt(UV_PAGE_ORDER)];
    return callHypervisor(uv, port, svm, esm.frame, HCALL.H_SVM_PAGE_IN, args, { kind: 'esm' });
  }
  const incoming = takeFrame(uv, svm);
  if (incoming === undefined) return makeRoom(uv, port, svm, esm.frame, { kind: 'esm' });
  esm.asked.add(gfn);
  if (esm.stage === 'tree') esm.kept.add(gfn);
  return askForPage(uv, port, svm, esm.frame, gfn, { kind: 'esm' }, incoming);
}
