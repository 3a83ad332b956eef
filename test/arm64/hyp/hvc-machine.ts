import {
  ARM_PAGE_SIZE,
  HOST_CALL,
  HOST_KVM,
  HOST_VCPU,
  HYPERCALL,
  type HypercallName,
  type PkvmProfile,
} from '../../../src/arm64/abi.ts';
import type { ArmCpuOptions } from '../../../src/arm64/cpu/arm-cpu.ts';
import type { RegisterPort } from '../../../src/arm64/cpu/port.ts';
import { PAGE_STATE } from '../../../src/arm64/hyp/hyp-page.ts';
import { Hypervisor } from '../../../src/arm64/hyp/hypervisor.ts';
import { guestStateOf } from '../../../src/arm64/hyp/ownership.ts';
import type { Pkvm } from '../../../src/arm64/hyp/pkvm.ts';
import { addressOf, donationOf, isTable, isValid } from '../../../src/arm64/hyp/stage2-format.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { AT, asm, RAM, RAM_BYTES, TestMachine } from '../cpu/machine.ts';

const MIB = 1 << 20;
/** What the host runs, and where everything lies. */
export const CODE = RAM + 0x1000;
export const PLAY = RAM + 4 * MIB;
const STRUCTURES = RAM + 6 * MIB;
const CACHE = RAM + 7 * MIB;
export const POOL = { base: RAM + 8 * MIB, bytes: 4 * MIB } as const;
export const TEXT = RAM + 15 * MIB;
export const PAGE = ARM_PAGE_SIZE;

/** Signed, as the host reads x1. */
const signed = (value: bigint): number => Number(BigInt.asIntN(64, value));

/** A VM of the host's: where its structures lie. */
export interface TestVm {
  readonly handle: number;
  readonly kvm: number;
  readonly vcpu: number;
}

/** A host at EL1 that calls by HVC instructions, above it the hyp at EL2 with its tables in RAM. */
export class HvcMachine {
  readonly machine: TestMachine;
  readonly hyp: Hypervisor;
  #nextStructure = STRUCTURES;
  #nextCachePage = CACHE;

  constructor(profile: PkvmProfile = 'I', options: Partial<ArmCpuOptions> = {}) {
    let view: HostView | undefined;
    // The machine makes its memory itself: the hyp's view is made when it is first used.
    const late = new Proxy({} as HostView, {
      get: (_, name) => {
        const value = Reflect.get(view as HostView, name) as unknown;
        return typeof value === 'function' ? value.bind(view) : value;
      },
    });
    this.hyp = new Hypervisor({
      view: late,
      profile,
      memory: [{ base: RAM as RealAddress, size: RAM_BYTES }],
      text: { start: TEXT, count: 1 },
      cpus: 2,
      host: { entry: BigInt(CODE), x0: 0n },
    });
    const seat = { level: this.hyp, stubPage: TEXT as RealAddress, boot: (port: RegisterPort) => this.hyp.boot(port) };
    this.machine = new TestMachine({ native: { hyp: seat }, ...options });
    view = new HostView(this.machine.memory, { agent: 'ultravisor', secure: true }, null, () => 0n);
    this.machine.words(CODE, [asm('hvc'), 0x14000000]);
    this.machine.cpu.place(AT.el2, BigInt(TEXT));
    this.runTo(CODE);
  }

  /** Runs until EL1 is at an address, where it stays if `step` is more than an instruction. */
  runTo(address: number, step = 1): void {
    const { cpu } = this.machine;
    for (let n = 0; n < 4000; n++) {
      if (cpu.core.level === 1 && cpu.context.pc === BigInt(address)) return;
      cpu.run(step);
    }
    throw new Error(`EL1 never came to 0x${address.toString(16)}`);
  }

  /** An HVC with registers as given: x0 and x1 behind it. */
  hvc(x0: bigint, ...args: (number | bigint)[]): { x0: bigint; x1: bigint } {
    const { cpu } = this.machine;
    cpu.setX(0, x0);
    for (let n = 0; n < 4; n++) cpu.setX(n + 1, BigInt.asUintN(64, BigInt(args[n] ?? 0)));
    cpu.place(AT.el1, BigInt(CODE));
    this.runTo(CODE + 4, 64);
    return { x0: cpu.x(0), x1: cpu.x(1) };
  }

  /** A hypercall: its result. @throws Error where the door does not know it */
  call(name: HypercallName, ...args: (number | bigint)[]): number {
    const { x0, x1 } = this.hvc(HOST_CALL.base + BigInt(HYPERCALL[name]), ...args);
    if (x0 !== 0n) throw new Error(`${name}: x0 is ${signed(x0)}`);
    return signed(x1);
  }

  /** Boots the hyp and takes the host's rights away. */
  finalise(): this {
    this.hvc(HOST_CALL.base);
    const error = this.call('__pkvm_init', POOL.base, POOL.bytes, 0, 48) || this.call('__pkvm_prot_finalize');
    if (error !== 0) throw new Error(`no hyp: ${error}`);
    return this;
  }

  get pkvm(): Pkvm {
    const { pkvm } = this.hyp;
    if (pkvm === null) throw new Error('there is no hyp yet');
    return pkvm;
  }

  /** Pages of the host's that nothing else uses. */
  structure(pages: number): number {
    const at = this.#nextStructure;
    this.#nextStructure += pages * PAGE;
    return at;
  }

  share(address: number, pages: number): void {
    for (let n = 0; n < pages; n++) {
      const error = this.call('__pkvm_host_share_hyp', address / PAGE + n);
      if (error !== 0) throw new Error(`share: ${error}`);
    }
  }

  /** A `struct kvm` with its fields, shared with the hyp. */
  kvm(isProtected: boolean, vcpus = 1): { kvm: number; handle: number } {
    const kvm = this.structure(1);
    const handle = this.call('__pkvm_reserve_vm');
    this.machine.quad(kvm + HOST_KVM.handle, BigInt(handle));
    this.machine.quad(kvm + HOST_KVM.createdVcpus, BigInt(vcpus));
    this.machine.quad(kvm + HOST_KVM.isProtected, isProtected ? 1n : 0n);
    this.share(kvm, 1);
    return { kvm, handle };
  }

  /** A VM with one vCPU. */
  vm(isProtected: boolean, prepare: (vcpu: number) => void = () => {}): TestVm {
    const { kvm, handle } = this.kvm(isProtected);
    const vcpu = this.structure(2);
    prepare(vcpu);
    this.share(vcpu, 2);
    const error =
      this.call('__pkvm_init_vm', kvm, this.structure(1), this.structure(1)) ||
      this.call('__pkvm_init_vcpu', handle, vcpu, this.structure(2));
    if (error !== 0) throw new Error(`no VM: ${error}`);
    return { handle, kvm, vcpu };
  }

  /** Loads a VM's vCPU in place of what is loaded. */
  load({ handle }: TestVm): void {
    this.call('__pkvm_vcpu_put');
    this.call('__pkvm_vcpu_load', handle, 0, 0);
  }

  /** Lays pages ready for the hyp, as many as a mapping can need. */
  topUp({ vcpu }: TestVm, pages = 3): void {
    const { machine } = this;
    const cache = vcpu + HOST_VCPU.memcache;
    while (machine.quadAt(cache + 8) < BigInt(pages)) {
      const page = this.#nextCachePage;
      this.#nextCachePage += PAGE;
      machine.quad(page, machine.quadAt(cache));
      machine.quad(cache, BigInt(page));
      machine.quad(cache + 8, machine.quadAt(cache + 8) + 1n);
    }
  }

  /** Everything that calls can change beside the host's lazy mappings: page records, EL2's table, annotations and guests' tables. */
  dump(): string {
    const { pages, host, el2, vms } = this.pkvm;
    const lines: string[] = [];
    for (let page: number = RAM; page < RAM + RAM_BYTES; page += PAGE) {
      if (page >= POOL.base && page < POOL.base + POOL.bytes) continue;
      const record = [pages.hostState(page), pages.hypState(page), pages.refcount(page), pages.guestShares(page)];
      lines.push(`${page.toString(16)}: ${record.join()} ${el2.lookUp(page).toString(16)}`);
    }
    lines.push(...leaves(host).flatMap(({ at, pte }) => (isValid(pte) ? [] : `host ${at}=${pte.toString(16)}`)));
    for (const vm of vms.vms) {
      lines.push(`vm ${vm.handle} ${vm.isDying} ${vm.vcpus.map((vcpu) => vcpu?.loadedOn)}`);
      lines.push(...leaves(vm.table).map(({ at, pte }) => `${vm.handle} ${at}=${pte.toString(16)}`));
    }
    return lines.join('\n');
  }

  /** Who has each page of a range and who else may use it, as tables and records say. */
  holders(start: number, count: number): string[] {
    const { pages, host, vms } = this.pkvm;
    const annotated = new Map(leaves(host).map(({ at, pte }) => [at, pte]));
    const seen = vms.vms.flatMap((vm) =>
      leaves(vm.table).flatMap(({ at, pte }) =>
        isValid(pte) ? { page: addressOf(pte), who: `${vm.handle}@${at}`, state: guestStateOf(pte) } : [],
      ),
    );
    return Array.from({ length: count }, (_, n) => {
      const page = start + n * PAGE;
      const ends = [
        { who: 'host', state: pages.hostState(page) },
        { who: 'hyp', state: pages.hypState(page) },
        ...seen.filter((end) => end.page === page),
      ];
      const owners = ends.filter(({ state }) => state === PAGE_STATE.owned || state === PAGE_STATE.sharedOwned);
      const sharers = ends.filter(({ state }) => state === PAGE_STATE.sharedBorrowed).map(({ who }) => who);
      const pte = annotated.get(page);
      // The hyp's code is the one exception: the host has it mapped, to read.
      const annotatedNot = pte === undefined || isValid(pte);
      if (pages.hostState(page) === PAGE_STATE.noPage && annotatedNot && page !== TEXT) {
        throw new Error(`0x${page.toString(16)} has no annotation`);
      }
      const owner = owners.map(({ who }) => who).join('+');
      if (pte !== undefined && !isValid(pte) && owner !== 'hyp') {
        const { handle, gfn } = donationOf(pte);
        if (owner !== `${handle}@${gfn * PAGE}`) throw new Error(`${owner} has a page that is ${handle}@${gfn}'s`);
      }
      return `${owner}:${sharers.sort().join()}`;
    });
  }
}

/** Leaves and annotations of a table with the addresses they stand for. */
function leaves(table: Pkvm['host']): { at: number; pte: bigint }[] {
  const found: { at: number; pte: bigint }[] = [];
  const look = (page: number, level: number, base: number, entries: number): void => {
    for (let i = 0; i < entries; i++) {
      const pte = table.entries.read(page + 8 * i);
      const at = base + i * 2 ** (12 + 9 * (3 - level));
      if (isTable(pte, level)) look(addressOf(pte), level + 1, at, 512);
      else if (pte !== 0n) found.push({ at, pte });
    }
  };
  if (table.root !== null) look(table.root, table.startLevel, 0, table.rootBytes / 8);
  return found;
}
