import type { CryptoProvider } from '../../crypto/provider.ts';
import type { RsaPrivateKey } from '../../crypto/rsa.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import { MSR, type UCode } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { PageCipher } from './page-cipher.ts';
import type { SecureMemory } from './secure-memory.ts';
import type { Svm } from './svm.ts';

/** A source of random bytes. */
export type Random = (bytes: number) => Uint8Array;

/**
 * Random bytes by purpose. They are streams of their own, so that what one draws never shows in another: a run with
 * other secrets of the guest must show the hypervisor the same cookies.
 */
export interface RandomSources {
  /** Cookies, which the hypervisor sees. */
  readonly cookies: Random;
  /** Page keys and nonces. */
  readonly keys: Random;
  /** Answers to H_RANDOM, which only the guest sees. */
  readonly hRandom: Random;
}

/** What the Ultravisor knows, as plain data. */
export interface UltravisorState {
  /** The partition table in secure memory; null before boot. */
  partitionTable: RealAddress | null;
  /** SVMs by LPID: one record per partition, from UV_ESM until UV_SVM_TERMINATE. */
  readonly svms: Map<number, Svm>;
  /** The LPID whose secure guest a CPU executes at this moment, by CPU. */
  readonly running: Map<number, number>;
  /** LPIDs of the SVMs that found no secure frame, until one is free. */
  readonly short: Set<number>;
  /** SCOM registers by address, as far as they were written. */
  readonly scoms: Map<bigint, bigint>;
  /** What the chip needs to leave a stop state (3.7), `UV_HOMER_BYTES`; null while it is all zero. */
  homer: Uint8Array | null;
}

/**
 * What of its memory a VM takes along when it becomes secure: `all` that the hypervisor has of it (seed 001), of which
 * only the measured parts are proven; or `verified`, the shipped firmware's habit: those, the device tree, and zeros.
 */
export type EsmScope = 'all' | 'verified';

/** What every part of the Ultravisor works with. */
export interface UvContext {
  /** Memory with the rights of secure state. */
  readonly view: HostView;
  readonly crypto: CryptoProvider;
  /** For pages that leave secure memory. */
  readonly cipher: PageCipher;
  readonly random: RandomSources;
  readonly trace: TraceSink | null;
  /** Whether the trace is also told of hypercalls that the hypervisor serves; it may have a trace of its own. */
  readonly traceServed: boolean;
  readonly secure: SecureMemory;
  /** The key that lockboxes of blobs are opened with, and the SHA-256 of its public half as a PEM file. */
  readonly machineKey: { readonly key: RsaPrivateKey; readonly fingerprint: Uint8Array };
  readonly esmScope: EsmScope;
  readonly state: UltravisorState;
}

/**
 * How a call ends: with a code for the caller, whose other registers stay as they are; or `left`, when the handler has
 * itself put every register in place that `urfid` goes out with.
 */
export type Outcome = UCode | 'left';

/** Whether the state is the hypervisor's: HV=1, PR=0, S=0 (1.2). */
export function isHypervisor(msr: bigint): boolean {
  return (msr & (MSR.HV | MSR.S | MSR.PR)) === MSR.HV;
}

/** Whether the state is inside a secure VM, kernel or user: S=1, HV=0 (1.2). */
export function isSecureGuest(msr: bigint): boolean {
  return (msr & (MSR.HV | MSR.S)) === MSR.S;
}

/** Tells the trace something that has no event of its own. */
export function note(uv: UvContext, port: RegisterPort, text: string): void {
  uv.trace?.emit({ type: 'note', at: port.clock, cpu: port.cpu, text });
}
