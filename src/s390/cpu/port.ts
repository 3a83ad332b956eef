import type { CpuRegisters, CpuStorage, GuestInterruption } from './ultravisor-port.ts';

export { expandPsw, isPswValid } from './psw.ts';
export type { AddressKind, CpuRegisters, CpuStorage, GuestInterruption } from './ultravisor-port.ts';

/**
 * What the CPU model and what stands around a machine have of each other: SCLP, channel subsystem, DIAG, and whoever starts and stops CPUs. Instructions
 * that the CPU does not do by itself are done by a handler that was registered for them.
 */

/** An instruction that somebody else does. The PSW is at it; privilege is already checked. */
export interface ServiceCall extends CpuRegisters, CpuStorage {
  readonly name: string;
  /** The instruction's first four and its last two bytes, of an EXECUTE the target's. */
  readonly head: number;
  readonly tail: number;
  /** Length of what stands at the PSW. */
  readonly length: 2 | 4 | 6;
  /** Register numbers that the instruction names; 0 where it has no such field. */
  readonly r1: number;
  readonly r2: number;
  readonly r3: number;
  /** Second-operand address; of DIAGNOSE the function code in its low 16 bits. 0 where the format has none. */
  readonly address: bigint;
}

/** How it ended. */
export type ServiceAnswer =
  /** Done, with this condition code. */
  | 0
  | 1
  | 2
  | 3
  /** Done; the condition code stays, or was set with `setCc`. */
  | 'done'
  /** The handler has set the PSW: the instruction is done, and it goes on there. */
  | 'moved'
  /** An access of the call's own was refused: the instruction ends with that program interruption. */
  | 'fault'
  /** A program interruption that suppresses the instruction. */
  | { readonly program: number };

export type ServiceHandler = (call: ServiceCall) => ServiceAnswer;

/**
 * Instructions that can have a handler in `Services.instructions`, by mnemonic. Without one they are operation exceptions. All are privileged.
 */
export const SERVICE_INSTRUCTIONS: ReadonlySet<string> = new Set([
  'servc',
  'sthyi',
  'csch',
  'hsch',
  'msch',
  'ssch',
  'stsch',
  'tsch',
  'tpi',
  'sal',
  'rsch',
  'stcrw',
  'stcps',
  'rchp',
  'schm',
  'xsch',
  'chsc',
]);

/** Interruptions that any CPU may take. */
export type FloatingInterruption = Extract<GuestInterruption, { kind: 'machine-check' | 'external' | 'io' }>;

/** What a CPU is open for. */
export interface InterruptionMasks {
  /** Bits 32 to 63 of CR14; 0 where the PSW's machine-check mask is 0. */
  readonly machineCheck: number;
  /** Bits 32 to 63 of CR0 (`CR0.SERVICE_SIGNAL` and its neighbours); 0 where the PSW's external mask is 0. */
  readonly external: number;
  /** Bits 32 to 39 of CR6, as a byte whose most significant bit is ISC 0; 0 where the PSW's I/O mask is 0. */
  readonly io: number;
}

/** The queue of interruptions that belong to no CPU. Whoever puts something in calls `Platform.notice`. */
export interface FloatingInterruptions {
  /** Whether there is one for these masks. */
  due(masks: InterruptionMasks): boolean;
  /** Takes off the one that comes first: machine check, external, I/O. */
  take(masks: InterruptionMasks): FloatingInterruption | null;
}

/** What a machine puts around its CPUs. */
export interface Services {
  /** Handlers by mnemonic, of `SERVICE_INSTRUCTIONS` only. */
  readonly instructions: ReadonlyMap<string, ServiceHandler>;
  /** Handlers of DIAGNOSE by function code. Without one the instruction is a specification exception; 0x44 and 0x9C are the CPU's own. */
  readonly diagnose: ReadonlyMap<number, ServiceHandler>;
  readonly interruptions: FloatingInterruptions;
  /** Looks at what came from outside, such as console input. Called between two instructions, some ten thousand apart. */
  poll(): void;
  /** Clock value at which `poll` has something to do; null for never. */
  readonly deadline: number | null;
  /** Level 3 system information (STSI 3.2.2), 4096 bytes; null where the machine is no virtual machine. */
  readonly virtualMachine: Uint8Array | null;
}

/** States of a CPU (Principles of Operation, "CPU Modes"). */
export type CpuState = 'operating' | 'stopped' | 'check-stop';

/** The other side: what devices and firmware may do with the machine. */
export interface Platform {
  readonly cpus: number;
  /** Bytes of storage. */
  readonly memory: number;
  /** The TOD clock. */
  tod(): bigint;
  /** Some interruption has become pending: every CPU looks before its next instruction. */
  notice(): void;
  /** Runs an action when no CPU executes anything, before the next instruction: resets, loads. */
  between(action: () => void): void;
  state(cpu: number): CpuState;
  /** Stops a CPU. */
  stop(cpu: number): void;
  /** Starts it with this PSW, all else as it is. */
  start(cpu: number, mask: bigint, address: bigint): void;
  /** Resets a stopped CPU: CPU reset, initial CPU reset, or clear reset, each with all that the one before does. */
  reset(cpu: number, kind: 'normal' | 'initial' | 'clear'): void;
  /** Ends the run: a power-off or a crash. */
  finish(kind: 'poweroff' | 'crashed' | 'terminated', detail: string): void;
}
