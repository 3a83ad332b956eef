import type { GicV3 } from '../../devices/gicv3.ts';
import type { PhysicalBus } from '../../devices/mmio.ts';
import type { HostView } from '../../machine/host-view.ts';
import type { RealAddress } from '../../machine/types.ts';
import type { TraceSink } from '../../trace/events.ts';
import {
  ARM_PAGE_SIZE,
  ERRNO,
  HOST_CALL,
  HOST_KVM,
  HOST_VCPU,
  HYPERCALL,
  type PkvmProfile,
  RESET_PSTATE,
  RESET_SCTLR,
} from '../abi.ts';
import { type NativeLevel, type RegisterPort, STUBS, type Stub } from '../cpu/port.ts';
import { runBoot } from './boot-job.ts';
import { runCreate } from './create-vm.ts';
import { startHostGic } from './host-gic.ts';
import { HostPages } from './host-pages.ts';
import type { Job, Step } from './job.ts';
import { runMap } from './map-page.ts';
import { runVcpu } from './run-vcpu.ts';
import { GUEST_TRAPS, runSchedule, wokeUp } from './schedule.ts';
import { type Ctx, count, type HostLayout, type KvmHooks, type KvmState, type KvmStatistics } from './state.ts';
import { runTeardown } from './teardown.ts';
import type { UserSpace } from './user-space.ts';
import { VcpuStruct } from './vcpu-struct.ts';
import type { Vcpu, Vm } from './vm.ts';

/** What the host is built from. */
export interface KvmOptions {
  /** Memory with the rights of EL1 below the host's stage 2. */
  readonly view: HostView;
  /** Memory for the host itself. */
  readonly memory: { readonly base: RealAddress; readonly bytes: number };
  /** The interrupt controller. */
  readonly devices: PhysicalBus;
  readonly layout: HostLayout;
  readonly profile: PkvmProfile;
  readonly trace: TraceSink | null;
  readonly hooks?: KvmHooks;
}

/** A virtual machine to be made. */
export interface VmSpec {
  readonly name: string;
  readonly isProtected: boolean;
  /** Guest physical address of its memory, and the host pages for it, consecutive. */
  readonly base: number;
  readonly bytes: number;
  readonly memory: RealAddress;
  readonly vcpus: number;
  readonly gic: GicV3;
  readonly userSpace: UserSpace;
  /** Where the first vCPU begins, and its x0. */
  readonly entry: bigint;
  readonly argument: bigint;
}

/**
 * The KVM half: untrusted host software at EL1, below the host's stage 2, as Linux's KVM is in protected mode. It reaches the hyp by HVC alone, and
 * memory through its view, which the machine checks against the host's stage 2.
 */
export class Kvm implements NativeLevel {
  readonly #state: KvmState;

  constructor(options: KvmOptions) {
    const { view, memory, layout } = options;
    this.#state = {
      view,
      pages: new HostPages(view, memory.base, memory.bytes),
      devices: options.devices,
      layout,
      profile: options.profile,
      trace: options.trace,
      vms: [],
      cpus: Array.from({ length: layout.cpus }, (_, index) => ({
        index,
        loaded: null,
        jobs: [],
        waiting: false,
        inGuest: false,
        turn: null,
        sliceEnd: 0n,
      })),
      extra: [],
      statistics: { exits: {}, calls: {} },
      hooks: options.hooks ?? {},
    };
  }

  get vms(): readonly Vm[] {
    return this.#state.vms;
  }

  /** Whether nothing is left to run: every VM has ended and is taken down. */
  get finished(): boolean {
    return this.vms.every(({ destroyed }) => destroyed);
  }

  get statistics(): KvmStatistics {
    return this.#state.statistics;
  }

  get pages(): HostPages {
    return this.#state.pages;
  }

  /** Makes a VM; the hyp learns of it when a CPU next looks. Its memory can be written at once. */
  createVm(spec: VmSpec): Vm {
    const { pages, view, profile, layout } = this.#state;
    const vcpus: Vcpu[] = [];
    const vm: Vm = {
      name: spec.name,
      isProtected: spec.isProtected,
      isolated: spec.isProtected && profile === 'I',
      base: spec.base,
      frames: Float64Array.from({ length: spec.bytes / ARM_PAGE_SIZE }, (_, n) => spec.memory + n * ARM_PAGE_SIZE),
      mapped: new Set(),
      vcpus,
      gic: spec.gic,
      userSpace: spec.userSpace,
      kvm: pages.allocateRange(HOST_KVM.size / ARM_PAGE_SIZE),
      handle: 0,
      areas: [],
      created: false,
      end: null,
      tearingDown: false,
      destroyed: false,
    };
    for (let index = 0; index < spec.vcpus; index++) {
      const struct = new VcpuStruct(view, pages.allocateRange(HOST_VCPU.size / ARM_PAGE_SIZE));
      struct.write(HOST_VCPU.vcpuId, BigInt(index));
      struct.write(HOST_VCPU.vcpuIndex, BigInt(index));
      struct.write(HOST_VCPU.flags, 1n);
      struct.setState('hcr', GUEST_TRAPS);
      vcpus.push({
        vm,
        index,
        cpu: index % layout.cpus,
        struct,
        state: index === 0 ? 'running' : 'off',
        timer: { control: 0n, compare: 0n },
        listed: [],
        fault: { gfn: -1, count: 0 },
      });
    }
    const first = vcpus[0]?.struct;
    first?.setX(0, spec.argument);
    if (first !== undefined) {
      first.pc = spec.entry;
      first.pstate = RESET_PSTATE;
      first.setRegister('SCTLR_EL1', RESET_SCTLR);
    }
    this.#state.vms.push(vm);
    return vm;
  }

  enter(port: RegisterPort, pc: bigint): Stub {
    const cpu = this.#state.cpus[port.cpu];
    if (cpu === undefined) throw new Error(`no CPU ${port.cpu}`);
    const ctx: Ctx = { kvm: this.#state, port, cpu };
    switch (pc) {
      case this.#state.layout.entry:
        return this.#boot(ctx);
      case behind(port, 'hvc'):
        return run(ctx, port.x(0) === 0n ? signed(port.x(1)) : ERRNO.EOPNOTSUPP);
      case behind(port, 'smc'):
        return run(ctx, signed(port.x(0)));
      case behind(port, 'wfi'):
        wokeUp(ctx);
        return run(ctx, 0);
      default:
        throw new Error(`the host is entered at 0x${pc.toString(16)}: an exception of its own code`);
    }
  }

  #boot(ctx: Ctx): Stub {
    startHostGic(ctx);
    ctx.cpu.jobs.push({ kind: 'schedule', step: 'look' });
    if (ctx.cpu.index === 0) ctx.cpu.jobs.push({ kind: 'boot', step: 'vectors', cpu: 0 });
    return run(ctx, 0);
  }
}

const behind = (port: RegisterPort, stub: Stub): bigint => port.stubPage + BigInt(STUBS[stub].offset) + 4n;
const signed = (value: bigint): number => Number(BigInt.asIntN(64, value));

/** Runs jobs until one leaves the host. `result` is for the current one. */
function run(ctx: Ctx, first: number): Stub {
  const { jobs } = ctx.cpu;
  for (let result = first; ; ) {
    const job = jobs.at(-1);
    if (job === undefined) throw new Error('a CPU has nothing to do, not even to look for something');
    const step = runJob(ctx, job, result);
    switch (step.do) {
      case 'call':
        return call(ctx, step);
      case 'hyp-init':
        ctx.port.setX(0, HOST_CALL.base);
        return 'hvc';
      case 'smc':
        for (const [n, value] of step.registers.entries()) ctx.port.setX(n, value);
        return 'smc';
      case 'job':
        jobs.push(step.job);
        result = 0;
        break;
      case 'give':
        jobs.pop();
        result = step.value;
        break;
      case 'again':
        result = 0;
        break;
      case 'wait':
        ctx.cpu.waiting = true;
        return 'wfi';
    }
  }
}

function runJob(ctx: Ctx, job: Job, result: number): Step {
  switch (job.kind) {
    case 'boot':
      return runBoot(ctx, job, result);
    case 'schedule':
      return runSchedule(ctx, job);
    case 'create':
      return runCreate(ctx, job, result);
    case 'run':
      return runVcpu(ctx, job, result);
    case 'map':
      return runMap(ctx, job, result);
    case 'teardown':
      return runTeardown(ctx, job);
  }
}

/** Puts a hypercall into the registers. */
function call({ kvm, port }: Ctx, { name, args }: Extract<Step, { do: 'call' }>): Stub {
  port.setX(0, HOST_CALL.base + BigInt(HYPERCALL[name]));
  for (const [n, value] of args.entries()) port.setX(n + 1, BigInt.asUintN(64, BigInt(value)));
  count(kvm.statistics.calls, name);
  return 'hvc';
}
