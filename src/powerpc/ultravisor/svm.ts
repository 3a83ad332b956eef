import type { EsmDigests, EsmSealed } from '../../image/esm-format.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { Gfn, GuestPhysical, UCode } from '../abi.ts';
import type { TreePlan } from './esm-tree.ts';
import type { Frame } from './frame.ts';
import type { MmioAccess } from './mmio-decode.ts';
import type { PageCipher } from './page-cipher.ts';
import type { PageTable } from './page-table.ts';
import type { PartitionScopedTree } from './partition-scoped.ts';

/**
 * State of an SVM (3.18). From its record's beginning at UV_ESM it is
 * - ACTIVE until H_SVM_INIT_DONE has succeeded: "transient". Its vCPU waits in UV_ESM and nothing of it is secret;
 * - SECURE from then on: its partition table entry points to the Ultravisor's tree, its vCPUs run with S=1;
 * - ABORT after a failure in ACTIVE: the VM goes on as a normal one, the record waits for UV_SVM_TERMINATE;
 * - DEAD after a failure or an attack in SECURE: no vCPU ever runs again, the record waits for UV_SVM_TERMINATE.
 */
export type SvmState = 'ACTIVE' | 'SECURE' | 'ABORT' | 'DEAD';

/**
 * The keys under which pages of one SVM leave secure memory (8.2, 8.4). Invariant: no nonce is used twice
 * under the same keys; `counter` only grows.
 */
export interface PageKeys {
  readonly cipher: PageCipher;
  /** For data. */
  readonly k1: Uint8Array;
  /** For masks; empty with GCM. */
  readonly k2: Uint8Array;
  /** First bytes of every nonce. */
  readonly noncePrefix: Uint8Array;
  /** Last 8 bytes of the next nonce. */
  counter: bigint;
  /** Counts the keys that the SVM has had. */
  readonly generation: number;
}

/** A memory slot: a range of guest frames that the hypervisor registered (3.8). Slots of one SVM never overlap. */
export interface MemSlot {
  readonly id: number;
  readonly first: Gfn;
  /** Frames. */
  readonly count: number;
  readonly pages: PageTable;
}

/** A range of guest memory on its way into the Ultravisor's own memory. */
export interface Gathering {
  readonly base: GuestPhysical;
  readonly bytes: Uint8Array;
  /** How many of `bytes` are there, from the first on. */
  filled: number;
}

/** How far UV_ESM has come (6.1). */
export interface Esm {
  /** The guest's registers at UV_ESM. */
  readonly frame: Frame;
  readonly kernel: GuestPhysical;
  readonly tree: GuestPhysical;
  /**
   * `start` and `done` wait for H_SVM_INIT_START and _DONE; `tree` moves the device tree in, `share` shares the
   * reserved pages, `blob` reads what the tree tells of, `kernel` the kernel, whose size the blob tells; `pages` moves
   * the rest, if it is to come along; `finish` puts the last things in order once the VM is secure.
   */
  stage: 'start' | 'tree' | 'share' | 'blob' | 'kernel' | 'pages' | 'done' | 'finish';
  /** Frames that the hypervisor has been asked for. */
  readonly asked: Set<Gfn>;
  /** Frames that must not be paged out until the VM is secure. */
  readonly kept: Set<Gfn>;
  /** Frames that were read, with whether their contents came from the hypervisor then: they must not change any more. */
  readonly fixed: Map<Gfn, boolean>;
  /** The frame that was asked for last, and how often in a row. */
  asking: { readonly gfn: Gfn; readonly times: number } | null;
  /** In `pages` and `finish`: frames below this one are done. */
  next: Gfn;
  /** What is read in `tree`, `blob` and `kernel`, by what it is. */
  readonly gathered: Map<GatheredPart, Gathering>;
  /** Null until the device tree has been read. */
  plan: TreePlan | null;
  /** Null until the blob has been opened. */
  proof: EsmProof | null;
}

/** What a blob says, once this machine's key has opened it. */
export interface EsmProof {
  readonly digests: EsmDigests;
  /** The blob's key, under which its files are encrypted. Secret. */
  readonly key: Uint8Array;
  readonly files: ReadonlyMap<string, EsmSealed>;
  /** Bytes of the archive before the initrd proper: what the initrd's digest leaves out. */
  readonly archiveLength: number;
}

/** What UV_ESM reads of a VM. */
export type GatheredPart = 'header' | 'tree' | 'blob' | 'rtas' | 'initrd' | 'kernel';

/** The files of the blob that the SVM was started from (3.17). */
export interface EsmFiles {
  /** The blob's key. Secret. */
  readonly key: Uint8Array;
  readonly sealed: ReadonlyMap<string, EsmSealed>;
  /** By name, for those that somebody has begun to read: the reader's PID, and the least offset that is not read yet. */
  readonly readers: Map<string, { readonly pid: bigint; readonly next: number }>;
}

/** Pages that the Ultravisor took from the guest's memory to pass RTAS calls on (6.7). */
export interface RtasPages {
  /** Blocks of the Ultravisor's own calls. */
  readonly own: Gfn;
  /** Bounce buffers of the vCPUs' calls. */
  readonly buffers: Gfn;
  /** Which bounce buffers are in use. */
  readonly busy: boolean[];
  /** RTAS tokens of this VM by name, from its device tree. */
  readonly tokens: ReadonlyMap<string, number>;
}

/** A vCPU that was asked for by RTAS start-cpu and has not entered yet (6.7). */
export interface StartingCpu {
  readonly nia: bigint;
  readonly r3: bigint;
}

/** What goes on when the hypervisor answers by UV_RETURN. */
export type Continuation =
  | { readonly kind: 'hypercall'; readonly number: number; readonly out: number }
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'esm' }
  /** The guest executes the interrupted instruction again. */
  | { readonly kind: 'retry' }
  /** A page was to be paged out, or others were to run, to get a secure frame; then what needed it is tried again. */
  | { readonly kind: 'room'; readonly tries: number; readonly then: Continuation }
  /** A load or store outside of memory; HDAR and HDSISR of its fault. */
  | { readonly kind: 'mmio'; readonly access: MmioAccess; readonly effective: bigint; readonly cause: bigint }
  /** A page was to be paged out for another SVM. */
  | { readonly kind: 'donate' }
  | { readonly kind: 'share-from'; readonly gfns: readonly Gfn[]; readonly at: number }
  | {
      readonly kind: 'share';
      readonly gfns: readonly Gfn[];
      /** Index of the frame that the hypervisor was asked for. */
      readonly at: number;
      /** How often the frame was asked for to be paged in. */
      readonly tries: number;
    }
  | { readonly kind: 'undo-share'; readonly gfns: readonly Gfn[]; readonly at: number; readonly code: UCode }
  | { readonly kind: 'unshare'; readonly gfns: readonly Gfn[]; readonly at: number }
  | {
      readonly kind: 'rtas';
      /** The argument block in the guest. */
      readonly block: GuestPhysical;
      readonly nargs: number;
      readonly nret: number;
      /** Bounce buffer; null for stop-self, which has a block of its own. */
      readonly buffer: number | null;
      readonly startCookie: number | null;
      /** The machine check handler that ibm,nmi-register names. */
      readonly machineCheck: bigint | null;
      /** The guest's buffer, and the bounce buffer in its place. */
      readonly data: {
        readonly name: string;
        readonly gpa: GuestPhysical;
        readonly length: number;
        readonly buffer: number;
      } | null;
      /** The hypervisor's answer, once it has come and while it waits for the guest's page; with the result in R3. */
      readonly answer: { readonly words: readonly number[]; readonly data: Uint8Array; readonly r3: bigint } | null;
    };

/** The hypervisor has control on behalf of a vCPU of an SVM, and owes a UV_RETURN with the cookie (6.2). */
export interface Pending {
  /** The vCPU's registers. */
  readonly frame: Frame;
  /** PIDR when the hypervisor got control; it must not have changed at UV_RETURN. */
  readonly pidr: bigint;
  /** The hypercall that the hypervisor was entered with, for the trace; null for an interrupt. */
  readonly number: number | null;
  readonly then: Continuation;
  /** A secure frame that waits for the page that the hypervisor was asked for; null when it has come, or was not asked for. */
  incoming: { readonly gfn: Gfn; readonly frame: RealAddress } | null;
}

/** A secure VM. */
export interface Svm {
  readonly lpid: number;
  state: SvmState;
  /** In ascending order of guest frames. */
  readonly slots: MemSlot[];
  /** Ranges that were taken away while the SVM was secure: what the guest held there is lost, and they stay out of reach. */
  readonly lost: MemSlot[];
  /** Where the search for a page to page out goes on. */
  hand: Gfn;
  readonly tree: PartitionScopedTree;
  /** Dw0 of the partition table entry as the hypervisor wrote it while the VM was normal. */
  readonly normalPateDw0: bigint;
  /** Made at the first page-out. */
  keys: PageKeys | null;
  /** By cookie. */
  readonly pending: Map<number, Pending>;
  /** By the cookie that the hypervisor was told as the new vCPU's R3. */
  readonly starting: Map<number, StartingCpu>;
  /** Null once UV_ESM is over. */
  esm: Esm | null;
  /** Where it takes machine checks. */
  machineCheck: bigint;
  /** Null until the SVM is secure. */
  files: EsmFiles | null;
  /** Null until the pages are shared. */
  rtas: RtasPages | null;
  /** Its own fields of LPCR (`svm-lpcr.ts`), as it had them at UV_ESM and has set them by H_SET_MODE since. */
  lpcr: bigint;
}
