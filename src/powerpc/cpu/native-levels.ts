import type { RealMemory } from '../../machine/memory.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { Core, EntryCause } from './core.ts';
import type { Level } from './msr.ts';
import { type NativeLevel, type RegisterPort, STUB_BYTES, STUBS, type Stub } from './port.ts';
import { LevelPort, type PortPeers, STUB_PAGE_BYTES } from './register-port.ts';

/** What the machine clock is charged for one run of a native handler, whatever it does. */
export const NATIVE_INSTRUCTIONS = 100;

/** Native code at a privilege level. */
export interface NativeSeat {
  readonly level: NativeLevel;
  /**
   * Real address of the level's stubs: `STUB_PAGE_BYTES` of RAM that nothing else uses, aligned to 16; the Ultravisor's in secure memory. All CPUs of
   * a machine may share them.
   */
  readonly stubPage: RealAddress;
  /** Takes the place of `level.enter` where the level is the first to get control after power-on. */
  readonly boot?: (port: RegisterPort) => Stub;
}

interface Entry {
  readonly cause: EntryCause;
  readonly nia: bigint;
}

interface Seated {
  readonly seat: NativeSeat;
  readonly port: LevelPort;
}

/**
 * Native code at privilege levels (design, "Who executes what"): notes that a level gained control, runs its handler when the run loop
 * says so, and leaves the CPU at the stub through which the handler goes out.
 */
export class NativeLevels {
  readonly #core: Core;
  readonly #seats: { readonly hypervisor?: Seated; readonly ultravisor?: Seated };
  #entry: Entry | null = null;

  /** Writes the stubs into RAM. @throws RangeError if a stub page is no RAM, or lies where its level cannot or others can execute */
  constructor(
    core: Core,
    memory: RealMemory,
    seats: { readonly hypervisor?: NativeSeat; readonly ultravisor?: NativeSeat },
    peers: PortPeers,
  ) {
    this.#core = core;
    const seated = (seat: NativeSeat | undefined, secure: boolean): Seated | undefined => {
      if (seat === undefined) return undefined;
      writeStubs(memory, seat, secure);
      return { seat, port: new LevelPort(core, seat.stubPage, peers) };
    };
    this.#seats = { hypervisor: seated(seats.hypervisor, false), ultravisor: seated(seats.ultravisor, true) };
  }

  standsAt(level: Level): boolean {
    return this.#at(level) !== undefined;
  }

  /** Whether a native level has control and did not run yet. */
  get pending(): boolean {
    return this.#entry !== null;
  }

  /** The current level gained control. */
  enter(cause: EntryCause, nia: bigint): void {
    this.#entry = { cause, nia };
  }

  /** The CPU was put somewhere else. */
  forget(): void {
    this.#entry = null;
  }

  /** Runs the handler of the level in control, to completion. */
  run(): void {
    const entry = this.#entry;
    const seated = this.#at(this.#core.level);
    if (entry === null || seated === undefined) throw new Error('no native level has control');
    this.#entry = null;
    const { seat, port } = seated;
    this.#core.context.pc = port.during(() => {
      const { boot } = seat;
      const stub = entry.cause === 'boot' && boot !== undefined ? boot(port) : seat.level.enter(port, entry.nia);
      return port.stubPage + BigInt(STUBS[stub].offset);
    });
  }

  #at(level: Level): Seated | undefined {
    switch (level.privilege) {
      case 'hypervisor':
        return this.#seats.hypervisor;
      case 'ultravisor':
        return this.#seats.ultravisor;
      default:
        return undefined;
    }
  }
}

/** Writes a level's stubs, once for each byte order: the level executes them in the one that MSR[LE] then says. */
function writeStubs(memory: RealMemory, { stubPage }: NativeSeat, secure: boolean): void {
  const region = memory.find(stubPage, STUB_PAGE_BYTES);
  if (region === undefined || region.secure !== secure || stubPage % 16 !== 0) {
    throw new RangeError(`no stub page can be at real address 0x${stubPage.toString(16)}`);
  }
  const host = region.host + (stubPage - region.base);
  for (const { offset, word } of Object.values(STUBS)) {
    memory.store.view.setUint32(host + offset, word, false);
    memory.store.view.setUint32(host + STUB_BYTES + offset, word, true);
  }
  memory.store.written(host, STUB_PAGE_BYTES);
}
