import type { RealMemory } from '../../machine/memory.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { Core, EntryCause } from './core.ts';
import { type NativeLevel, type RegisterPort, STUB_BYTES, STUBS, type Stub } from './port.ts';
import type { RegisterParts } from './register-access.ts';
import { LevelPort } from './register-port.ts';

/** What the machine clock is charged for one run of a native handler, whatever it does. */
export const NATIVE_INSTRUCTIONS = 100;

/** Native code at an exception level. */
export interface NativeSeat {
  readonly level: NativeLevel;
  /** Physical address of the level's stubs: `STUB_BYTES` of RAM that the level can execute and nothing else uses, aligned to 16. */
  readonly stubPage: RealAddress;
  /** Takes the place of `level.enter` where the level is the first to get control after power-on. */
  readonly boot?: (port: RegisterPort) => Stub;
}

/** Whose software stands where: hyp at EL2, and the host at EL1 of VMID 0. */
export interface NativeSeats {
  readonly hyp?: NativeSeat;
  readonly host?: NativeSeat;
}

interface Seated {
  readonly seat: NativeSeat;
  readonly port: LevelPort;
}

/** VMID of the host (arm64-pkvm.md 1.1). */
const HOST_VMID = 0;

/**
 * Native code at exception levels (design, "Who executes what"): notes that a level gained control, runs its handler when the run loop says so, and
 * leaves the PE at the stub through which the handler goes out.
 */
export class NativeLevels {
  readonly #core: Core;
  readonly #hyp: Seated | undefined;
  readonly #host: Seated | undefined;
  #entry: { readonly cause: EntryCause; readonly pc: bigint } | null = null;

  /** Writes the stubs into RAM. @throws RangeError if a stub page is no RAM */
  constructor(core: Core, memory: RealMemory, seats: NativeSeats, parts: RegisterParts, invalidate: () => void) {
    this.#core = core;
    const seated = (seat: NativeSeat | undefined): Seated | undefined => {
      if (seat === undefined) return undefined;
      writeStubs(memory, seat);
      return { seat, port: new LevelPort(core, parts, seat.stubPage, invalidate) };
    };
    this.#hyp = seated(seats.hyp);
    this.#host = seated(seats.host);
  }

  /** Whether native code stands where control is now. */
  get here(): boolean {
    return this.#seated !== undefined;
  }

  /** Whether a native level has control and did not run yet. */
  get pending(): boolean {
    return this.#entry !== null;
  }

  /** The current level gained control. A return to a stub is none: its instruction could not be fetched, and is executed now. */
  enter(cause: EntryCause, pc: bigint): void {
    const seated = this.#seated;
    if (cause === 'return' && seated !== undefined && isStub(pc - BigInt(seated.seat.stubPage))) return;
    this.#entry = { cause, pc };
  }

  /** The PE was put somewhere else. */
  forget(): void {
    this.#entry = null;
  }

  /** Runs the handler of the level in control, to completion. */
  run(): void {
    const entry = this.#entry;
    const seated = this.#seated;
    if (entry === null || seated === undefined) throw new Error('no native level has control');
    this.#entry = null;
    const { seat, port } = seated;
    this.#core.context.pc = port.during(() => {
      const { boot } = seat;
      const stub = entry.cause === 'boot' && boot !== undefined ? boot(port) : seat.level.enter(port, entry.pc);
      return port.stubPage + BigInt(STUBS[stub].offset);
    });
  }

  get #seated(): Seated | undefined {
    const { level } = this.#core;
    if (level === 2) return this.#hyp;
    return level === 1 && this.#core.vmid === HOST_VMID ? this.#host : undefined;
  }
}

const isStub = (offset: bigint): boolean => Object.values(STUBS).some((stub) => BigInt(stub.offset) === offset);

function writeStubs(memory: RealMemory, { stubPage }: NativeSeat): void {
  const region = memory.find(stubPage, STUB_BYTES);
  if (region === undefined || stubPage % 16 !== 0) {
    throw new RangeError(`no stub page can be at physical address 0x${stubPage.toString(16)}`);
  }
  const host = region.host + (stubPage - region.base);
  for (const { offset, word } of Object.values(STUBS)) memory.store.view.setUint32(host + offset, word, true);
  memory.store.written(host, STUB_BYTES);
}
