import type { TraceSink } from '../../trace/events.ts';
import { ESR, guestCallName, HOST_CALL, type HypercallName, ipaOfHpfar } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { PkvmEvents } from './pkvm.ts';

/** Registers that a call's arguments are in, at most. */
const ARGUMENTS = 4;

/** What the hyp tells of a run: the host's calls and those of protected guests, VMs and their pages, and accesses that it refused. */
export class HypTrace {
  readonly #sink: TraceSink | null;
  readonly #port: () => RegisterPort | null;
  /** The host's call that each PE is in. */
  readonly #calls = new Map<number, number>();

  /** @param port the PE that the hyp has */
  constructor(sink: TraceSink | null, port: () => RegisterPort | null) {
    this.#sink = sink;
    this.#port = port;
  }

  get #stamp(): { readonly at: bigint; readonly cpu: number } {
    const port = this.#port();
    return { at: port?.clock ?? 0n, cpu: port?.cpu ?? -1 };
  }

  hostCall(port: RegisterPort, x0: bigint, name: HypercallName | null): void {
    if (this.#sink === null) return;
    const number = Number(x0 & 0xffffn);
    this.#calls.set(port.cpu, number);
    const args = Array.from({ length: ARGUMENTS }, (_, n) => port.x(n + 1));
    const text = name ?? `0x${(x0 & ~HOST_CALL.hint).toString(16)}`;
    this.#sink.emit({ type: 'call', ...this.#stamp, kind: 'ultracall', number, name: text, args, from: 'EL1' });
  }

  hostReturn(port: RegisterPort, result: bigint | number): void {
    const number = this.#calls.get(port.cpu) ?? 0;
    const value = BigInt.asUintN(64, BigInt(result));
    this.#sink?.emit({ type: 'call-return', ...this.#stamp, kind: 'ultracall', number, result: value });
  }

  /** @param result null where the hyp is not the one who answers */
  guestCall(x0: bigint, args: readonly bigint[], result: bigint | null): void {
    if (this.#sink === null) return;
    const number = Number(x0 & 0xffffffffn);
    const name = guestCallName(number);
    this.#sink.emit({ type: 'call', ...this.#stamp, kind: 'hypercall', number, name, args, from: 'EL1' });
    if (result !== null) this.#sink.emit({ type: 'call-return', ...this.#stamp, kind: 'hypercall', number, result });
  }

  /** The host answered an exit in a way that this exit has no room for. */
  ignored(handle: number): void {
    const text = `an answer of the host's to VM 0x${handle.toString(16)} is ignored`;
    this.#sink?.emit({ type: 'note', ...this.#stamp, text });
  }

  /** The host touched what is not its own. */
  hostAbort(port: RegisterPort): void {
    const esr = port.register('ESR_EL2');
    const page = BigInt(ipaOfHpfar(port.register('HPFAR_EL2')));
    this.#sink?.emit({
      type: 'refused-access',
      ...this.#stamp,
      agent: 'hypervisor',
      address: page | (port.register('FAR_EL2') & 0xfffn),
      size: (esr & ESR.ISV) === 0n ? 1 : 1 << Number((esr >> ESR.sasShift) & 3n),
      write: (esr & ESR.WnR) !== 0n,
    });
  }

  readonly events: PkvmEvents = {
    page: ({ handle }, ipa, from, to) =>
      this.#sink?.emit({ type: 'page-state', ...this.#stamp, vm: handle, gfn: BigInt(ipa) >> 12n, from, to }),
    vm: (handle, from, to) => this.#sink?.emit({ type: 'vm-state', ...this.#stamp, vm: handle, from, to }),
  };
}
