import type { HostView } from '../../../machine/host-view.ts';
import type { RealAddress } from '../../../machine/types.ts';
import { type Gfn, HCALL, ULTRACALL, VECTOR } from '../../abi.ts';
import type { MemoryRange } from '../host-pages.ts';
import type { ExitJob } from '../job.ts';
import type { Ctx, EntryStub, KvmHooks } from '../state.ts';
import { endVm, type Vm } from '../vm.ts';
import type { Attack, Moves } from './attack.ts';
import { Toolbox } from './toolbox.ts';

/** How often the same page may be refused before the hypervisor gives its VM up. */
const MOST_REFUSALS = 6;
const CONSOLE_BYTES = 16;
const NEWLINE = 0x0a;

/** A hostile hypervisor: KVM with the moves of one attack. */
export class Hostile implements KvmHooks {
  readonly toolbox: Toolbox;
  readonly #attack: Attack;
  readonly #moves: Moves;
  #lines = 0;
  #secureLines = false;
  /** The line that the exit at hand ended. */
  #ended: number | undefined;
  /** The last page that was asked for, and how often in a row. */
  #asked: { readonly vm: Vm | null; readonly gfn: number; readonly count: number } = { vm: null, gfn: 0, count: 0 };

  /**
   * @param device memory with the rights of a device
   * @param secure secure memory, as the device tree tells of it; null where there is none
   */
  constructor(attack: Attack, device: HostView, secure: MemoryRange | null) {
    const pagedOut = (gfn: Gfn, page: RealAddress, vm: Vm): void => this.#moves.pagedOut?.(gfn, page, vm);
    this.toolbox = new Toolbox({ device, secure, pagedOut });
    this.#attack = attack;
    this.#moves = attack.begin(this.toolbox);
  }

  booted(ctx: Ctx): void {
    this.toolbox.at(ctx);
    if (ctx.port.cpu === 0) this.#moves.booted?.();
  }

  exited(ctx: Ctx, exit: ExitJob): void {
    this.toolbox.at(ctx);
    if (exit.info.lpid !== this.toolbox.victim.lpid) return;
    this.#moves.exited?.(exit);
    const lines = endsOfLines(ctx, exit);
    if (lines === 0) return;
    if (exit.info.secure !== this.#secureLines) this.#lines = 0;
    this.#secureLines = exit.info.secure;
    for (let i = 0; i < lines; i++) {
      this.#lines += 1;
      this.#ended = this.#lines;
      this.#moves.line?.(this.#lines);
    }
  }

  entering(ctx: Ctx, vm: Vm, stub: EntryStub): void {
    this.toolbox.at(ctx);
    if (vm !== this.toolbox.victim) return;
    const line = this.#ended;
    this.#ended = undefined;
    this.#moves.entering?.(line, stub);
  }

  ultracall(ctx: Ctx, number: number, args: readonly (bigint | number)[]): readonly (bigint | number)[] {
    this.toolbox.at(ctx);
    // All but UV_RETURN begin with the LPID that they are for.
    if (number !== ULTRACALL.UV_RETURN && Number(args[0]) !== this.toolbox.victim.lpid) return args;
    return this.#moves.ultracall?.(number, args) ?? args;
  }

  answered(ctx: Ctx, number: number, result: number): void {
    this.toolbox.at(ctx);
    this.#moves.answered?.(number, result);
  }

  pageIn(ctx: Ctx, vm: Vm, gfn: Gfn, page: RealAddress): RealAddress {
    this.toolbox.at(ctx);
    if (!this.#concerns(vm)) return page;
    if (this.toolbox.isSecure(vm)) this.#noticeRefusal(vm, gfn);
    return this.#moves.pageIn?.(gfn, page, vm) ?? page;
  }

  pagedOut(ctx: Ctx, vm: Vm, gfn: Gfn, page: RealAddress): void {
    this.toolbox.at(ctx);
    if (this.#concerns(vm)) this.#moves.pagedOut?.(gfn, page, vm);
  }

  /** Only the first VM is attacked; pages of the second are of use to an attack that says so. */
  #concerns(vm: Vm): boolean {
    return vm === this.toolbox.victim || (this.#attack.accomplice === true && vm === this.toolbox.accomplice);
  }

  /** A guest whose page is never taken back would fault for ever: sooner or later any hypervisor ends it. */
  #noticeRefusal(vm: Vm, gfn: Gfn): void {
    const again = this.#asked.vm === vm && this.#asked.gfn === gfn;
    this.#asked = { vm, gfn, count: again ? this.#asked.count + 1 : 1 };
    if (this.#asked.count > MOST_REFUSALS) {
      endVm(vm, { kind: 'terminated', detail: 'the hypervisor gives it up: a page is not taken back' });
    }
  }
}

/** How many lines the exit ends: what H_PUT_TERM_CHAR shows in its registers. */
function endsOfLines({ port }: Ctx, { info: { vector } }: ExitJob): number {
  if (vector !== VECTOR.SYSTEM_CALL || port.gpr(3) !== BigInt(HCALL.H_PUT_TERM_CHAR)) return 0;
  const bytes = new Uint8Array(CONSOLE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, port.gpr(6));
  view.setBigUint64(8, port.gpr(7));
  return bytes.subarray(0, Number(port.gpr(5))).filter((byte) => byte === NEWLINE).length;
}
