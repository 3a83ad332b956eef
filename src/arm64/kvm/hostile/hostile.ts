import type { HostView } from '../../../machine/host-view.ts';
import type { RealAddress } from '../../../machine/types.ts';
import { EC, ESR, EXIT_CODE, type HypercallName, ipaOfHpfar } from '../../abi.ts';
import type { Ctx, KvmHooks } from '../state.ts';
import type { Vcpu, Vm } from '../vm.ts';
import type { Attack, Moves } from './attack.ts';
import { Toolbox } from './toolbox.ts';

/** The console's data register (PL011 at `virt`'s place), in guest physical addresses. */
const CONSOLE = 0x0900_0000;
const NEWLINE = 0x0an;

/** A hostile host: KVM with the moves of one attack. */
export class Hostile implements KvmHooks {
  readonly toolbox: Toolbox;
  readonly #moves: Moves;
  #lines = 0;
  /** The line that the exit at hand ended. */
  #ended: number | undefined;

  /** As `Toolbox`. */
  constructor(attack: Attack, device: HostView, targets: readonly [number, number] | null) {
    this.toolbox = new Toolbox(device, targets);
    this.#moves = attack.begin(this.toolbox);
  }

  exited(ctx: Ctx, vcpu: Vcpu, code: number): void {
    this.toolbox.at(ctx);
    if (vcpu.vm !== this.toolbox.victim) return;
    this.#moves.exited?.(vcpu, code);
    if (!endsLine(vcpu, code)) return;
    this.#lines += 1;
    this.#ended = this.#lines;
    this.#moves.line?.(this.#lines);
  }

  entering(ctx: Ctx, vcpu: Vcpu): void {
    this.toolbox.at(ctx);
    if (vcpu.vm !== this.toolbox.victim) return;
    const line = this.#ended;
    this.#ended = undefined;
    this.#moves.entering?.(line, vcpu);
  }

  pageFor(ctx: Ctx, vcpu: Vcpu, gfn: number, page: RealAddress): RealAddress | null {
    this.toolbox.at(ctx);
    if (this.#moves.pageFor === undefined) return page;
    return this.#moves.pageFor(gfn, page, vcpu);
  }

  answered(ctx: Ctx, name: HypercallName, args: readonly (number | bigint)[], result: number): void {
    this.toolbox.at(ctx);
    this.#moves.answered?.(name, args, result);
  }

  randoms(ctx: Ctx, vcpu: Vcpu, values: readonly bigint[]): void {
    this.toolbox.at(ctx);
    if (vcpu.vm === this.toolbox.victim) this.#moves.randoms?.(values);
  }

  destroyed(ctx: Ctx, vm: Vm): void {
    this.toolbox.at(ctx);
    if (vm === this.toolbox.victim) this.#moves.destroyed?.(vm);
  }
}

/** Whether the exit is the console's end of a line: a store of it, which the host has to carry out. */
function endsLine({ vm, struct }: Vcpu, code: number): boolean {
  if (code !== EXIT_CODE.trap) return false;
  const esr = struct.state('esr');
  const store = Number(esr >> ESR.ecShift) === EC.dataAbortLower && (esr & (ESR.WnR | ESR.ISV)) === (ESR.WnR | ESR.ISV);
  if (!store || ipaOfHpfar(struct.state('hpfar')) + Number(struct.state('far') & 0xfffn) !== CONSOLE) return false;
  const register = Number((esr >> ESR.srtShift) & 31n);
  const value = vm.isolated ? struct.x(0) : register === 31 ? 0n : struct.x(register);
  return (value & 0xffn) === NEWLINE;
}
