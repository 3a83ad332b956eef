import type { AccessKind } from '../../engine/cpu-model.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { GuestState } from './guest-state.ts';

/**
 * What the CPU model and the Ultravisor have of each other. The Ultravisor stands below the architecture: `UVC` and SIE with a format-4 state description
 * call it, and every page that some access misses a TLB for is shown to it. Section numbers name `s390-pv.md`.
 */

/** How an address is meant: as an operand of the instruction at hand, in the home space (real where DAT is off), real, or absolute. */
export type AddressKind = 'operand' | 'home' | 'real' | 'absolute';

/**
 * Storage as the program at hand reaches it: through its DAT, prefix and keys, and under SIE through the host's tables too. What is refused is remembered: a
 * handler that answers `fault` lets the CPU deliver it, as a program interruption of the guest's or of the host's.
 */
export interface CpuStorage {
  /** @returns null where some byte is refused: nothing was read */
  read(kind: AddressKind, address: bigint, length: number): Uint8Array | null;
  /** @returns false where some byte is refused: nothing was written */
  write(kind: AddressKind, address: bigint, bytes: Uint8Array): boolean;
  /** Whether all of it may be reached; as `read` and `write`, but nothing is moved. */
  reaches(kind: AddressKind, address: bigint, length: number, access: Exclude<AccessKind, 'fetch'>): boolean;
  /**
   * Where an address leads in the machine's absolute storage, with no check of who owns the page and nothing remembered.
   * @returns the address, or the program interruption code of the exception that ends the translation
   */
  translate(kind: AddressKind, address: bigint): { readonly absolute: RealAddress } | { readonly code: number };
}

/** Registers of the program at hand. */
export interface CpuRegisters {
  /** Position of the physical CPU in its machine. */
  readonly cpu: number;
  gr(n: number): bigint;
  setGr(n: number, value: bigint): void;
  cr(n: number): bigint;
  setCr(n: number, value: bigint): void;
  /** First doubleword of the PSW, with the condition code in its place. */
  readonly pswMask: bigint;
  readonly pswAddress: bigint;
  /** Early exceptions are not looked for: the Ultravisor checks what it loads. */
  setPsw(mask: bigint, address: bigint): void;
  setCc(cc: number): void;
  readonly prefix: number;
  setPrefix(prefix: number): void;
  cpuTimer(): bigint;
  clockComparator(): bigint;
}

/** A `UVC` of the host's. Facility, M3 and M4, and problem state are already checked (2.1). */
export interface HostCall extends CpuRegisters, CpuStorage {
  /** Content of R1. */
  readonly r1: bigint;
  /** Address of the UV control block, of kind `home`. */
  readonly controlBlock: bigint;
}

/** How a call ended: with a condition code, or an access of its own was refused and the UVC is undone. */
export type HostCallAnswer = 0 | 1 | 2 | 3 | 'fault';

/**
 * The machine around the CPUs, as the Ultravisor needs it: handed to it when it is made, before there are CPUs. Nothing here is called before the first
 * call of `UltravisorSeat`.
 */
export interface UltravisorHardware {
  /** All CPUs forget what `UltravisorSeat.check` has allowed. */
  flushTranslations(): void;
  /** How many of the host's CPUs are in the operating state. */
  operatingCpus(): number;
  /** Prefixes of all the host's CPUs: absolute addresses of their 8 KiB prefix areas. */
  prefixes(): readonly number[];
  /** The TOD clock. */
  tod(): bigint;
  /**
   * Where an address leads by the host's tables under an address-space-control element, whatever the PSW says, as host DAT for a guest does: no
   * protection, no check of who owns the page, nothing remembered.
   * @returns the absolute address, or the program interruption code of the exception that ends the translation
   */
  translate(asce: bigint, address: bigint): { readonly absolute: RealAddress } | { readonly code: number };
}

/** Identity of a secure configuration: what its pages are compared with. An object of the Ultravisor's. */
export type SecureConfiguration = object;

/** SIE was issued with a state description whose SDF is 2. */
export interface SieRequest {
  readonly cpu: number;
  /** Absolute address of the state description, 4 KiB of RAM that the host may reach. */
  readonly stateDescription: RealAddress;
  /** The host's CR1. */
  readonly asce: bigint;
  /** The TOD clock. */
  readonly tod: bigint;
}

/** A secure CPU to be run. The CPU model loads `state`, changes it in place when it leaves, and keeps no reference. */
export interface SecureCpu {
  readonly configuration: SecureConfiguration;
  readonly state: GuestState;
  /** Host primary virtual address of guest absolute 0 (MSO), and the last guest absolute address (MSL - MSO). */
  readonly origin: bigint;
  readonly limit: bigint;
  /** What is added to the TOD clock for the guest, modulo 2^64. */
  readonly epoch: bigint;
  /** The guest's facility list, as STFLE stores it. */
  readonly facilities: Uint8Array;
}

/** What SIE does: run a CPU, or end at once; then the Ultravisor has written the interception into the state description. */
export type SieAnswer = SecureCpu | 'leave';

/** Why a secure guest needs the Ultravisor. The guest's registers are live in the CPU, its PSW is that of the moment. */
export type GuestEvent =
  /**
   * One of `SIE_INSTRUCTIONS`, not begun; the PSW is at it. Problem state is checked where the instruction is privileged. `head` and `tail` are its
   * first four and its last two bytes, of an EXECUTE the target's, `length` that of what stands at the PSW.
   */
  | {
      readonly kind: 'instruction';
      readonly name: string;
      readonly head: number;
      readonly tail: number;
      readonly length: 2 | 4 | 6;
    }
  /** An instruction or interruption has changed the PSW's machine-check mask, or CR 0, 6 or 14 (4.4, codes 0x60 and 0x64). */
  | { readonly kind: 'mask'; readonly psw: boolean; readonly control: boolean }
  /** The PSW says wait, and no interruption of the guest's own timers is due. */
  | { readonly kind: 'wait' }
  /** Flags in the state description ask for an exit, and the guest is enabled for what they ask (4.3). */
  | { readonly kind: 'request'; readonly request: 'stop' | 'external' | 'io' }
  /** The program new PSW is itself a specification exception (code 0x08). */
  | { readonly kind: 'program-loop' }
  /** The external new PSW is enabled for the same clock comparator or CPU timer interruption (code 0x14). */
  | { readonly kind: 'external-loop'; readonly code: number };

/** How it goes on after an event. */
export type GuestAnswer =
  /** At the PSW. After an instruction: the Ultravisor has set the PSW where it wants it (`GuestPort.advance`). */
  | 'continue'
  /** An instruction: do what SIE does for any guest. */
  | 'interpret'
  /** SIE ends; the Ultravisor has written everything that the host is to see. The host goes on behind SIE. */
  | 'leave'
  /** An access through the port was refused. */
  | 'fault'
  /** A program interruption of the guest's that suppresses the instruction. */
  | { readonly program: number };

/** What an interruption stores in the guest's lowcore, by class. */
export type GuestInterruption =
  | { readonly kind: 'machine-check'; readonly code: bigint; readonly failingAddress: bigint; readonly damage: number }
  | { readonly kind: 'external'; readonly code: number; readonly cpuAddress?: number; readonly parameter?: number }
  | {
      readonly kind: 'io';
      readonly subchannelId: number;
      readonly subchannel: number;
      readonly parameter: number;
      readonly word: number;
    }
  | { readonly kind: 'restart' }
  | { readonly kind: 'program'; readonly code: number; readonly length: 2 | 4 | 6 };

/** A running secure guest. */
export interface GuestPort extends CpuRegisters, CpuStorage {
  readonly guest: SecureCpu;
  /** The TOD clock of the machine. */
  readonly tod: bigint;
  /** Whether the access that was refused last is the host's business, and not an exception of the guest's. */
  readonly refusedByHost: boolean;
  /** Moves the PSW behind an instruction of this length. */
  advance(length: 2 | 4 | 6): void;
  /** Does the instruction of the event as for any guest, the PSW stays. A notification tells of it afterwards (4.5). */
  interpret(): 'done' | 'fault' | { readonly program: number };
  /** Whether the guest's PSW and control registers are open for the interruption. */
  enabledFor(interruption: GuestInterruption): boolean;
  /**
   * Swaps PSWs and stores what belongs to the interruption, whether or not the guest is enabled.
   * @returns false where its lowcore is refused: nothing was stored
   */
  interrupt(interruption: GuestInterruption): boolean;
}

/** The Ultravisor as the CPU model sees it. Every method runs to completion. */
export interface UltravisorSeat {
  /** The host executes UVC. */
  call(call: HostCall): HostCallAnswer;
  /** The host executes SIE with a format-4 state description (4.12, E1 to E5). */
  enter(request: SieRequest): SieAnswer;
  /** What `enter` gave is loaded; it completes what was pending and injects what the state description asks for (E6 to E8). */
  resume(port: GuestPort): Exclude<GuestAnswer, 'interpret'>;
  event(port: GuestPort, event: GuestEvent): GuestAnswer;
  /**
   * A host interruption, or a host access exception of the guest's (0x3D to 0x3F too), ends SIE with interception code 0: what the host is to see
   * is written now.
   */
  interrupted(port: GuestPort): void;
  /**
   * Who may reach a page. Asked after all other checks, at every TLB miss and for every access of hardware to storage; what is allowed is kept until
   * `flushTranslations` of the machine.
   * @param page absolute address of the page
   * @param guest whose SIE makes the access and for which page, by its guest absolute address (MSO not added, a multiple of 4096); null for the host, its tables and lowcore, and normal guests
   * @returns 0, or the program interruption code (`PGM.SECURE_STORAGE_ACCESS` and its neighbours, 3.3)
   */
  check(
    page: RealAddress,
    guest: { readonly configuration: SecureConfiguration; readonly page: number } | null,
  ): number;
  /** The machine is reset (DIAG 308 of the host's): everything is cleared and no longer secure (1.2). */
  reset(): void;
}

/** Instructions of a secure guest that become events. */
export const SIE_INSTRUCTIONS: ReadonlySet<string> = new Set([
  'diag',
  'servc',
  'sigp',
  'spx',
  'stsi',
  'sthyi',
  'uvc',
  'sck',
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
