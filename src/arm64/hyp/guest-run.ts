import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import { EC, ERRNO, ESR, EXIT_CODE, HCR, VM_HANDLE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { admit, expose, type HostSide, isDeviceAccess } from './exit-slots.ts';
import { guestCall, powerUp } from './guest-calls.ts';
import { injectUndefined } from './guest-inject.ts';
import { guestRegister } from './guest-registers.ts';
import { type HypVcpu, hostContext, hostState } from './hyp-vm.ts';
import type { Pkvm } from './pkvm.ts';
import { contextBytes } from './vcpu-state.ts';
import {
  activateTraps,
  configurePlain,
  configureProtected,
  isGuestState,
  restoreContext,
  saveContext,
} from './world-switch.ts';

/** Vectors of exceptions from below EL2. */
const VECTOR = { synchronous: 0x400n, irq: 0x480n, fiq: 0x500n, serror: 0x580n } as const;

/** How the run went on: into the guest, or back to the host with what x1 says. */
export type RunOutcome = { readonly result: number } | 'guest';

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
  readonly #running = new Map<number, Running>();

  constructor(view: HostView) {
    this.#view = view;
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
      admit(vcpu, host);
      configureProtected(vcpu.state);
    } else {
      this.#copyFromHost(vcpu, pkvm);
      configurePlain(vcpu.state);
    }
    if (!isGuestState(vcpu.context.pstate)) return { result: EXIT_CODE.illegal };
    saveContext(port, pkvm.hostContext(port.cpu));
    this.#running.set(port.cpu, { vcpu, offset: port.register('CNTVOFF_EL2') });
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
    const synchronous = vector === VECTOR.synchronous;
    vcpu.exit = synchronous ? EXIT_CODE.trap : vector === VECTOR.serror ? EXIT_CODE.serror : EXIT_CODE.irq;
    vcpu.mmio = false;
    const isolated = this.#isolated(vcpu, pkvm);
    if (synchronous && vcpu.vm.isProtected && this.#handled(port, pkvm, vcpu)) {
      vcpu.exit = null;
      this.#enter(port, vcpu);
      return 'guest';
    }
    const result = vcpu.exit as number;
    if (isolated) expose(vcpu, this.#hostSide(vcpu, pkvm));
    else this.#copyToHost(vcpu, pkvm);
    this.#running.delete(port.cpu);
    port.setRegister('CNTVOFF_EL2', offset);
    pkvm.activateHost(port);
    restoreContext(port, pkvm.hostContext(port.cpu));
    port.invalidateTranslations();
    return { result };
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

  /** What the hyp does about an exit of a protected guest's itself (6.8, 5.2). @returns whether the guest goes on */
  #handled(port: RegisterPort, pkvm: Pkvm, vcpu: HypVcpu): boolean {
    const { context, state } = vcpu;
    const esr = state.get('esr');
    switch (Number(esr >> ESR.ecShift)) {
      case EC.hvc64:
        return guestCall(vcpu, pkvm.protect) === 'handled';
      case EC.smc64:
      case EC.fpAccess:
        injectUndefined(context);
        return true;
      case EC.sys64:
        return guestRegister(context, state, (name) => port.register(name));
      case EC.dataAbortLower:
        vcpu.mmio = isDeviceAccess(esr);
        return false;
      case EC.illegalState:
        vcpu.exit = EXIT_CODE.illegal;
        vcpu.initialised = false;
        return false;
      default:
        return false;
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
    if ((host.get('flags') & 2n) !== 0n) vcpu.context.pc += 4n;
    host.set('flags', 0n);
  }

  #copyToHost(vcpu: HypVcpu, { profile, donation }: Pkvm): void {
    this.#view.write(vcpu.host, this.#view.read(vcpu.area.start as RealAddress, contextBytes(profile)));
    const host = hostState(donation, vcpu.host);
    for (const field of ['hcr', 'esr', 'far', 'hpfar', 'disr'] as const) host.set(field, vcpu.state.get(field));
  }
}
