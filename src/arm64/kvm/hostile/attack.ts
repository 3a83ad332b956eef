import type { RealAddress } from '../../../machine/types.ts';
import type { HypercallName } from '../../abi.ts';
import type { Vcpu, Vm } from '../vm.ts';
import type { Toolbox } from './toolbox.ts';

/** The line of console output, counted from 1, at which an attack begins. Before it a guest has had time to make what is worth attacking. */
export const FIRST_LINE = 3;

/** What an attack does at the moments of `KvmHooks` that concern its victim. */
export interface Moves {
  /** The victim has ended its `n`-th line of console output, and nothing of that is handled yet. */
  line?(n: number): void;
  /** The victim has left; this comes before `line`. */
  exited?(vcpu: Vcpu, code: number): void;
  /** The victim is about to go on. `line` is n where the exit ended the n-th line. */
  entering?(line: number | undefined, vcpu: Vcpu): void;
  /** A frame of a guest's gets a page. @returns the page that it gets; null to withhold it */
  pageFor?(gfn: number, page: RealAddress, vcpu: Vcpu): RealAddress | null;
  /** One of the attack's own hypercalls came back. */
  answered?(name: HypercallName, args: readonly (number | bigint)[], result: number): void;
  /** Firmware's random numbers pass through the host on their way to the victim. */
  randoms?(values: readonly bigint[]): void;
  /** The victim was taken down. */
  destroyed?(vm: Vm): void;
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
