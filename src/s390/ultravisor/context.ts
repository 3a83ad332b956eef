import type { CryptoProvider } from '../../crypto/provider.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { RealMemory } from '../../machine/memory.ts';
import type { RandomBytes } from '../../machine/random.ts';
import type { TraceSink } from '../../trace/events.ts';
import type { HostCall, UltravisorHardware } from '../cpu/ultravisor-port.ts';
import type { ControlBlock } from './control-block.ts';
import type { SeCrypto } from './se-crypto.ts';
import type { UltravisorState } from './state.ts';

/** What all parts of the Ultravisor share. */
export interface UvContext {
  readonly memory: RealMemory;
  /** RAM with the rights of secure state: nothing is closed to it. */
  readonly view: HostView;
  readonly hardware: UltravisorHardware;
  readonly crypto: CryptoProvider;
  readonly se: SeCrypto;
  readonly random: RandomBytes;
  readonly trace: TraceSink | null;
  /** The machine clock, for the trace. */
  readonly clock: () => bigint;
  /** What STFLE stores for secure guests. */
  readonly facilities: Uint8Array;
  readonly state: UltravisorState;
}

/** A command of the host's that has passed the checks common to all. */
export interface Command {
  readonly uv: UvContext;
  readonly host: HostCall;
  readonly block: ControlBlock;
  /** Absolute pages on which the control block lies: they stay the host's while it waits for the answer. */
  readonly blockPages: ReadonlySet<number>;
}

/** How a command ends: its response code, with a reason where there is one. 1 is condition code 0, all others are 1. */
export type CommandResult = number | { readonly rc: number; readonly rrc: number };
