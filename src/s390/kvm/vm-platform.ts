import type { CpuState, Platform } from '../cpu/port.ts';
import { resetVcpu, setOperating, setStopped, startVcpu } from './vcpu-reset.ts';
import type { Vcpu, Vm } from './vm.ts';

/** What the platform of a VM asks of the hypervisor. */
export interface PlatformHooks {
  /** The TOD clock of the host. */
  tod(): bigint;
  /** CPUs of the VM are to look at their interruptions. */
  notice(vm: Vm): void;
}

/**
 * A VM as its devices see their machine: the same that they get of a machine without SIE. What it says of CPUs is what KVM knows; of a protected VM only KVM
 * itself may start or reset them (5.9), so that userspace has nothing to ask for.
 */
export class VmPlatform implements Platform {
  readonly #vm: Vm;
  readonly #hooks: PlatformHooks;
  constructor(vm: Vm, hooks: PlatformHooks) {
    this.#vm = vm;
    this.#hooks = hooks;
  }

  get cpus(): number {
    return this.#vm.vcpus.length;
  }

  get memory(): number {
    return this.#vm.size;
  }

  tod(): bigint {
    return this.#hooks.tod();
  }

  notice(): void {
    this.#hooks.notice(this.#vm);
  }

  between(action: () => void): void {
    action();
  }

  state(cpu: number): CpuState {
    return this.#vcpu(cpu).state === 'stopped' ? 'stopped' : 'operating';
  }

  stop(cpu: number): void {
    setStopped(this.#vcpu(cpu));
  }

  start(cpu: number, mask: bigint, address: bigint): void {
    startVcpu(this.#vcpu(cpu), { mask, address });
    setOperating(this.#vcpu(cpu));
  }

  reset(cpu: number, kind: 'normal' | 'initial' | 'clear'): void {
    resetVcpu(this.#vcpu(cpu), kind);
  }

  finish(kind: 'poweroff' | 'crashed' | 'terminated', detail: string): void {
    this.#vm.end ??= { kind, detail };
  }

  #vcpu(cpu: number): Vcpu {
    const vcpu = this.#vm.vcpus[cpu];
    if (vcpu === undefined) throw new RangeError(`${this.#vm.name} has no CPU ${cpu}`);
    return vcpu;
  }
}
