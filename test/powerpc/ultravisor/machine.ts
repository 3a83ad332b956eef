import { nodeProvider } from '../../../src/crypto/node.ts';
import type { RsaPrivateKey } from '../../../src/crypto/rsa.ts';
import { readRsaPrivateKey } from '../../../src/crypto/rsa-key.ts';
import { Store } from '../../../src/engine/store.ts';
import { writeEsmArchive } from '../../../src/image/esm-archive.ts';
import { cellsValue, fdtNode, stringValue, u32Value, writeFdt } from '../../../src/image/fdt.ts';
import { RTAS_TEXT } from '../../../src/image/rtas-text.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import {
  codeToRegister,
  type Gfn,
  HCALL,
  LPCR,
  MSR,
  packRadixRoot,
  RADIX_ROOT,
  registerToCode,
  SECURE_ADDRESS_BIT,
  SPR,
  SRR1,
  ULTRACALL,
  type Ultracall,
  UV_PAGE_SIZE,
  VECTOR,
} from '../../../src/powerpc/abi.ts';
import { blobFor } from '../../../src/powerpc/tenant.ts';
import type { EsmScope } from '../../../src/powerpc/ultravisor/context.ts';
import { DEVELOPMENT_KEY } from '../../../src/powerpc/ultravisor/development-key.ts';
import type { PageCipher } from '../../../src/powerpc/ultravisor/page-cipher.ts';
import { pageAt } from '../../../src/powerpc/ultravisor/pages.ts';
import { Ultravisor } from '../../../src/powerpc/ultravisor/ultravisor.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { FakePowerPort } from '../../support/fake-power-port.ts';

export const PAGE = UV_PAGE_SIZE;
export const LPID = 5;
export const SLOT = 3;
/** Frames of the guest, in one slot from 0. */
export const GUEST_FRAMES = 8;
export const TREE = 0x10000n;
export const TREE_BYTES = 1024;
export const KERNEL = 0x20000n;
/** Bytes of the guest's kernel that the blob proves: not its whole page. */
export const KERNEL_BYTES = 0x8000;
/** Behind the tree in its page, as offsets in it: RTAS, and the initrd, which begins with the archive of the blob. */
export const RTAS_AT = 0x1000;
export const INITRD_AT = 0x2000;
/** The initrd proper. */
export const INITRD = new TextEncoder().encode('an initrd of some bytes');
/** The blob's file `rootd`: two chunks and a rest. */
export const PASS_PHRASE = Uint8Array.from({ length: 150 }, (_, i) => 0x20 + (i % 95));
export const BOOTARGS = 'svm=on';
export const MACHINE_KEY = readRsaPrivateKey(DEVELOPMENT_KEY);
export const PIDR = 77n;
export const GUEST_MSR = MSR.SF | MSR.ME | MSR.EE | MSR.RI | MSR.LE;
/** The guest's address of its `sc 2` for UV_ESM, plus 4. */
export const ESM_NIA = 0x2468n;
/** Where the guest's memory is before it is secure; the rest of normal memory is the hypervisor's. */
export const GUEST_RA = 0x100000;
export const HV_ENTRY = { nia: 0x8000n, msr: MSR.SF | MSR.HV | MSR.ME };
export const HV_PATE = {
  dw0: RADIX_ROOT.HR | packRadixRoot({ base: 0x40000n, rootBits: 13, rts: 21 }),
  dw1: RADIX_ROOT.HR,
};

const NORMAL_BYTES = 4 << 20;
const HV_PAGES = 0x200000;

/** What the hypervisor finds when it gets control. */
export interface Seen {
  readonly nia: bigint;
  readonly msr: bigint;
  readonly gprs: readonly bigint[];
  readonly fprs: readonly bigint[];
  readonly fpscr: bigint;
  readonly cr: number;
  readonly sprs: ReadonlyMap<number, bigint>;
  readonly dec: bigint;
}

/** How the hypervisor of a test answers a hypercall: the result, or undefined for what an honest one does. */
export type Serve = (number: number, args: readonly bigint[]) => number | undefined;

export interface MachineOptions {
  readonly secureFrames?: number;
  readonly cookies?: (n: number) => Uint8Array;
  readonly keys?: (n: number) => Uint8Array;
  readonly cipher?: PageCipher;
  readonly machineKey?: RsaPrivateKey;
  readonly esmScope?: EsmScope;
}

/** A stream of bytes that never repeats soon. */
export function stream(seed: number): (n: number) => Uint8Array {
  let state = seed;
  return (n) =>
    Uint8Array.from({ length: n }, () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state >>> 24;
    });
}

/**
 * The Ultravisor with registers and memory but no CPU: the test is guest and hypervisor. The hypervisor is honest
 * unless `serve` says otherwise, and knows of the Ultravisor what `sc 2`, registers and normal memory tell.
 */
export class Machine {
  /** The CPU that the test acts on. */
  port = new FakePowerPort();
  readonly trace = new MemoryTrace();
  readonly memory: RealMemory;
  /** Memory as the hypervisor reaches it. */
  readonly hv: HostView;
  /** All memory, for what a test has to know. */
  readonly all: HostView;
  readonly uv: Ultravisor;
  /** Every entry of the hypervisor. */
  readonly seen: Seen[] = [];
  /** Hypercalls by number and arguments that the hypervisor was asked for. */
  readonly calls: { readonly number: number; readonly args: readonly bigint[] }[] = [];
  /** The hypervisor's page of each guest frame that has one. */
  readonly resident = new Map<number, number>();
  /** Frames that were moved to secure memory. */
  readonly moved = new Set<number>();
  serve: Serve = () => undefined;
  nia = 0n;
  /** Where the second vCPU began. */
  secondNia = 0n;
  /** Where `boot` left to. */
  readonly booted: bigint;
  /** SRR0 and R3 with which the hypervisor went on in a normal guest, after an abort. */
  resumed: { readonly nia: bigint; readonly r3: bigint } | null = null;
  #nextPage = HV_PAGES;

  constructor({
    secureFrames = 64,
    cookies = stream(1),
    keys = stream(2),
    cipher = 'iapm',
    machineKey = MACHINE_KEY,
    esmScope = 'all',
  }: MachineOptions = {}) {
    const secureBytes = secureFrames * PAGE;
    this.memory = new RealMemory(new Store(NORMAL_BYTES + secureBytes + (1 << 20)), [
      { name: 'normal', base: 0 as RealAddress, size: NORMAL_BYTES, secure: false },
      { name: 'secure', base: SECURE_ADDRESS_BIT as RealAddress, size: secureBytes, secure: true },
    ]);
    const clock = () => this.port.clock;
    this.hv = new HostView(this.memory, { agent: 'hypervisor', secure: false }, this.trace, clock);
    this.all = new HostView(this.memory, { agent: 'ultravisor', secure: true }, this.trace, clock);
    this.uv = new Ultravisor({
      view: this.all,
      secureRanges: [{ base: SECURE_ADDRESS_BIT as RealAddress, size: secureBytes }],
      hypervisorEntry: HV_ENTRY,
      random: { cookies, keys, hRandom: stream(3) },
      crypto: nodeProvider,
      cipher,
      machineKey,
      esmScope,
      traceServed: true,
      trace: this.trace,
    });
    const { port } = this;
    this.#urfid(this.uv.boot(port));
    this.booted = this.nia;
    port.setSpr(SPR.LPCR, LPCR.LD | LPCR.HR | LPCR.UPRT);
    port.setSpr(SPR.LPIDR, BigInt(LPID));
    port.setSpr(SPR.PIDR, PIDR);
    this.ultracall('UV_WRITE_PATE', LPID, HV_PATE.dw0, HV_PATE.dw1);
    for (let gfn = 0; gfn < GUEST_FRAMES; gfn++) this.resident.set(gfn, GUEST_RA + gfn * PAGE);
    for (let gfn = 0; gfn < GUEST_FRAMES; gfn++) this.hv.fill(this.ra(gfn), PAGE, 0x10 + gfn);
    this.hv.write(this.ra(1), guestTree());
    this.hv.write((this.ra(1) + RTAS_AT) as RealAddress, RTAS_TEXT);
    this.hv.write((this.ra(1) + INITRD_AT) as RealAddress, guestInitrd());
  }

  /** Puts the RTAS argument block of a call into the guest's memory. */
  rtasBlock(gpa: number, words: readonly number[]): void {
    const bytes = new Uint8Array(words.length * 4);
    for (const [i, word] of words.entries()) new DataView(bytes.buffer).setUint32(i * 4, word);
    this.writeGuest(gpa, bytes);
  }

  /**
   * Starts a second vCPU of the SVM by RTAS start-cpu, and goes over to its CPU. The first one stays in the SVM on the
   * old CPU.
   */
  startSecondCpu(cpu = 1): { readonly first: FakePowerPort; readonly second: FakePowerPort } {
    const first = this.port;
    const second = new FakePowerPort(cpu);
    this.rtasBlock(0x100, [0x2006, 3, 1, 1, 0x3000, 0xabcd]);
    this.hypercall(HCALL.H_RTAS, 0x100);
    const block = this.ra(7) + (Number(first.gpr(4)) % PAGE);
    const cookie = this.hv.readU32((block + 20) as RealAddress);
    this.hypervise();
    const { nia } = this;
    for (const spr of [SPR.LPIDR, SPR.LPCR, SPR.PIDR, SPR.PTCR]) second.setSpr(spr, first.spr(spr));
    second.currentMsr = HV_ENTRY.msr;
    this.port = second;
    this.uvReturn(cookie);
    if (!this.secure) throw new Error('the second vCPU did not start');
    this.secondNia = this.nia;
    this.nia = nia;
    return { first, second };
  }

  get secure(): boolean {
    return (this.port.currentMsr & MSR.S) !== 0n;
  }

  get inHypervisor(): boolean {
    return (this.port.currentMsr & (MSR.HV | MSR.S)) === MSR.HV;
  }

  /** The hypervisor's page of a frame. */
  ra(gfn: number): RealAddress {
    return this.resident.get(gfn) as RealAddress;
  }

  /** A page of the hypervisor that nobody uses. */
  newPage(): RealAddress {
    const page = this.#nextPage;
    this.#nextPage += PAGE;
    return page as RealAddress;
  }

  /** What the CPU does at an interrupt into the Ultravisor, and what the Ultravisor does then. */
  interrupt(vector: bigint, nia: bigint, msr: bigint, status = 0n): void {
    const srr = ([VECTOR.SYSTEM_CALL, VECTOR.SYSTEM_RESET, VECTOR.MACHINE_CHECK] as bigint[]).includes(vector);
    this.port.setSpr(srr ? SPR.SRR0 : SPR.HSRR0, nia);
    this.port.setSpr(srr ? SPR.SRR1 : SPR.HSRR1, msr | status);
    this.port.currentMsr = MSR.SF | MSR.HV | MSR.S;
    this.#urfid(this.uv.enter(this.port, vector));
  }

  /** `sc 2` of the current level; the result of one that came back. */
  ultracall(call: Ultracall | number, ...args: readonly (bigint | number)[]): number {
    this.port.setGpr(3, BigInt(typeof call === 'number' ? call : ULTRACALL[call]));
    for (const [i, arg] of args.entries()) this.port.setGpr(4 + i, BigInt.asUintN(64, BigInt(arg)));
    const nia = this.inHypervisor ? HV_ENTRY.nia : this.nia;
    this.interrupt(VECTOR.SYSTEM_CALL, nia + 4n, this.port.currentMsr, SRR1.LEV2);
    return registerToCode(this.port.gpr(3));
  }

  /** `sc 1` of an SVM, until the SVM goes on or the hypervisor leaves it alone. */
  hypercall(number: number, ...args: readonly (bigint | number)[]): void {
    this.port.setGpr(3, BigInt(number));
    for (const [i, arg] of args.entries()) this.port.setGpr(4 + i, BigInt.asUintN(64, BigInt(arg)));
    this.interrupt(VECTOR.SYSTEM_CALL, this.nia + 4n, this.port.currentMsr, SRR1.LEV1);
  }

  /** The guest executes UV_ESM; nobody has answered yet. */
  startEsm(kernel = KERNEL, tree = TREE): number {
    this.port.currentMsr = GUEST_MSR;
    this.nia = ESM_NIA - 4n;
    return this.ultracall('UV_ESM', kernel, tree);
  }

  /** The guest executes UV_ESM and the hypervisor serves it to the end. */
  esm(): void {
    this.startEsm();
    this.hypervise();
    if (!this.secure) throw new Error('UV_ESM has failed');
  }

  /** The hypervisor serves until the guest goes on. */
  hypervise(): void {
    while (this.inHypervisor && this.resumed === null) this.answer();
  }

  /**
   * The SVM touches a page that it cannot reach, and the hypervisor serves until it goes on; again, as its instruction would, if the page is
   * still not there: one fault may only have made room.
   */
  touch(gfn: number, faults = 2): void {
    for (let n = 0; n < faults && this.secure && this.leaf(gfn) === 0n; n++) {
      this.fault(gfn * PAGE);
      this.hypervise();
    }
  }

  /** 0xE00 of the SVM for a load in real mode, not served yet. */
  fault(gpa: number): void {
    this.port.setSpr(SPR.ASDR, BigInt(gpa));
    this.interrupt(VECTOR.HV_DATA_STORAGE, this.nia, this.port.currentMsr);
  }

  /** The hypervisor serves what it was entered with. */
  answer(): void {
    const number = Number(this.port.gpr(3));
    const args = [4, 5, 6, 7, 8, 9].map((n) => this.port.gpr(n));
    const kept = this.port.gprs.slice(13);
    this.calls.push({ number, args });
    if (number === HCALL.H_SVM_INIT_ABORT) {
      this.#abort();
      return;
    }
    const result = this.serve(number, args) ?? this.honest(number, args);
    for (const [i, value] of kept.entries()) this.port.setGpr(13 + i, value);
    this.uvReturn(result);
  }

  /** UV_RETURN, with the registers that are in the CPU. */
  uvReturn(result: number | bigint): number {
    this.port.setGpr(0, codeToRegister(Number(result)));
    return this.ultracall('UV_RETURN');
  }

  honest(number: number, args: readonly bigint[]): number {
    const gfn = Number(args[0]) / PAGE;
    if (number === HCALL.H_SVM_INIT_START) {
      return this.ultracall('UV_REGISTER_MEM_SLOT', this.#lpid, 0, GUEST_FRAMES * PAGE, 0, SLOT);
    }
    if (number === HCALL.H_SVM_PAGE_OUT) {
      const page = this.resident.get(gfn) ?? this.newPage();
      this.resident.set(gfn, page);
      return this.ultracall('UV_PAGE_OUT', this.#lpid, page, gfn * PAGE, 0, 16);
    }
    if (number !== HCALL.H_SVM_PAGE_IN) return 0;
    if (args[1] === 1n) {
      const page = this.newPage();
      this.hv.fill(page, PAGE, 0xee);
      this.resident.set(gfn, page);
    }
    if (!this.resident.has(gfn)) return 0;
    if (args[1] === 0n) this.moved.add(gfn);
    return this.ultracall('UV_PAGE_IN', this.#lpid, this.ra(gfn), gfn * PAGE, 0, 16);
  }

  /** The partition that the CPU is in. */
  get #lpid(): bigint {
    return this.port.spr(SPR.LPIDR);
  }

  /** UV_PAGE_OUT of a frame to a fresh page, which is the frame's from then on. */
  pageOut(gfn: number, flags = 0): number {
    const page = this.newPage();
    const code = this.fromHypervisor(() => this.ultracall('UV_PAGE_OUT', LPID, page, gfn * PAGE, flags, 16));
    if (code === 0) this.resident.set(gfn, page);
    return code;
  }

  pageIn(gfn: number, ra: number = this.ra(gfn)): number {
    return this.fromHypervisor(() => this.ultracall('UV_PAGE_IN', LPID, ra, gfn * PAGE, 0, 16));
  }

  /**
   * Does something at hypervisor privilege on the side, as another CPU would, and leaves the registers as they were.
   */
  fromHypervisor<T>(action: () => T): T {
    const { port } = this;
    const { currentMsr, crBits } = port;
    const gprs = [...port.gprs];
    const sprs = new Map(port.sprs);
    const { nia } = this;
    port.currentMsr = HV_ENTRY.msr;
    const result = action();
    port.currentMsr = currentMsr;
    port.crBits = crBits;
    this.nia = nia;
    for (const [n, value] of gprs.entries()) port.gprs[n] = value;
    for (const spr of [SPR.SRR0, SPR.SRR1, SPR.HSRR0, SPR.HSRR1]) port.sprs.set(spr, sprs.get(spr) ?? 0n);
    return result;
  }

  /** The leaf of a frame in the tree that the SVM's partition table entry points to. */
  leaf(gfn: number): bigint {
    const at = this.#leafAddress(gfn);
    return at === undefined ? 0n : this.all.readU64(at);
  }

  /** A fault to plant: another leaf for a frame. */
  setLeaf(gfn: number, leaf: bigint): void {
    const at = this.#leafAddress(gfn);
    if (at === undefined) throw new Error(`frame ${gfn} has no leaf`);
    this.all.writeU64(at, leaf);
  }

  #leafAddress(gfn: number): RealAddress | undefined {
    let at = this.pate()[0] & RADIX_ROOT.RPDB;
    for (const index of [0, 0, Math.floor(gfn / 32)]) {
      at = this.all.readU64((Number(at) + index * 8) as RealAddress) & 0x0fffffffffffff00n;
    }
    return at === 0n ? undefined : ((Number(at) + (gfn % 32) * 8) as RealAddress);
  }

  pate(lpid = LPID): [bigint, bigint] {
    const at = Number(this.port.spr(SPR.PTCR) & 0x0ffffffffffff000n) + lpid * 16;
    return [this.all.readU64(at as RealAddress), this.all.readU64((at + 8) as RealAddress)];
  }

  /** The SVM's bytes of a mapped frame, as it would read them. */
  guestPage(gfn: number): Uint8Array {
    const leaf = this.leaf(gfn);
    if (leaf === 0n) throw new Error(`frame ${gfn} is not mapped`);
    return this.all.read(Number(leaf & 0x01fffffffffff000n) as RealAddress, PAGE);
  }

  writeGuest(gpa: number, bytes: Uint8Array): void {
    const base = Number(this.leaf(Math.floor(gpa / PAGE)) & 0x01fffffffffff000n);
    this.all.write((base + (gpa % PAGE)) as RealAddress, bytes);
  }

  /** Whether a page has this one value in all its bytes. */
  isFilled(page: Uint8Array, value: number): boolean {
    return page.length === PAGE && page.every((byte) => byte === value);
  }

  /** State of a frame in the Ultravisor's books. */
  state(gfn: number): string {
    const svm = this.uv.save().state.svms.get(LPID);
    return (svm && pageAt(svm, gfn as Gfn)?.state) ?? 'SECURE';
  }

  svmState(): string {
    return this.uv.report().svms.find(({ lpid }) => lpid === LPID)?.state ?? 'NORMAL';
  }

  /** Everything that a refused call must leave as it is: the Ultravisor's books and all memory. */
  dump(): string {
    const text = JSON.stringify(this.uv.save(), (_, value) => {
      if (value instanceof Map) return [...value];
      if (value instanceof Set) return [...value];
      return typeof value === 'bigint' ? value.toString() : value;
    });
    return `${text} ${Buffer.from(nodeProvider.sha256(this.memory.store.bytes)).toString('hex')}`;
  }

  #abort(): void {
    const { port } = this;
    const nia = port.spr(SPR.SRR0);
    for (const gfn of this.moved) {
      this.ultracall('UV_PAGE_OUT', LPID, this.ra(gfn), gfn * PAGE, 0, 16);
    }
    this.ultracall('UV_SVM_TERMINATE', LPID);
    port.currentMsr = GUEST_MSR;
    this.resumed = { nia, r3: codeToRegister(-4) };
  }

  #urfid(stub: string): void {
    const { port } = this;
    if (stub !== 'urfid') throw new Error(`left by ${stub}`);
    this.nia = port.spr(SPR.USRR0);
    port.currentMsr = port.spr(SPR.USRR1);
    if (!this.inHypervisor || this.nia >= 0x2000n) return;
    const { gprs, fprValues, fpscrBits, crBits, sprs } = port;
    this.seen.push({
      nia: this.nia,
      msr: port.currentMsr,
      gprs: [...gprs],
      fprs: [...fprValues],
      fpscr: fpscrBits,
      cr: crBits,
      sprs: new Map(sprs),
      dec: port.spr(SPR.DEC),
    });
  }
}

/** An SVM that runs on the CPU. */
export function secureMachine(options: MachineOptions = {}): Machine {
  const m = new Machine(options);
  m.esm();
  m.calls.length = 0;
  m.seen.length = 0;
  return m;
}

/** The blob that proves the guest: its kernel is the first bytes of a page of one value. */
export function guestBlob(kernel = new Uint8Array(KERNEL_BYTES).fill(0x12)): Uint8Array {
  const image = { kernel: { file: 'kernel', bytes: kernel }, initrd: INITRD, bootargs: BOOTARGS };
  const files = [
    { name: 'rootd', comment: '', contents: PASS_PHRASE },
    { name: 'empty', comment: '', contents: new Uint8Array(0) },
  ];
  return blobFor(image, { crypto: nodeProvider, machine: MACHINE_KEY, random: stream(4) }, files);
}

/** The guest's initrd, with its blob in an archive before it. */
export function guestInitrd(blob = DEFAULT_BLOB): Uint8Array {
  const archive = writeEsmArchive(blob);
  const bytes = new Uint8Array(archive.length + INITRD.length);
  bytes.set(archive);
  bytes.set(INITRD, archive.length);
  return bytes;
}

const DEFAULT_BLOB = guestBlob();
const DEFAULT_INITRD_BYTES = guestInitrd().length;

/** What a test changes in the guest's device tree: a property's value, or undefined to leave it out. */
export interface TreeChanges {
  readonly chosen?: Readonly<Record<string, Uint8Array | undefined>>;
  readonly rtas?: Readonly<Record<string, Uint8Array | undefined>>;
  readonly bootCpuidPhys?: number;
}

/** The guest's device tree, with room for reservations. */
export function guestTree(memory = GUEST_FRAMES * PAGE, changes: TreeChanges = {}): Uint8Array {
  const base = Number(TREE);
  const chosen = {
    bootargs: stringValue(BOOTARGS),
    'linux,initrd-start': u32Value(base + INITRD_AT),
    'linux,initrd-end': u32Value(base + INITRD_AT + DEFAULT_INITRD_BYTES),
    ...changes.chosen,
  };
  const rtas = {
    'power-off': u32Value(0x2003),
    'ibm,os-term': u32Value(0x201f),
    'linux,rtas-base': u32Value(base + RTAS_AT),
    'slof,rtas-size': u32Value(RTAS_TEXT.length),
    'ibm,lrdr-capacity': cellsValue(0, 0, 0, 0x10000000, 2),
    ...changes.rtas,
  };
  const root = fdtNode('', { '#address-cells': u32Value(2), '#size-cells': u32Value(2) }, [
    fdtNode('chosen', present(chosen)),
    fdtNode('memory@0', { device_type: stringValue('memory'), reg: cellsValue(0, 0, 0, memory) }),
    fdtNode('rtas', present(rtas)),
  ]);
  const fdt = { root, reservations: [], bootCpuidPhys: changes.bootCpuidPhys ?? 0 };
  return writeFdt(fdt, TREE_BYTES - writeFdt(fdt).length);
}

function present(properties: Readonly<Record<string, Uint8Array | undefined>>): Record<string, Uint8Array> {
  return Object.fromEntries(
    Object.entries(properties).filter((entry): entry is [string, Uint8Array] => entry[1] !== undefined),
  );
}
