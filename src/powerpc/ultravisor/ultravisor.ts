import type { CryptoProvider } from '../../crypto/provider.ts';
import type { RsaPrivateKey } from '../../crypto/rsa.ts';
import { writeRsaPublicKey } from '../../crypto/rsa-key.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { TraceSink } from '../../trace/events.ts';
import { codeToRegister, HFSCR, MSR, SPR, SRR1, U_CODE, VECTOR } from '../abi.ts';
import { levelOf } from '../cpu/msr.ts';
import type { NativeLevel, RegisterPort, Stub } from '../cpu/port.ts';
import { traceCall, traceCallReturn } from './call-trace.ts';
import {
  type EsmScope,
  isHypervisor,
  isSecureGuest,
  type Outcome,
  type RandomSources,
  type UltravisorState,
  type UvContext,
} from './context.ts';
import { type Interrupted, saveFrame } from './frame.ts';
import { interruptGuest } from './guest-entry.ts';
import { reflectInterrupt, savesInSrr } from './hypervisor-entry.ts';
import { killSvm } from './kill.ts';
import type { PageState } from './page.ts';
import type { PageCipher } from './page-cipher.ts';
import { countPages } from './pages.ts';
import { guestHypercall } from './reflect.ts';
import { type MemoryRange, SecureMemory } from './secure-memory.ts';
import { storageFault } from './storage-fault.ts';
import type { Svm, SvmState } from './svm.ts';
import { refuseCaller, ULTRACALL_TABLE, type UltracallEntry } from './ultracalls.ts';

/** What an Ultravisor is made of. */
export interface UltravisorOptions {
  /** Memory with the rights of secure state, `{ agent: 'ultravisor', secure: true }`. */
  readonly view: HostView;
  /**
   * Secure memory to hand out: whole 64 KiB frames, zero, used by nobody else. The page of the level's stubs must not
   * be in it.
   */
  readonly secureRanges: readonly MemoryRange[];
  /** Where `boot` leaves to, with what MSR; S=0, HV=1. */
  readonly hypervisorEntry: { readonly nia: bigint; readonly msr: bigint };
  readonly random: RandomSources;
  readonly crypto: CryptoProvider;
  /** How pages leave secure memory. */
  readonly cipher: PageCipher;
  /** The machine's private key: an ESM blob that has a lockbox for it may start SVMs here. */
  readonly machineKey: RsaPrivateKey;
  readonly esmScope: EsmScope;
  readonly trace?: TraceSink | null;
  /**
   * Whether to tell the trace also of hypercalls that the hypervisor serves, an SVM's and the Ultravisor's own: for a
   * hypervisor that does not do so itself (machine code). False by default.
   */
  readonly traceServed?: boolean;
}

/** What the Ultravisor knows of one SVM, for the report. */
export interface SvmReport {
  readonly lpid: number;
  readonly state: SvmState;
  readonly pages: Partial<Record<PageState, number>>;
}

/** What the Ultravisor knows, for the report. */
export interface UltravisorReport {
  readonly secureFrames: { readonly total: number; readonly free: number };
  readonly svms: readonly SvmReport[];
}

/** The Ultravisor's state as plain data. */
export interface UltravisorSave {
  readonly state: UltravisorState;
  readonly secure: ReturnType<SecureMemory['save']>;
}

const LAST_NUMBER = 0xffffn;

/** PTCR's size field for the 64 KiB partition table: 2^(12 + 4) bytes (2.2). */
const PARTITION_TABLE_PATS = 4n;

/**
 * The Ultravisor: the software at S=1, HV=1 (1.2). It owns secure memory, the partition table and all state of secure
 * VMs.
 *
 * It is entered at a vector and leaves by `urfid`, with everything in registers and memory; between two entries it is
 * plain data (`UltravisorState`). A call that it refuses has changed nothing. A mistake or an attack from below is a
 * return code, an interrupt in the SVM or the SVM's end; what throws is a broken invariant of its own.
 */
export class Ultravisor implements NativeLevel {
  readonly #uv: UvContext;
  readonly #hypervisorEntry: UltravisorOptions['hypervisorEntry'];

  /** @throws RangeError if `secureRanges` is not secure memory in whole frames */
  constructor(options: UltravisorOptions) {
    const { view, crypto, cipher, random, machineKey, esmScope, trace = null, traceServed = false } = options;
    const publicFile = new TextEncoder().encode(writeRsaPublicKey(machineKey));
    this.#uv = {
      view,
      crypto,
      cipher,
      random,
      trace,
      traceServed,
      secure: new SecureMemory(view, options.secureRanges),
      machineKey: { key: machineKey, fingerprint: crypto.sha256(publicFile) },
      esmScope,
      state: {
        partitionTable: null,
        svms: new Map(),
        running: new Map(),
        short: new Set(),
        scoms: new Map(),
        homer: null,
      },
    };
    this.#hypervisorEntry = options.hypervisorEntry;
  }

  /**
   * First entry of a CPU after reset (9.3): makes the partition table, once, puts it into PTCR, and leaves to the
   * hypervisor. All registers that it does not use stay as they are.
   * @throws RangeError if secure memory is too small for the partition table
   */
  boot(port: RegisterPort): Stub {
    const table = this.#uv.state.partitionTable ?? this.#uv.secure.take();
    if (table === undefined) throw new RangeError('no secure memory for the partition table');
    this.#uv.state.partitionTable = table;
    port.setSpr(SPR.PTCR, BigInt(table) | PARTITION_TABLE_PATS);
    port.setSpr(SPR.USRR0, this.#hypervisorEntry.nia);
    port.setSpr(SPR.USRR1, this.#hypervisorEntry.msr);
    return 'urfid';
  }

  enter(port: RegisterPort, nia: bigint): Stub {
    const srr = savesInSrr(nia);
    const image = port.spr(srr ? SPR.SRR1 : SPR.HSRR1);
    const interrupted = { nia: port.spr(srr ? SPR.SRR0 : SPR.HSRR0), msr: image & ~SRR1.STATUS, image };
    const svm = this.#leaveSvm(port, interrupted.msr);
    if (svm?.state === 'DEAD') {
      killSvm(this.#uv, port, svm, saveFrame(port, interrupted), 'another vCPU was killed');
    } else if (nia === VECTOR.SYSTEM_CALL && (image & SRR1.LEV) === SRR1.LEV2) {
      this.#ultracall(port, interrupted, svm);
    } else if (svm !== undefined) {
      this.#interrupt(port, interrupted, svm, nia);
    } else {
      throw new Error(`vector 0x${nia.toString(16)} from ${levelOf(interrupted.msr).name}`);
    }
    return 'urfid';
  }

  /** A copy of everything that it keeps outside the machine's memory. It holds the page keys. */
  save(): UltravisorSave {
    return structuredClone({ state: this.#uv.state, secure: this.#uv.secure.save() });
  }

  /** Numbers for the report. */
  report(): UltravisorReport {
    const { secure, state } = this.#uv;
    return {
      secureFrames: { total: secure.total, free: secure.free },
      svms: [...state.svms.values()].map((svm) => ({ lpid: svm.lpid, state: svm.state, pages: countPages(svm) })),
    };
  }

  /**
   * The SVM that the CPU was interrupted in, which it does not execute any more; undefined if it came from normal
   * state.
   */
  #leaveSvm(port: RegisterPort, msr: bigint): Svm | undefined {
    if (!isSecureGuest(msr)) return undefined;
    const { running, svms } = this.#uv.state;
    const lpid = running.get(port.cpu);
    const svm = lpid === undefined ? undefined : svms.get(lpid);
    if (svm === undefined) throw new Error(`CPU ${port.cpu} executed in secure state without an SVM`);
    running.delete(port.cpu);
    return svm;
  }

  #ultracall(port: RegisterPort, interrupted: Interrupted, svm: Svm | undefined): void {
    const uv = this.#uv;
    const r3 = port.gpr(3);
    const number = r3 <= LAST_NUMBER ? Number(r3) : 0;
    const call = ULTRACALL_TABLE.get(number);
    const args = Array.from({ length: call?.args.length ?? 0 }, (_, i) => port.gpr(4 + i));
    traceCall(uv, port, 'ultracall', number, args, levelOf(interrupted.msr).name);
    const outcome = call === undefined ? U_CODE.U_FUNCTION : this.#serve(call, port, interrupted, svm);
    if (outcome === 'left') return;

    const result = codeToRegister(outcome);
    traceCallReturn(uv, port, 'ultracall', number, result);
    port.setGpr(3, result);
    port.setSpr(SPR.USRR0, interrupted.nia);
    port.setSpr(SPR.USRR1, interrupted.msr);
    if (svm !== undefined) uv.state.running.set(port.cpu, svm.lpid);
  }

  /** Checks common to all calls come before those of the call: who calls, then the transaction state of a hypervisor (3.1). */
  #serve(call: UltracallEntry, port: RegisterPort, interrupted: Interrupted, svm: Svm | undefined): Outcome {
    const refused = refuseCaller(call, interrupted.msr);
    if (refused !== null) return refused;
    const transaction = isHypervisor(interrupted.msr) && (interrupted.msr & MSR.TS) !== 0n;
    if (transaction && call.name !== 'UV_RETURN') return U_CODE.U_BAD_MODE;
    return call.run(this.#uv, port, interrupted, svm);
  }

  /** An interrupt of an SVM that needs HV (1.9). */
  #interrupt(port: RegisterPort, interrupted: Interrupted, svm: Svm, vector: bigint): void {
    const uv = this.#uv;
    switch (vector) {
      case VECTOR.SYSTEM_CALL:
        guestHypercall(uv, port, svm, interrupted);
        return;
      case VECTOR.HV_DATA_STORAGE:
      case VECTOR.HV_INSTRUCTION_STORAGE:
        storageFault(uv, port, svm, interrupted, vector);
        return;
      case VECTOR.EXTERNAL:
        interruptGuest(uv, port, svm, interrupted, vector, 0n);
        return;
      case VECTOR.HV_EMULATION_ASSISTANCE:
      case VECTOR.DENORMAL_ASSIST:
        interruptGuest(uv, port, svm, interrupted, VECTOR.PROGRAM, SRR1.PROGRAM_ILLEGAL);
        return;
      case VECTOR.HV_FACILITY_UNAVAILABLE:
        if (port.spr(SPR.HFSCR) >> HFSCR.IC_SHIFT === HFSCR.IC_TM) {
          interruptGuest(uv, port, svm, interrupted, VECTOR.PROGRAM, SRR1.PROGRAM_ILLEGAL);
          return;
        }
        reflectInterrupt(uv, port, svm, saveFrame(port, interrupted), vector);
        return;
      default:
        reflectInterrupt(uv, port, svm, saveFrame(port, interrupted), vector);
    }
  }
}
