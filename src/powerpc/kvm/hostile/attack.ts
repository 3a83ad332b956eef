import type { RealAddress } from '../../../machine/types.ts';
import type { Gfn } from '../../abi.ts';
import type { ExitJob } from '../job.ts';
import type { EntryStub } from '../state.ts';
import type { Vm } from '../vm.ts';
import type { Toolbox } from './toolbox.ts';

/**
 * The line of console output, counted from 1 in the victim's present state, at which an attack begins. Before it a guest has had time to become
 * secure, and to make what is worth attacking.
 */
export const FIRST_LINE = 3;

/** What an attack does at the moments of `KvmHooks` that concern its victim. */
export interface Moves {
  /** The victim is loaded and has not run. */
  booted?(): void;
  /** The victim has ended its `n`-th line of console output. The registers are those of the exit. */
  line?(n: number): void;
  /** The victim has stopped; this comes before `line`. */
  exited?(exit: ExitJob): void;
  /** The victim is about to go on. `line` is n where the exit ended the n-th line. */
  entering?(line: number | undefined, stub: EntryStub): void;
  /** An ultracall of KVM's is about to be made. @returns its arguments from R4 up */
  ultracall?(number: number, args: readonly (bigint | number)[]): readonly (bigint | number)[];
  /** One of the attack's own ultracalls came back. */
  answered?(number: number, result: number): void;
  /** A frame that has contents gets a page. @returns the page that it gets */
  pageIn?(gfn: Gfn, page: RealAddress, vm: Vm): RealAddress;
  /** A frame has left the victim for this page: as it is from a normal VM, as ciphertext from a secure one. */
  pagedOut?(gfn: Gfn, page: RealAddress, vm: Vm): void;
}

/** One way to attack a guest. */
export interface Attack {
  readonly name: string;
  /** What it does, in a few words. */
  readonly summary: string;
  /** It needs a second guest beside the victim. */
  readonly accomplice?: boolean;
  /** Begins on one machine. `hv` is all that it has. */
  begin(hv: Toolbox): Moves;
}
