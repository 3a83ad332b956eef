import type { RealAddress } from '../../machine/types.ts';
import type { STUBS } from '../cpu/port.ts';
import type { Memslot, SlotSpec } from './memslot.ts';
import type { GuestContext } from './vm.ts';

/**
 * What the hypervisor is in the middle of, as plain data. A CPU has a stack of jobs. The top one runs until it takes a `Step`; one that
 * waits for an ultracall, or for a job that it pushed, is run again with the result. So nothing ever waits inside a call.
 */
export type Job =
  | ExitJob
  | UvReturnJob
  | WritePateJob
  | DestroyJob
  | SvmOffJob
  | VmResetJob
  | SlotCreateJob
  | SlotDeleteJob
  | PageOutJob
  | PageInvalJob
  | SharedFaultJob
  | InitStartJob
  | InitDoneJob
  | InitAbortJob
  | PageInJob
  | SharePageJob
  | UltracallsJob;

interface JobRecord {
  /** What the job gave, once it is done. */
  result?: number;
}

/** A guest stopped and the hypervisor has the CPU. */
export interface ExitJob extends JobRecord {
  readonly kind: 'exit';
  /**
   * `dispatch`: nothing done yet. `hypercall`: a job's result is the hypercall's. `retry`: dispatch again, now that a page was paged out.
   * `fault`: a job's failure ends the VM. `resume`: the exit is handled.
   */
  step: 'dispatch' | 'hypercall' | 'retry' | 'fault' | 'resume';
  readonly info: ExitInfo;
  readonly context: GuestContext;
  /** An upcall of the Ultravisor in the middle of an ultracall of ours: goes back to it and to nobody else. */
  readonly nested: boolean;
  /** Another vCPU of this CPU is to run next, if there is one. */
  yields: boolean;
}

/** What the CPU says about an exit, read once at entry. */
export interface ExitInfo {
  /** The vector; undefined when the CPU comes back from `stop`. */
  readonly vector: bigint | undefined;
  /** The VM that exited; 0 if the CPU was idle. */
  readonly lpid: number;
  /** SRR1[S]: it was the Ultravisor that handed over. */
  readonly secure: boolean;
  /** SRR1 or HSRR1 in full. */
  readonly status: bigint;
  readonly hdar: bigint;
  readonly hdsisr: bigint;
  readonly asdr: bigint;
}

/** UV_RETURN was issued; it comes back only if it failed. */
export interface UvReturnJob extends JobRecord {
  readonly kind: 'uv-return';
  readonly lpid: number;
}

/** Writes the partition table entry of a VM; gives the return code of UV_WRITE_PATE, 0 without an Ultravisor. */
export interface WritePateJob extends JobRecord {
  readonly kind: 'write-pate';
  readonly lpid: number;
  /** Dw1 of the entry, which the VM keeps if it is written; null: the VM goes away and its entry becomes zeros. */
  readonly processTable: bigint | null;
  waiting: boolean;
}

/** Takes down a VM that has ended. */
export interface DestroyJob extends JobRecord {
  readonly kind: 'destroy';
  readonly lpid: number;
  step: 'terminate' | 'clear-pate' | 'free';
}

/** KVM_PPC_SVM_OFF: makes a secure or transient VM normal again (power-pef.md 5.6). Gives 0 or a negative errno. */
export interface SvmOffJob extends JobRecord {
  readonly kind: 'svm-off';
  readonly lpid: number;
  step: 'start' | 'slots' | 'terminate' | 'done';
  slot: number;
}

/** Has a VM begin anew, of which no vCPU goes on (power-pef.md 5.6). */
export interface VmResetJob extends JobRecord {
  readonly kind: 'vm-reset';
  readonly lpid: number;
  step: 'start' | 'pate' | 'load';
}

/** KVM_SET_USER_MEMORY_REGION with a new slot (power-pef.md 5.5). Gives 0 or a negative errno. */
export interface SlotCreateJob extends JobRecord {
  readonly kind: 'slot-create';
  readonly lpid: number;
  readonly spec: SlotSpec;
  /** The slot while UV_REGISTER_MEM_SLOT is under way. */
  slot: Memslot | null;
}

/** KVM_SET_USER_MEMORY_REGION that takes a slot away. Gives 0 or a negative errno. */
export interface SlotDeleteJob extends JobRecord {
  readonly kind: 'slot-delete';
  readonly lpid: number;
  readonly id: number;
}

/** Moves one paged-in secure frame to a normal page, as ciphertext; gives an H_CODE. */
export interface PageOutJob extends JobRecord {
  readonly kind: 'page-out';
  readonly lpid: number;
  readonly gfn: number;
  /** The normal page while UV_PAGE_OUT is under way. */
  page: RealAddress | null;
}

/** Moves a shared frame to another normal page, of which the Ultravisor is told by UV_PAGE_INVAL; gives a U_CODE. */
export interface PageInvalJob extends JobRecord {
  readonly kind: 'page-inval';
  readonly lpid: number;
  readonly gfn: number;
  waiting: boolean;
}

/** 0xE00 of a shared frame that was invalidated: gives the Ultravisor the page again (power-pef.md 5.4); gives an H_CODE. */
export interface SharedFaultJob extends JobRecord {
  readonly kind: 'shared-fault';
  readonly lpid: number;
  readonly gfn: number;
  /** The page while UV_PAGE_IN is under way. */
  page: RealAddress | null;
}

/** H_SVM_INIT_START; gives an H_CODE. */
export interface InitStartJob extends JobRecord {
  readonly kind: 'init-start';
  readonly lpid: number;
  step: 'start' | 'quiesce' | 'register' | 'undo';
  /** The slot that is being registered or unregistered. */
  slot: number;
}

/** H_SVM_INIT_DONE; gives an H_CODE. */
export interface InitDoneJob extends JobRecord {
  readonly kind: 'init-done';
  readonly lpid: number;
}

/** H_SVM_INIT_ABORT; gives an H_CODE. */
export interface InitAbortJob extends JobRecord {
  readonly kind: 'init-abort';
  readonly lpid: number;
  /**
   * First all that is paged in goes `out`. Then what was out before comes `in`, for which there is room by then, and goes out `again`: what
   * comes out of an aborted SVM is in plain.
   */
  step: 'start' | 'out' | 'in' | 'again' | 'terminate';
  /** The frame at hand. */
  slot: number;
  index: number;
  /** Its normal page while an ultracall is under way. */
  page: RealAddress | null;
}

/** H_SVM_PAGE_IN without H_PAGE_IN_SHARED: moves a frame to secure memory; gives an H_CODE. */
export interface PageInJob extends JobRecord {
  readonly kind: 'page-in';
  readonly lpid: number;
  readonly gfn: number;
  /** The secure-PFN while UV_PAGE_IN is under way. */
  uvmem: number | null;
}

/** H_SVM_PAGE_IN with H_PAGE_IN_SHARED; gives an H_CODE. */
export interface SharePageJob extends JobRecord {
  readonly kind: 'share-page';
  readonly lpid: number;
  readonly gfn: number;
  /** The normal page while UV_PAGE_IN is under way, and whether it was made for this. */
  page: RealAddress | null;
  fresh: boolean;
}

/** Ultracalls that a hostile hypervisor makes of its own accord, one after the other whatever comes of them; gives 0. */
export interface UltracallsJob extends JobRecord {
  readonly kind: 'ultracalls';
  readonly lpid: number;
  readonly calls: readonly { readonly number: number; readonly args: readonly (bigint | number)[] }[];
  /** How many were made. */
  made: number;
}

/** What a job does next. */
export type Step =
  /** Leaves through `sc 2`; the job runs again with R3, as a signed number. */
  | { readonly do: 'ultracall'; readonly number: number; readonly args: readonly (bigint | number)[] }
  /** Runs another job first; this one runs again with what that gives. */
  | { readonly do: 'job'; readonly job: Job }
  /** Is done; `value` goes to the job below. */
  | { readonly do: 'give'; readonly value: number }
  /** Stops until another CPU looks at something; the job runs again. Registers stay as they are. */
  | { readonly do: 'wait' }
  /** Leaves the hypervisor. What is below on the stack stays. */
  | { readonly do: 'leave'; readonly stub: keyof typeof STUBS; readonly waitFor: UvReturnJob | null };
