import type { TraceSink } from '../../trace/events.ts';
import { EC, ERRNO, ESR, FSC, HOST_CALL, type HypercallName, ipaOfHpfar, PSTATE, SPSR_MODE } from '../abi.ts';
import type { NativeLevel, RegisterPort, Stub } from '../cpu/port.ts';
import { STUBS } from '../cpu/port.ts';
import { EL2_MAIR, EL2_TCR } from './el2-tables.ts';
import { GuestRun, type RunOutcome } from './guest-run.ts';
import { injectHostAbort, injectHostUndefined } from './host-abort.ts';
import { type CallResult, callArguments, HostDoor, MEMORY_CALLS, PLAIN_CALLS } from './host-calls.ts';
import { mapHostFault } from './host-fault.ts';
import { HostSmc } from './host-smc.ts';
import { HypTrace } from './hyp-trace.ts';
import { HOST_HCR, HOST_VTCR, Pkvm, type PkvmParts } from './pkvm.ts';

/** What the hyp is made from. */
export interface HypervisorParts extends Omit<PkvmParts, 'flush' | 'events'> {
  readonly trace?: TraceSink | null;
  /** Where the first CPU's host begins, at EL1, and its x0. */
  readonly host: { readonly entry: bigint; readonly x0: bigint };
}

/** Something that must never happen: the machine stops (arm64-pkvm.md 4.7, "Hyp panic"). */
export class HypPanic extends Error {
  readonly esr: bigint;
  readonly elr: bigint;

  constructor(reason: string, port: RegisterPort) {
    const esr = port.register('ESR_EL2');
    const elr = port.register('ELR_EL2');
    super(`hyp panic: ${reason}, ESR_EL2 0x${esr.toString(16)}, ELR_EL2 0x${elr.toString(16)}`);
    this.name = 'HypPanic';
    this.esr = esr;
    this.elr = elr;
  }
}

/** Offset of the vector for synchronous exceptions of lower levels. */
const FROM_LOWER = 0x400n;

/** SCTLR_EL2: RES1 bits, MMU, caches, stack alignment. */
const EL2_SCTLR = 0x30c5_0830n | 1n | 4n | 8n;
const TABLE_ALIGNED = (1n << 48n) - 1n;

/** Native code at EL2 on every PE: the host's hypercalls, aborts and SMCs. */
export class Hypervisor implements NativeLevel {
  readonly #parts: HypervisorParts;
  readonly #door: HostDoor;
  readonly #smc: HostSmc;
  readonly #run: GuestRun;
  readonly #trace: HypTrace;
  #pkvm: Pkvm | null = null;
  /** CPUs whose hypercall vector is installed, and those whose host runs below stage 2. */
  readonly #ready = new Set<number>();
  readonly #finalised = new Set<number>();
  /** The PE whose registers are in use: translations are flushed through it. */
  #port: RegisterPort | null = null;

  constructor(parts: HypervisorParts) {
    this.#parts = parts;
    this.#door = new HostDoor(parts.profile);
    this.#smc = new HostSmc(parts.cpus);
    this.#trace = new HypTrace(parts.trace ?? null, () => this.#port);
    this.#run = new GuestRun(parts.view, this.#trace);
  }

  /** Tables, pages and VMs; null before `__pkvm_init`. */
  get pkvm(): Pkvm | null {
    return this.#pkvm;
  }

  /** Whether the host has given up its rights: it did with the first `__pkvm_prot_finalize`. */
  get flipped(): boolean {
    return this.#finalised.size > 0;
  }

  /** The host's stage 2, for whatever else goes to memory by it (an SMMU, the machine's own checks); null until the host has given up its rights. */
  get hostStage2(): { readonly vtcr: bigint; readonly vttbr: bigint } | null {
    if (this.#pkvm === null || !this.flipped) return null;
    return { vtcr: HOST_VTCR, vttbr: BigInt(this.#pkvm.host.root as number) };
  }

  /**
   * An access of the host's by its stage 2 found nothing there: maps it if it is the host's, as for an abort.
   * @returns false where machine code would see an injected abort
   */
  touch(address: number): boolean {
    const pkvm = this.#pkvm;
    return pkvm !== null && mapHostFault(pkvm.host, pkvm.pages, address) === 0;
  }

  /** A PE begins at EL2: the host's first, or one that the host asked firmware for. */
  boot(port: RegisterPort): Stub {
    this.#port = port;
    port.setRegister('VBAR_EL2', port.stubPage & ~0x7ffn);
    port.setRegister('HCR_EL2', HOST_HCR);
    port.setRegister('CNTHCTL_EL2', 3n);
    port.setRegister('CNTVOFF_EL2', 0n);
    port.setRegister('CPTR_EL2', 0n);
    port.setRegister('VPIDR_EL2', port.register('MIDR_EL1'));
    port.setRegister('VMPIDR_EL2', port.register('MPIDR_EL1'));
    port.setRegister('VTTBR_EL2', 0n);
    const args = this.#smc.takeBoot(port.cpu);
    if (args !== null && this.flipped) this.#finalise(port);
    const { entry, x0 } = this.#parts.host;
    port.setX(0, args?.context ?? x0);
    port.setRegister('ELR_EL2', args?.pc ?? entry);
    port.setRegister('SPSR_EL2', PSTATE.DAIF | SPSR_MODE.EL1h);
    return 'eret';
  }

  enter(port: RegisterPort, pc: bigint): Stub {
    this.#port = port;
    if (pc === port.stubPage + BigInt(STUBS.smc.offset) + 4n) {
      return this.#run.isRunning(port.cpu)
        ? this.#finishCall(port, this.#run.answered(port))
        : this.#smc.answered(port);
    }
    const vector = pc - port.register('VBAR_EL2');
    if (this.#pkvm !== null && this.#run.isRunning(port.cpu)) {
      return this.#finishCall(port, this.#run.leave(port, this.#pkvm, vector));
    }
    if (vector !== FROM_LOWER) throw new HypPanic(`vector 0x${vector.toString(16)}`, port);
    const ec = Number(port.register('ESR_EL2') >> ESR.ecShift);
    switch (ec) {
      case EC.hvc64:
        return this.#hostCall(port);
      case EC.smc64:
        return this.#smc.call(port);
      case EC.instructionAbortLower:
      case EC.dataAbortLower:
        return this.#hostAbort(port);
      case EC.sys64:
        injectHostUndefined(port);
        return 'eret';
      default:
        throw new HypPanic(`exception class 0x${ec.toString(16)} from the host`, port);
    }
  }

  #hostCall(port: RegisterPort): Stub {
    const x0 = port.x(0);
    if (!this.#ready.has(port.cpu)) {
      const accepted = x0 === HOST_CALL.base;
      if (accepted) this.#ready.add(port.cpu);
      port.setX(0, accepted ? 0n : HOST_CALL.notSupported);
      return 'eret';
    }
    const name = this.#door.decode(x0, this.flipped);
    this.#trace.hostCall(port, x0, name);
    if (name === '__kvm_vcpu_run' && this.#pkvm !== null) {
      return this.#finishCall(port, this.#run.begin(port, this.#pkvm));
    }
    const outcome = name === null ? 'unknown' : this.#execute(port, name);
    if (outcome === 'unknown') {
      port.setX(0, HOST_CALL.notSupported);
      this.#trace.hostReturn(port, HOST_CALL.notSupported);
      return 'eret';
    }
    this.#trace.hostReturn(port, outcome ?? 0);
    port.setX(0, 0n);
    if (outcome !== undefined) port.setX(1, BigInt.asUintN(64, BigInt(outcome)));
    return 'eret';
  }

  /** A run that came back is a hypercall that ends now; one that goes on leaves for the guest. */
  #finishCall(port: RegisterPort, outcome: RunOutcome): Stub {
    if (outcome === 'guest') return 'eret';
    if (outcome === 'firmware') return 'smc';
    this.#trace.hostReturn(port, outcome.result);
    port.setX(0, 0n);
    port.setX(1, BigInt.asUintN(64, BigInt(outcome.result)));
    return 'eret';
  }

  #execute(port: RegisterPort, name: HypercallName): CallResult | 'unknown' {
    const args = callArguments(port);
    if (name === '__pkvm_init') return this.#initialise(port, args[0], args[1]);
    if (name === '__pkvm_prot_finalize') return this.#protFinalize(port);
    const plain = PLAIN_CALLS[name];
    if (plain !== undefined) return plain(port, args[0]);
    const memory = MEMORY_CALLS[name];
    if (memory === undefined || this.#pkvm === null) return 'unknown';
    return memory({ port, pkvm: this.#pkvm, args });
  }

  /** #1. */
  #initialise(port: RegisterPort, base: bigint, bytes: bigint): number {
    if (this.#pkvm !== null) return ERRNO.EINVAL;
    const flush = (): void => this.#port?.invalidateTranslations();
    const events = this.#trace.events;
    const created = Pkvm.create({ ...this.#parts, flush: { page: flush, all: flush }, events }, base, bytes);
    if (typeof created === 'number') return created;
    this.#pkvm = created;
    this.#useOwnTables(port, created);
    return 0;
  }

  /** #7: from here on the host sees memory through its stage 2 on this PE. */
  #protFinalize(port: RegisterPort): number {
    if (this.#pkvm === null) return ERRNO.EINVAL;
    if (this.#finalised.has(port.cpu)) return ERRNO.EPERM;
    this.#finalise(port);
    return 0;
  }

  #finalise(port: RegisterPort): void {
    const pkvm = this.#pkvm as Pkvm;
    this.#ready.add(port.cpu);
    this.#finalised.add(port.cpu);
    this.#useOwnTables(port, pkvm);
    pkvm.activateHost(port);
    port.invalidateTranslations();
  }

  #useOwnTables(port: RegisterPort, { el2 }: Pkvm): void {
    port.setRegister('MAIR_EL2', EL2_MAIR);
    port.setRegister('TCR_EL2', EL2_TCR);
    port.setRegister('TTBR0_EL2', BigInt(el2.root) & TABLE_ALIGNED);
    port.setRegister('SCTLR_EL2', EL2_SCTLR);
    port.invalidateTranslations();
  }

  /** A stage 2 abort of the host's (2.15). */
  #hostAbort(port: RegisterPort): Stub {
    const pkvm = this.#pkvm;
    if (pkvm === null) throw new HypPanic('an abort before there is a stage 2', port);
    const error = mapHostFault(pkvm.host, pkvm.pages, ipaOfHpfar(port.register('HPFAR_EL2')));
    const permission = (port.register('ESR_EL2') & 0x3cn) === BigInt(FSC.permission);
    if (error === 0 || error === ERRNO.EAGAIN || (error === ERRNO.EEXIST && !permission)) return 'eret';
    // A permission fault on what is mapped is an attempt to write or execute what the host may only read; it would fault for ever.
    if (error !== ERRNO.EPERM && error !== ERRNO.EEXIST && error !== ERRNO.ERANGE) {
      throw new HypPanic(`the host's stage 2 cannot map: ${error}`, port);
    }
    if (this.#parts.profile === 'L') throw new HypPanic('the host touched what it does not own', port);
    this.#trace.hostAbort(port);
    injectHostAbort(port);
    return 'eret';
  }
}
