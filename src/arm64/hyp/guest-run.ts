import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { contextBytes, EC, ERRNO, ESR, EXIT_CODE, HCR, IFLAG, VM_HANDLE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { admit, expose, type HostSide, isDeviceAccess, isDevicePage } from './exit-slots.ts';
import { type CallOutcome, guestCall, powerUp } from './guest-calls.ts';
import { enterVector, injectUndefined } from './guest-inject.ts';
import { guestRegister } from './guest-registers.ts';
import type { HypTrace } from './hyp-trace.ts';
import { type HypVcpu, hostContext, hostState, hostVgic } from './hyp-vm.ts';
import type { Pkvm } from './pkvm.ts';
import {
  activateTraps,
  configurePlain,
  configureProtected,
  isGuestState,
  restoreContext,
  restoreVgic,
  saveContext,
  saveVgic,
  showVgic,
  takeVgic,
} from './world-switch.ts';

/** Vectors of exceptions from below EL2. */
const VECTOR = { synchronous: 0x400n, irq: 0x480n, fiq: 0x500n, serror: 0x580n } as const;

/** How the run went on: into the guest, to firmware with the guest's registers, or back to the host with what x1 says. */
export type RunOutcome = { readonly result: number } | 'guest' | 'firmware';

/** What a PE's host had of the timer's offset when its guest began. */
interface Running {
  readonly vcpu: HypVcpu;
  readonly offset: bigint;
}

/**
 * `__kvm_vcpu_run` (arm64-pkvm.md 6.3 to 6.6): the guest's way in and out. Protected vCPUs of profile I have a path of their own, on which the host's
 * structures are read and written only as `exit-slots.ts` says; for all others context and state are copied whole, both ways.
 */
export class GuestRun {
  readonly #view: HostView;
  readonly #trace: HypTrace;
  readonly #running = new Map<number, Running>();

  constructor(view: HostView, trace: HypTrace) {
    this.#view = view;
    this.#trace = trace;
  }

  isRunning(cpu: number): boolean {
    return this.#running.has(cpu);
  }

  /** Enters the vCPU that is loaded here. */
  begin(port: RegisterPort, pkvm: Pkvm): RunOutcome {
    const vcpu = pkvm.vms.loadedOn(port.cpu);
    if (vcpu === undefined || !vcpu.initialised) return { result: ERRNO.EINVAL };
    // A physical interrupt that waits is the host's: it is not taken in the guest first.
    if (port.register('ISR_EL1') !== 0n) return { result: EXIT_CODE.irq };
    const isolated = this.#isolated(vcpu, pkvm);
    const host = this.#hostSide(vcpu, pkvm);
    if (isolated) {
      powerUp(vcpu);
      if (vcpu.power !== 'on') return { result: EXIT_CODE.irq };
      if (admit(vcpu, host) !== 0n) this.#trace.ignored(vcpu.vm.handle);
      // Of the host's traps a virtual SError is all that it may ask for here.
      vcpu.state.set('hcr', (vcpu.state.get('hcr') & ~HCR.VSE) | (host.state.get('hcr') & HCR.VSE));
      configureProtected(vcpu.state);
    } else {
      this.#copyFromHost(vcpu, pkvm);
      configurePlain(vcpu.state);
    }
    if (!isGuestState(vcpu.context.pstate)) return { result: EXIT_CODE.illegal };
    takeVgic(vcpu.vgic, hostVgic(pkvm.donation, vcpu.host), isolated);
    saveContext(port, pkvm.hostContext(port.cpu));
    this.#running.set(port.cpu, { vcpu, offset: port.register('CNTVOFF_EL2') });
    restoreVgic(port, vcpu.vgic);
    this.#enter(port, vcpu);
    return 'guest';
  }

  /** The guest left, through a vector: it goes on, or its host does with what x1 says. */
  leave(port: RegisterPort, pkvm: Pkvm, vector: bigint): RunOutcome {
    const { vcpu, offset } = this.#running.get(port.cpu) as Running;
    const { context, state } = vcpu;
    saveContext(port, context);
    state.set('esr', port.register('ESR_EL2'));
    state.set('far', port.register('FAR_EL2'));
    state.set('hpfar', (1n << 63n) | port.register('HPFAR_EL2'));
    // One that the guest took is gone from HCR_EL2 (10.3 #51).
    state.set('hcr', (state.get('hcr') & ~HCR.VSE) | (port.register('HCR_EL2') & HCR.VSE));
    const synchronous = vector === VECTOR.synchronous;
    vcpu.exit = synchronous ? EXIT_CODE.trap : vector === VECTOR.serror ? EXIT_CODE.serror : EXIT_CODE.irq;
    vcpu.mmio = false;
    const isolated = this.#isolated(vcpu, pkvm);
    const done = synchronous && vcpu.vm.isProtected ? this.#handle(port, pkvm, vcpu) : 'host';
    if (done !== 'host') {
      vcpu.exit = null;
      if (done === 'handled') this.#enter(port, vcpu);
      return done === 'handled' ? 'guest' : 'firmware';
    }
    const result = vcpu.exit as number;
    saveVgic(port, vcpu.vgic);
    if (isolated) expose(vcpu, this.#hostSide(vcpu, pkvm));
    else this.#copyToHost(vcpu, pkvm);
    showVgic(hostVgic(pkvm.donation, vcpu.host), vcpu.vgic, isolated);
    this.#running.delete(port.cpu);
    port.setRegister('CNTVOFF_EL2', offset);
    pkvm.activateHost(port);
    restoreContext(port, pkvm.hostContext(port.cpu));
    return { result };
  }

  /** Firmware has answered the guest in x0 to x3. */
  answered(port: RegisterPort): RunOutcome {
    const { vcpu } = this.#running.get(port.cpu) as Running;
    for (let n = 0; n < 4; n++) vcpu.context.setX(n, port.x(n));
    this.#enter(port, vcpu);
    return 'guest';
  }

  #enter(port: RegisterPort, { vm, id, context, state }: HypVcpu): void {
    if (vm.isProtected) port.setRegister('CNTVOFF_EL2', 0n);
    activateTraps(port, state, {
      root: vm.table.root as number,
      vmid: vm.handle - VM_HANDLE.first + 1,
      vcpuId: id,
    });
    restoreContext(port, context);
  }

  /** What the hyp does about an exit of a protected guest's itself (6.8, 5.2). */
  #handle(port: RegisterPort, pkvm: Pkvm, vcpu: HypVcpu): CallOutcome {
    const { context, state } = vcpu;
    const esr = state.get('esr');
    switch (Number(esr >> ESR.ecShift)) {
      case EC.hvc64: {
        const id = context.x(0);
        const args = [context.x(1), context.x(2), context.x(3)];
        const outcome = guestCall(vcpu, pkvm);
        this.#trace.guestCall(id, args, outcome === 'handled' ? context.x(0) : null);
        return outcome;
      }
      case EC.smc64:
      case EC.fpAccess:
        injectUndefined(context);
        return 'handled';
      case EC.sys64:
        return guestRegister(context, state, (name) => port.register(name)) ? 'handled' : 'host';
      case EC.dataAbortLower:
        vcpu.mmio = isDeviceAccess(esr) && isDevicePage(vcpu.vm, state.get('hpfar'));
        return 'host';
      case EC.illegalState:
        vcpu.exit = EXIT_CODE.illegal;
        vcpu.initialised = false;
        return 'host';
      default:
        return 'host';
    }
  }

  #isolated(vcpu: HypVcpu, { profile }: Pkvm): boolean {
    return profile === 'I' && vcpu.vm.isProtected;
  }

  #hostSide({ host }: HypVcpu, { donation }: Pkvm): HostSide {
    return { context: hostContext(donation, host), state: hostState(donation, host) };
  }

  /** Profile M, and plain guests: registers as the host has them; of its traps only WFI, WFE and a virtual SError count. */
  #copyFromHost(vcpu: HypVcpu, { profile, donation }: Pkvm): void {
    const bytes = this.#view.read(vcpu.host, contextBytes(profile));
    this.#view.write(vcpu.area.start as RealAddress, bytes);
    const host = hostState(donation, vcpu.host);
    vcpu.state.set('hcr', host.get('hcr') & (HCR.TWI | HCR.TWE | HCR.VSE));
    vcpu.state.set('mdcr', host.get('mdcr'));
    // __kvm_adjust_pc: an exception whose syndrome the host has put in place, or the next instruction (6.2).
    const flags = host.get('flags');
    if ((flags & IFLAG.pendingException) !== 0n) enterVector(vcpu.context);
    else if ((flags & IFLAG.incrementPc) !== 0n) vcpu.context.pc += 4n;
    host.set('flags', 0n);
  }

  #copyToHost(vcpu: HypVcpu, { profile, donation }: Pkvm): void {
    this.#view.write(vcpu.host, this.#view.read(vcpu.area.start as RealAddress, contextBytes(profile)));
    const host = hostState(donation, vcpu.host);
    for (const field of ['hcr', 'esr', 'far', 'hpfar', 'disr'] as const) host.set(field, vcpu.state.get(field));
  }
}
