/** What every event carries. */
export interface TraceStamp {
  /** The machine clock: instructions retired by all CPUs so far. It never goes back from one event to the next. */
  readonly at: bigint;
  /** Index of the physical CPU on which it happened. */
  readonly cpu: number;
}

/**
 * A privilege level got control of a CPU, by a trap, by a return instruction, or at the start of the machine.
 * It keeps control until the next event of this type on the same CPU.
 */
export interface LevelEnterEvent extends TraceStamp {
  readonly type: 'level-enter';
  /** The level in the words of its architecture, e.g. `ultravisor`, `hypervisor`, `guest`, `guest user`. */
  readonly level: string;
  readonly cause: 'trap' | 'return' | 'boot';
  /** Address of the next instruction: the vector of a trap, the target of a return. */
  readonly nia: bigint;
}

/** A guest lost its CPU to the hypervisor. Reports count these by reason. */
export interface ExitEvent extends TraceStamp {
  readonly type: 'exit';
  /** Why, as the architecture's hypervisor would name it, e.g. `HV_DECREMENTER`, `instruction interception`. */
  readonly reason: string;
}

/** To whom a call goes: to the hypervisor, or to the trusted part of the architecture. */
export type CallKind = 'hypercall' | 'ultracall';

/**
 * Software called a level above it by the architecture's call ABI: `sc 1`, DIAGNOSE and guest SMCCC calls are
 * hypercalls; `sc 2`, UVC and calls to a protected hyp are ultracalls.
 */
export interface CallEvent extends TraceStamp {
  readonly type: 'call';
  readonly kind: CallKind;
  /** The ABI's number of the call: R3, the UVC command code, the SMCCC function id. */
  readonly number: number;
  /** The ABI's name of that number, e.g. `UV_ESM`; its number in hex if it has none. */
  readonly name: string;
  /** The argument registers in the ABI's order, without the number. */
  readonly args: readonly bigint[];
  /** The level that called, as in `LevelEnterEvent`. */
  readonly from: string;
}

/** A call came back to its caller. It answers the last unanswered call of its kind and number on the same CPU. */
export interface CallReturnEvent extends TraceStamp {
  readonly type: 'call-return';
  readonly kind: CallKind;
  readonly number: number;
  /** The ABI's result register. */
  readonly result: bigint;
}

/** A page changed its state in the trusted part's books. */
export interface PageStateEvent extends TraceStamp {
  readonly type: 'page-state';
  /** The machine's number of the VM. */
  readonly vm: number;
  /** Guest frame number, in pages of the architecture's own size. */
  readonly gfn: bigint;
  /** Both states by the names that the architecture's state table gives them. */
  readonly from: string;
  readonly to: string;
}

/** A VM changed its state in the trusted part's books. */
export interface VmStateEvent extends TraceStamp {
  readonly type: 'vm-state';
  readonly vm: number;
  readonly from: string;
  readonly to: string;
  /** Why, where a VM did not become what it asked for. */
  readonly reason?: string;
}

/** The machine refused an access to memory that the agent does not own. */
export interface RefusedAccessEvent extends TraceStamp {
  readonly type: 'refused-access';
  /** Who tried: a level, or a device by name. */
  readonly agent: string;
  /** Real address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly size: number;
  readonly write: boolean;
}

/** A guest wrote to its console. */
export interface ConsoleEvent extends TraceStamp {
  readonly type: 'console';
  readonly vm: number;
  readonly bytes: Uint8Array;
}

/** What was typed reached a guest's console: the only input of a run that its options do not name. */
export interface ConsoleInputEvent extends TraceStamp {
  readonly type: 'console-input';
  readonly vm: number;
  readonly bytes: Uint8Array;
}

/** Something worth knowing that has no type of its own. */
export interface NoteEvent extends TraceStamp {
  readonly type: 'note';
  readonly text: string;
}

/**
 * The closed set of what a machine tells about a run, discriminated by `type`. Register values, addresses and frame
 * numbers are unsigned 64-bit numbers. An event is never changed once it has been emitted: its emitter hands over
 * its arrays too.
 */
export type TraceEvent =
  | LevelEnterEvent
  | ExitEvent
  | CallEvent
  | CallReturnEvent
  | PageStateEvent
  | VmStateEvent
  | RefusedAccessEvent
  | ConsoleEvent
  | ConsoleInputEvent
  | NoteEvent;

/** The event of one type, e.g. `TraceEventOf<'call'>`. */
export type TraceEventOf<T extends TraceEvent['type']> = Extract<TraceEvent, { readonly type: T }>;

/** Where a machine sends its events, in the order in which they happen. */
export interface TraceSink {
  /** Takes one event and returns at once: it is called in the middle of a run. */
  emit(event: TraceEvent): void;
}
