/** What an access does. */
export type AccessKind = 'load' | 'store' | 'fetch';

/** Result of a successful translation, filled by the architecture. */
export interface Translation {
  /** Host address of the byte that was asked for. */
  host: number;
  /** Whether a store to the same page would be allowed too, with nothing left to record (such as a change bit). */
  writable: boolean;
  /** Whether the whole 4 KiB page is mapped alike, so that the result may be kept. */
  cacheable: boolean;
}

/**
 * What the engine asks of an architecture's CPU model. The context's `pc` is the address of the instruction at hand, and the budget counts it, in every
 * call. Registers are exact too, except in `translate`: translated code keeps them in locals until it is left.
 *
 * Addresses come as two 32-bit halves, because a bigint for each access would cost more than the walk.
 */
export interface CpuModel {
  /**
   * Translates an effective address and checks protection, as hardware does on a TLB miss. Every access of the machine code passes here or
   * hits a TLB entry that was made here. A fetch may come with an address that no instruction can have: a jump went there, and the model must fault it.
   * @param space address space the access names; 0 is the current one
   * @param size bytes of the access within this page
   * @returns false where the access faults; the model remembers the fault until `deliverFault`
   */
  translate(high: number, low: number, access: AccessKind, space: number, size: number, result: Translation): boolean;
  /**
   * Says where a fetch at the address would find its bytes, for looking at code ahead of its execution: nothing changes, no reference bit and not the
   * fault that `translate` reported.
   * @returns false where the fetch would fault, or would have something to record
   */
  probe(high: number, low: number, result: Translation): boolean;
  /** Delivers the fault that the last `translate` reported: changes state to where the architecture goes on. */
  deliverFault(): void;
  /** An instruction trapped by `Semantics.trap`. The context's pc is at the instruction. */
  trap(cause: number, argument: number): void;
  /** The bytes at pc are no instruction. `head` and `tail` are they. */
  undefinedInstruction(head: number, tail: number): void;
  /**
   * Does the work of `Semantics.helper`. The context's pc is at the instruction.
   * @returns true to go on behind the instruction, false if the context's pc says where (a jump, a mode change, a trap)
   */
  helper(helper: number, a: number, b: number): boolean;
}
