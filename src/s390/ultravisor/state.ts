import type { RealAddress } from '../../machine/types.ts';
import type { GuestState } from '../cpu/guest-state.ts';
import type { PendingInstruction } from './pending.ts';
import type { RunningDigest, SeHeaderPlain, SeHeaderSecrets } from './se-crypto.ts';

/**
 * The keys under which pages of one configuration leave secure storage. Invariant: no tweak is used twice under the same keys; `counter` only grows.
 */
export interface PageKeys {
  /** AES-256-XTS. A dump gives it to the guest's owner. */
  readonly cipher: Uint8Array;
  readonly authentication: Uint8Array;
  /** Secret half of every tweak: 8 bytes, then 8 zeros. */
  readonly nonce: Uint8Array;
  counter: bigint;
}

/** What the Ultravisor keeps of a page that is out: its tweak without the nonce, and what it is recognised by. */
export interface PageSeal {
  readonly counter: bigint;
  /** HMAC-SHA-256 over configuration, address, tweak and ciphertext. */
  readonly tag: Uint8Array;
}

/** A dump under way: what the owner's key becomes the dump's key with, and how many blobs were sealed under it. */
export interface Dump {
  readonly seed: Uint8Array;
  readonly key: Uint8Array;
  blobs: number;
}

/**
 * State of a configuration (1.4).
 * - CREATED: it exists, CPUs may be added;
 * - PARAMS: its header is accepted, the image is being unpacked;
 * - VERIFIED: it runs;
 * - RESET-PENDING: its guest has asked for a reset, or the host has prepared one: nothing runs until the chain of 5.9 is through;
 * - DUMPING: nothing runs until the dump is complete.
 */
export type ConfigurationState = 'CREATED' | 'PARAMS' | 'VERIFIED' | 'RESET-PENDING' | 'DUMPING';

/** A page of a guest, as the configuration knows it; one that is not in its books was never touched and reads as zeros (3.1). */
export type GuestPage =
  | { readonly state: 'SECURE'; readonly at: RealAddress }
  /** In the clear, where the host has it: nowhere after an export, until the next import. */
  | { readonly state: 'SHARED'; readonly at: RealAddress | null; readonly pinned: boolean }
  | { readonly state: 'EXPORTED'; readonly seal: PageSeal }
  /** The host has destroyed it: its contents cannot come back. */
  | { readonly state: 'LOST' };

/** What the machine's absolute page is used for; one that is not in the books is the host's (3.1). */
export type HostPage =
  | { readonly use: 'donated' }
  /** `page` is the guest absolute address. */
  | { readonly use: 'secure'; readonly config: Configuration; readonly page: number }
  | { readonly use: 'shared'; readonly config: Configuration; readonly page: number }
  /** Left behind by a fast destroy. */
  | { readonly use: 'ownerless' };

/** An image on its way in (2.11, 2.12). */
export interface Image {
  readonly plain: SeHeaderPlain;
  readonly secrets: SeHeaderSecrets;
  /** Pages as stored, their addresses and their tweaks. */
  readonly lists: Readonly<Record<'page' | 'address' | 'tweak', RunningDigest>>;
  /** The digests, once VERIFY has asked for them. */
  measured: Readonly<Record<'page' | 'address' | 'tweak', Uint8Array>> | null;
  /** How many have come. */
  pages: bigint;
}

/** A secure configuration: one protected VM. */
export interface Configuration {
  readonly handle: bigint;
  /** Counts configurations: the VM's number in the trace. */
  readonly number: number;
  /** MSO: what is added to guest absolute addresses before the host's tables under `asce`. */
  readonly origin: bigint;
  /** Bytes of guest storage. */
  readonly length: bigint;
  readonly asce: bigint;
  readonly sca: RealAddress;
  /** Absolute addresses of the pages that its donated storage consists of. */
  readonly donated: readonly RealAddress[];
  state: ConfigurationState;
  /** In RESET-PENDING: PREPARE_RESET has been accepted. */
  prepared: boolean;
  /** Where the PSW of the next CPU state "operating after load" comes from; null if there is no such load to come. */
  load: 'header' | 'lowcore' | null;
  image: Image | null;
  dump: Dump | null;
  /** By guest absolute address. */
  readonly pages: Map<number, GuestPage>;
  pageKeys: PageKeys | null;
  /** By CPU address. */
  readonly cpus: Map<number, SecureCpuRecord>;
  /** Guest absolute address of the SCCB whose service signal is still to come; null if none is (4.9). */
  sccb: number | null;
}

/** State of a secure CPU (1.5). */
export type SecureCpuState = 'OPERATING' | 'STOPPED' | 'CHECK-STOP' | 'LOAD';

/** SIDA: whole pages of the host's through which operands go. */
export interface InstructionDataArea {
  readonly at: RealAddress;
  readonly bytes: number;
}

/** A secure CPU. */
export interface SecureCpuRecord {
  readonly handle: bigint;
  readonly config: Configuration;
  /** CPU address. */
  readonly number: number;
  readonly storage: RealAddress;
  /** The one state description that it runs with. */
  readonly description: RealAddress;
  readonly guest: GuestState;
  state: SecureCpuState;
  /** In LOAD: where its PSW comes from. */
  loadFrom: 'header' | 'lowcore' | null;
  /** Whether the host may make it operate: the guest has started it, or it has operated before. */
  startable: boolean;
  /** It has been reset since PREPARE_RESET. */
  wasReset: boolean;
  /** Position of the CPU of the machine on which it runs. */
  runsOn: number | null;
  /** The instruction data area with which SIE has begun last. */
  sida: InstructionDataArea | null;
  /** The instruction that the host is doing for it. */
  pending: PendingInstruction | null;
  /** SERVC is complete, and the host is to hear of it before the next instruction. */
  servcDone: boolean;
  /** CPU timer when it left, and the TOD clock then: how far the host may have let it run on (4.12, E3). */
  left: { readonly timer: bigint; readonly tod: bigint };
  /** CPU address of who has made an external call to it that is not delivered. */
  externalCall: number | null;
  /** A SIGP stop and store status waits for its stop. */
  storeStatus: boolean;
}

/** What the Ultravisor keeps outside of the machine's memory. Plain data, but for the digests of an image that is being unpacked. */
export interface UltravisorState {
  initialized: boolean;
  /** Configurations that there have been. */
  created: number;
  /** By handle. */
  readonly configs: Map<bigint, Configuration>;
  readonly cpus: Map<bigint, SecureCpuRecord>;
  /** By absolute address of the page. */
  readonly pages: Map<number, HostPage>;
}
