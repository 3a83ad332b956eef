import { createHash } from 'node:crypto';
import { Store } from '../../../src/engine/store.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import {
  codeToRegister,
  type Gfn,
  type GuestPhysical,
  HCALL,
  type Hcall,
  MSR,
  registerToCode,
  SPR,
  SRR1,
  UV_PAGE_SIZE,
  ultracallName,
  VECTOR,
} from '../../../src/powerpc/abi.ts';
import { STUBS } from '../../../src/powerpc/cpu/port.ts';
import { Kvm, type KvmOptions, type VmSpec } from '../../../src/powerpc/kvm/kvm.ts';
import { SWITCHED_SPRS } from '../../../src/powerpc/kvm/registers.ts';
import type { KvmState } from '../../../src/powerpc/kvm/state.ts';
import type { HypercallResult, UserHypercall } from '../../../src/powerpc/kvm/user-space.ts';
import type { Vcpu, Vm } from '../../../src/powerpc/kvm/vm.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { FakePort } from './fake-port.ts';

export const BOOT_ENTRY = 0x8000n;
export const PAGE = UV_PAGE_SIZE;
export const SECURE_BASE = 0x0001_0000_0000_0000;
/** Where the hypervisor's allocator begins. */
export const FREE_BASE = 0x100000;
const COOKIE = 0x5555550n;

/** Plain data as text, one line for each thing of it. */
function inspectable(data: unknown): string {
  return JSON.stringify(
    data,
    (_, value) => {
      if (value instanceof Map || value instanceof Set) return [...value];
      if (ArrayBuffer.isView(value)) return Array.from(value as BigUint64Array | Float64Array, String);
      return typeof value === 'bigint' ? value.toString() : value;
    },
    1,
  );
}

/** An ultracall as the hypervisor made it. */
export interface Ultracall {
  readonly name: string;
  readonly args: readonly bigint[];
}

/** Where the hypervisor left to. */
export type Left =
  | { readonly to: 'guest'; readonly pc: bigint; readonly msr: bigint }
  | { readonly to: 'ultravisor'; readonly status: number; readonly out: readonly bigint[]; readonly hsrr0: bigint }
  | { readonly to: 'stop' };

export interface Options extends Partial<KvmOptions> {
  readonly slotPages?: readonly number[];
  readonly vcpus?: number;
  readonly svmEnabled?: boolean;
  readonly mergeable?: boolean;
  readonly normalPages?: number;
  readonly securePages?: number;
}

/**
 * The KVM half with registers and memory but no CPU: the test plays guest and Ultravisor. Ultracalls are written down and answered by
 * `answer`, until the hypervisor leaves.
 */
export class Machine {
  readonly port: FakePort;
  readonly view: HostView;
  readonly trace = new MemoryTrace();
  readonly kvm: Kvm;
  readonly vm: Vm;
  readonly #memory: RealMemory;
  #books: KvmState | null = null;
  readonly calls: Ultracall[] = [];
  readonly userCalls: UserHypercall[] = [];
  /** The return code of each ultracall; U_SUCCESS by default. May change memory as the Ultravisor would. */
  answer: (call: Ultracall) => number = () => 0;
  /** The VMM. */
  serve: (call: UserHypercall) => HypercallResult | undefined = () => undefined;

  constructor(options: Options = {}) {
    const { normalPages = 64, securePages = 32, ultravisor = true } = options;
    const memory = new RealMemory(new Store((normalPages + securePages + 24) * PAGE), [
      { name: 'normal', base: 0 as RealAddress, size: FREE_BASE + normalPages * PAGE, secure: false },
      { name: 'secure', base: SECURE_BASE as RealAddress, size: securePages * PAGE, secure: true },
    ]);
    this.#memory = memory;
    this.port = new FakePort(0, ultravisor);
    this.view = new HostView(memory, { agent: 'hypervisor', secure: false }, this.trace, () => this.port.clock);
    let random = 0;
    this.kvm = new Kvm({
      bootEntry: BOOT_ENTRY,
      view: this.view,
      memory: [{ base: FREE_BASE as RealAddress, size: normalPages * PAGE }],
      cpus: 1,
      ultravisor,
      secureMemory: securePages * PAGE,
      random: (n) => new Uint8Array(n).fill(++random),
      trace: this.trace,
      timeSlice: 1000n,
      ...options,
      hooks: {
        ...options.hooks,
        booted: (ctx) => {
          this.#books = ctx.kvm;
          options.hooks?.booted?.(ctx);
        },
      },
    });
    this.vm = this.kvm.createVm(this.spec(options));
  }

  spec({ slotPages = [8], vcpus = 1, svmEnabled = true, mergeable = true }: Options): VmSpec {
    let base = 0;
    const slots = slotPages.map((pages, id) => {
      const slot = { id, base: base as GuestPhysical, size: pages * PAGE };
      base += pages * PAGE;
      return slot;
    });
    return {
      name: 'vm',
      slots,
      vcpus,
      svmEnabled,
      mergeable,
      entry: { pc: 0x400000n, msr: MSR.SF, gpr: { 3: 0x1234n } },
      userSpace: {
        hypercall: (call) => {
          this.userCalls.push(call);
          return this.serve(call);
        },
      },
    };
  }

  boot(): Left {
    return this.enter(BOOT_ENTRY);
  }

  /** A guest stops; registers are as the test left them. */
  exit(vector: bigint, at: { pc?: bigint; msr?: bigint; status?: bigint } = {}): Left {
    const { pc = 0x1000n, msr = MSR.SF, status = 0n } = at;
    const hsrr = vector !== VECTOR.SYSTEM_CALL && vector !== VECTOR.MACHINE_CHECK && vector !== VECTOR.SYSTEM_RESET;
    this.port.setSpr(hsrr ? SPR.HSRR0 : SPR.SRR0, pc);
    this.port.setSpr(hsrr ? SPR.HSRR1 : SPR.SRR1, msr | status);
    return this.enter(vector);
  }

  /** A hypercall of a normal guest; with `secure`, of the Ultravisor. */
  hypercall(name: Hcall | number, args: readonly (bigint | number)[] = [], secure = false): Left {
    const { port } = this;
    port.setGpr(3, BigInt(typeof name === 'number' ? name : HCALL[name]));
    for (let i = 0; i < 9; i++) port.setGpr(4 + i, BigInt.asUintN(64, BigInt(args[i] ?? 0)));
    if (!secure) return this.exit(VECTOR.SYSTEM_CALL, { msr: MSR.SF, status: SRR1.LEV1 });
    port.setGpr(31, COOKIE);
    port.setSpr(SPR.HSRR0, COOKIE);
    port.setSpr(SPR.HSRR1, MSR.SF | MSR.S);
    return this.exit(VECTOR.SYSTEM_CALL, { pc: COOKIE, msr: MSR.SF | MSR.S, status: SRR1.LEV1 });
  }

  /** The status of a hypercall of the Ultravisor. */
  upcall(name: Hcall, ...args: readonly (bigint | number)[]): number {
    const left = this.hypercall(name, args, true);
    if (left.to !== 'ultravisor') throw new Error(`left to ${left.to}`);
    if (this.port.gpr(31) !== COOKIE || left.hsrr0 !== COOKIE) throw new Error('the cookie is gone');
    return left.status;
  }

  /** The status of a hypercall of a normal guest. */
  call(name: Hcall | number, ...args: readonly (bigint | number)[]): number {
    const left = this.hypercall(name, args);
    if (left.to !== 'guest') throw new Error(`left to ${left.to}`);
    return registerToCode(this.port.gpr(3));
  }

  /** The names of the ultracalls since the last time. */
  takeCalls(): string[] {
    return this.calls.splice(0).map(({ name }) => name);
  }

  /** Enters the hypervisor and answers its ultracalls until it leaves for good. */
  enter(nia: bigint): Left {
    const { port } = this;
    for (;;) {
      const stub = this.kvm.enter(port, nia);
      if (stub === 'stop') return { to: 'stop' };
      if (stub === 'hrfid') return { to: 'guest', pc: port.spr(SPR.HSRR0), msr: port.spr(SPR.HSRR1) };
      if (stub !== 'ultracall') throw new Error(`left by ${stub}`);
      const name = ultracallName(Number(port.gpr(3)));
      if (name === 'UV_RETURN') {
        const out = [4, 5, 6, 7].map((n) => port.gpr(n));
        return { to: 'ultravisor', status: registerToCode(port.gpr(0)), out, hsrr0: port.spr(SPR.HSRR0) };
      }
      const call = { name, args: [4, 5, 6, 7, 8].map((n) => port.gpr(n)) };
      this.calls.push(call);
      const result = this.answer(call);
      // An ultracall may change all volatile registers, and `sc` changes SRR0 and SRR1.
      for (const n of [0, 4, 5, 6, 7, 8, 9, 10, 11, 12]) port.setGpr(n, 0xdeadn);
      for (const n of [SPR.CTR, SPR.XER, SPR.SRR0, SPR.SRR1]) port.setSpr(n, 0xdeadn);
      port.setCr(0xdead);
      port.setGpr(3, codeToRegister(result));
      nia = port.stubPage + BigInt(STUBS.ultracall.offset + 4);
    }
  }

  /** UV_RETURN came back: it failed. */
  failReturn(code: number): Left {
    this.port.setGpr(3, codeToRegister(code));
    return this.enter(this.port.stubPage + BigInt(STUBS.ultracall.offset + 4));
  }

  /** The entry of `pfns` for a frame. */
  pfn(gfn: number): bigint {
    for (const slot of this.vm.slots) {
      if (gfn >= slot.baseGfn && gfn < slot.baseGfn + slot.npages) return slot.pfns[gfn - slot.baseGfn];
    }
    throw new Error(`no frame ${gfn}`);
  }

  /** The normal page behind a frame, or −1. */
  page(gfn: number): number {
    for (const slot of this.vm.slots) {
      if (gfn >= slot.baseGfn && gfn < slot.baseGfn + slot.npages) return slot.pages[gfn - slot.baseGfn];
    }
    throw new Error(`no frame ${gfn}`);
  }

  /**
   * Everything that a refused call must leave as it is: all books, the registers that calls do not return, and all memory that the allocator has given
   * out.
   * What a call takes and gives back leaves its trace in free memory, and in the order in which that is given out.
   */
  snapshot(): string {
    if (this.#books === null) throw new Error('nothing has booted');
    const { statistics: _, trace: __, view: ___, memory: ____, uvmem, pages, hooks: _____, ...books } = this.#books;
    const { free, ...allocator } = pages.save();
    const isFree = new Set(free);
    const hash = createHash('sha256');
    for (const { base, size } of this.view.reachable()) {
      for (let at = Math.max(base, FREE_BASE); at < base + size; at += PAGE) {
        const page = at as RealAddress;
        if (!isFree.has(page)) hash.update(this.view.read(page, PAGE));
      }
    }
    const jobs = books.cpus.map((cpu) => cpu.jobs.filter(({ kind }) => kind !== 'uv-return'));
    const vms = [...books.vms.values()].map((vm) => ({ ...vm, vcpus: vm.vcpus.map((vcpu) => this.#atRest(vcpu)) }));
    const others = [uvmem.save(), allocator, [...isFree].sort((x, y) => x - y), hash.digest('hex')];
    return inspectable([{ ...books, cpus: jobs, vms }, ...others]);
  }

  /** A vCPU without what every exit changes: what stands of its registers in the record and what in the CPU. */
  #atRest(vcpu: Vcpu): object {
    const { context, spr, fpr, fpscr, ...rest } = vcpu;
    const { loaded } = this.#books?.cpus[vcpu.cpu] ?? {};
    const isLoaded = loaded?.lpid === vcpu.lpid && loaded.vcpu === vcpu.id;
    const kept = context.gpr.slice(14, 31);
    if (!isLoaded) return { ...rest, kept, registers: [SWITCHED_SPRS.map((n) => spr.get(n) ?? 0n), fpr, fpscr] };
    const { port } = this;
    const registers = [SWITCHED_SPRS.map((n) => port.spr(n)), [...port.fprs()], port.fpscr()];
    return { ...rest, kept: context.live ? port.gprs.slice(14, 31) : kept, registers };
  }

  /** Looks at all memory, and at what is free of it in the order in which it is given out. @returns whether all of it is still the same */
  watchMemory(): () => boolean {
    const { bytes } = this.#memory.store;
    const before = Buffer.from(bytes);
    const free = inspectable(this.kvm.pages.save());
    return () => before.equals(bytes) && inspectable(this.kvm.pages.save()) === free;
  }

  gpa(gfn: number): number {
    return (gfn as Gfn) * PAGE;
  }

  /** Takes the VM to Transient, then the given frames in. */
  transient(...pagedIn: number[]): void {
    if (this.upcall('H_SVM_INIT_START') !== 0) throw new Error('H_SVM_INIT_START was refused');
    for (const gfn of pagedIn) {
      if (this.upcall('H_SVM_PAGE_IN', this.gpa(gfn), 0, 16) !== 0) throw new Error(`frame ${gfn} was not paged in`);
    }
    this.calls.length = 0;
  }

  /** Takes the VM to Secure. */
  secure(): void {
    this.transient();
    if (this.upcall('H_SVM_INIT_DONE') !== 0) throw new Error('H_SVM_INIT_DONE was refused');
    this.calls.length = 0;
  }
}
