import { nodeProvider } from '../../../src/crypto/node.ts';
import { Store } from '../../../src/engine/store.ts';
import { RTAS_TEXT } from '../../../src/image/rtas-text.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import {
  type GuestPhysical,
  MSR,
  RADIX_ROOT,
  registerToCode,
  SPR,
  SRR1,
  ULTRACALL,
  VECTOR,
} from '../../../src/powerpc/abi.ts';
import { STUBS } from '../../../src/powerpc/cpu/port.ts';
import { Kvm } from '../../../src/powerpc/kvm/kvm.ts';
import type { Vm } from '../../../src/powerpc/kvm/vm.ts';
import type { PageCipher } from '../../../src/powerpc/ultravisor/page-cipher.ts';
import { Ultravisor } from '../../../src/powerpc/ultravisor/ultravisor.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { FakePowerPort } from '../../support/fake-power-port.ts';
import {
  GUEST_FRAMES,
  GUEST_MSR,
  guestInitrd,
  guestTree,
  HV_ENTRY,
  INITRD_AT,
  KERNEL,
  MACHINE_KEY,
  PAGE,
  RTAS_AT,
  stream,
  TREE,
} from '../ultravisor/machine.ts';

export const SECURE_BASE = 0x0001_0000_0000_0000;
const NORMAL_BYTES = 8 << 20;
/** Where the memory begins that KVM gives out. */
const FREE_BASE = 0x100000;
/** A fault is tried again where it only made room for a page; so often at most. */
const MOST_FAULTS = 50;
/** Ticks: longer than a time slice. */
const LONG = 10_000n;
/** No guest's code: where its last instruction was. */
const GUEST_NIA = 0x20100n;

class Port extends FakePowerPort {
  override readonly stubPage = 0x7000n;
}

/**
 * KVM and the Ultravisor as they are, on one CPU that is only registers and memory: what a CPU does between them is done here, and the test
 * plays the guests, all of them the one of `../ultravisor/machine.ts`.
 */
export class BothHalves {
  readonly port = new Port();
  readonly trace = new MemoryTrace();
  readonly uv: Ultravisor;
  readonly kvm: Kvm;
  readonly vms: readonly Vm[];
  /** Memory with all rights, for what a test has to know, and as the hypervisor has it. */
  readonly all: HostView;
  readonly hv: HostView;
  #nia = 0n;

  constructor(guests: number, secureFrames: number, cipher: PageCipher) {
    const secureBytes = secureFrames * PAGE;
    const memory = new RealMemory(new Store(NORMAL_BYTES + secureBytes + (1 << 20)), [
      { name: 'normal', base: 0 as RealAddress, size: NORMAL_BYTES, secure: false },
      { name: 'secure', base: SECURE_BASE as RealAddress, size: secureBytes, secure: true },
    ]);
    const { port, trace } = this;
    const clock = () => port.clock;
    this.hv = new HostView(memory, { agent: 'hypervisor', secure: false }, trace, clock);
    this.all = new HostView(memory, { agent: 'ultravisor', secure: true }, null, clock);
    this.uv = new Ultravisor({
      view: new HostView(memory, { agent: 'ultravisor', secure: true }, trace, clock),
      secureRanges: [{ base: SECURE_BASE as RealAddress, size: secureBytes }],
      hypervisorEntry: HV_ENTRY,
      random: { cookies: stream(1), keys: stream(2), hRandom: stream(3) },
      crypto: nodeProvider,
      cipher,
      machineKey: MACHINE_KEY,
      esmScope: 'all',
      traceServed: false,
      trace,
    });
    this.kvm = new Kvm({
      bootEntry: HV_ENTRY.nia,
      view: this.hv,
      memory: [{ base: FREE_BASE as RealAddress, size: NORMAL_BYTES - FREE_BASE }],
      cpus: 1,
      ultravisor: true,
      // A name for every frame of every guest, plugged ones too.
      secureMemory: guests * 2 * GUEST_FRAMES * PAGE,
      random: stream(4),
      trace,
      timeSlice: 1000n,
      pageMerging: { pagesToScan: 16, sleepTicks: 5000n },
    });
    this.vms = Array.from({ length: guests }, (_, n) =>
      this.kvm.createVm({
        name: `vm ${n}`,
        slots: [{ id: 0, base: 0 as GuestPhysical, size: GUEST_FRAMES * PAGE }],
        vcpus: 1,
        svmEnabled: true,
        entry: { pc: GUEST_NIA, msr: GUEST_MSR, gpr: {} },
        userSpace: { hypercall: () => undefined },
      }),
    );
    for (const vm of this.vms) {
      for (let gfn = 0; gfn < GUEST_FRAMES; gfn++) {
        this.kvm.memory.write(vm, gfn * PAGE, new Uint8Array(PAGE).fill(0x10 + gfn));
      }
      this.kvm.memory.write(vm, Number(TREE), guestTree());
      this.kvm.memory.write(vm, Number(TREE) + RTAS_AT, RTAS_TEXT);
      this.kvm.memory.write(vm, Number(TREE) + INITRD_AT, guestInitrd());
    }
    this.#urfid(this.uv.boot(port));
  }

  /** The VM whose guest has the CPU. */
  get current(): Vm | undefined {
    const isGuest = (this.port.currentMsr & MSR.HV) === 0n;
    return isGuest ? this.kvm.vms.find(({ lpid }) => BigInt(lpid) === this.port.spr(SPR.LPIDR)) : undefined;
  }

  get isSecure(): boolean {
    return (this.port.currentMsr & MSR.S) !== 0n;
  }

  /** Time passes until the guest of a VM has the CPU. */
  switchTo(vm: Vm): void {
    for (let turns = 0; this.current !== vm; turns++) {
      if (turns > 4 * this.vms.length || vm.end !== null)
        throw new Error(`${vm.name} does not run: ${JSON.stringify(vm.end)}`);
      this.tick();
    }
  }

  /** The hypervisor's decrementer goes off in the guest: the hypervisor does what it was asked for, and the next guest runs. */
  tick(): void {
    this.port.clock += LONG;
    this.#interrupt(VECTOR.HV_DECREMENTER);
  }

  /** The guest's `sc 2`; gives R3. */
  ultracall(call: keyof typeof ULTRACALL, ...args: readonly (bigint | number)[]): number {
    return this.#call(ULTRACALL[call], args, SRR1.LEV2);
  }

  /** The guest's `sc 1`; gives R3. */
  hypercall(number: number, ...args: readonly (bigint | number)[]): number {
    return this.#call(number, args, SRR1.LEV1);
  }

  /** UV_ESM of the guest that has the CPU. @returns R3 where it stayed normal, 0 where it is secure */
  esm(): number {
    const result = this.ultracall('UV_ESM', KERNEL, TREE);
    return this.isSecure ? 0 : result;
  }

  /** What the guest loads from a page of its own. */
  load(gpa: number, length: number): Uint8Array {
    return this.all.read(this.#translate(gpa, false), length);
  }

  store(gpa: number, bytes: Uint8Array): void {
    this.all.write(this.#translate(gpa, true), bytes);
  }

  /** The real address of the guest's, after all faults on the way. */
  #translate(gpa: number, store: boolean): RealAddress {
    const vm = this.current;
    for (let faults = 0; faults < MOST_FAULTS; faults++) {
      if (vm === undefined) break;
      const leaf = this.#leaf(gpa);
      const isDenied = store && (leaf & LEAF_WRITE) === 0n;
      if (leaf !== 0n && !isDenied) return (Number(leaf & LEAF_PAGE) + (gpa % PAGE)) as RealAddress;
      const { port } = this;
      port.setSpr(SPR.ASDR, BigInt(gpa));
      port.setSpr(SPR.HDAR, BigInt(gpa));
      port.setSpr(
        SPR.HDSISR,
        (isDenied && leaf !== 0n ? DSISR_PROTECTION : DSISR_NO_TRANSLATION) | (store ? DSISR_STORE : 0n),
      );
      this.#interrupt(VECTOR.HV_DATA_STORAGE);
      this.switchTo(vm);
    }
    throw new Error(`no page for 0x${gpa.toString(16)} of ${vm?.name}`);
  }

  /** The leaf of a page in the tree that the partition table has for the guest: four levels of 13, 9, 9 and 5 bits (power-pef.md 2.3). */
  #leaf(gpa: number): bigint {
    const table = Number(this.port.spr(SPR.PTCR) & 0x0ffffffffffff000n);
    let entry = this.all.readU64((table + 16 * Number(this.port.spr(SPR.LPIDR))) as RealAddress);
    let shift = 52n;
    let base = entry & RADIX_ROOT.RPDB;
    let bits = 13n;
    for (;;) {
      shift -= bits;
      const index = (BigInt(gpa) >> shift) & ((1n << bits) - 1n);
      entry = this.all.readU64(Number(base + 8n * index) as RealAddress);
      if ((entry & VALID) === 0n) return 0n;
      if ((entry & LEAF) !== 0n) return entry;
      base = entry & NEXT_TABLE;
      bits = entry & 0x1fn;
    }
  }

  #call(number: number, args: readonly (bigint | number)[], level: bigint): number {
    const vm = this.current;
    this.port.setGpr(3, BigInt(number));
    for (const [i, arg] of args.entries()) this.port.setGpr(4 + i, BigInt(arg));
    this.#interrupt(VECTOR.SYSTEM_CALL, level);
    if (vm !== undefined) this.switchTo(vm);
    return registerToCode(this.port.gpr(3));
  }

  /** What the CPU does where an interrupt goes to HV=1. */
  #interrupt(vector: bigint, status = 0n): void {
    const { port } = this;
    const [srr0, srr1] = vector === VECTOR.SYSTEM_CALL ? [SPR.SRR0, SPR.SRR1] : [SPR.HSRR0, SPR.HSRR1];
    port.setSpr(srr0, vector === VECTOR.SYSTEM_CALL ? this.#nia + 4n : this.#nia);
    port.setSpr(srr1, port.currentMsr | status);
    if (this.isSecure || status === SRR1.LEV2) {
      port.currentMsr = MSR.SF | MSR.HV | MSR.S;
      this.#urfid(this.uv.enter(port, vector));
    } else this.#hypervisor(vector);
  }

  #urfid(stub: string): void {
    const { port } = this;
    if (stub !== 'urfid') throw new Error(`the Ultravisor left by ${stub}`);
    port.currentMsr = port.spr(SPR.USRR1);
    this.#nia = port.spr(SPR.USRR0);
    if ((port.currentMsr & (MSR.HV | MSR.S)) === MSR.HV) this.#hypervisor(this.#nia);
  }

  #hypervisor(nia: bigint): void {
    const { port } = this;
    port.currentMsr = HV_ENTRY.msr;
    const stub = this.kvm.enter(port, nia);
    if (stub === 'hrfid') {
      port.currentMsr = port.spr(SPR.HSRR1);
      this.#nia = port.spr(SPR.HSRR0);
    } else if (stub === 'ultracall') {
      port.setSpr(SPR.SRR0, port.stubPage + BigInt(STUBS.ultracall.offset + 4));
      port.setSpr(SPR.SRR1, port.currentMsr | SRR1.LEV2);
      port.currentMsr = MSR.SF | MSR.HV | MSR.S;
      this.#urfid(this.uv.enter(port, VECTOR.SYSTEM_CALL));
    } else throw new Error(`KVM left by ${stub}: no guest can run`);
  }
}

/** Fields of the entries of a radix tree (ISA 3.0B, Book III 5.7.10.2), and causes in HDSISR (5.7.12). */
const VALID = 1n << 63n;
const LEAF = 1n << 62n;
const LEAF_PAGE = 0x01fffffffffff000n;
const LEAF_WRITE = 0x2n;
const NEXT_TABLE = 0x0fffffffffffff00n;
const DSISR_NO_TRANSLATION = 0x40000000n;
const DSISR_PROTECTION = 0x08000000n;
const DSISR_STORE = 0x02000000n;
