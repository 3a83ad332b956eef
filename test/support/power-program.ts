import { nodeProvider } from '../../src/crypto/node.ts';
import { ConsoleBuffer } from '../../src/devices/console.ts';
import { HCALL, type Hcall, MSR, RTAS_TOKEN, SPR, ULTRACALL } from '../../src/powerpc/abi.ts';
import { PowerMachine } from '../../src/powerpc/machine.ts';
import { MemoryTrace } from '../../src/trace/memory.ts';
import { buildElf } from '../image/elf-builder.ts';

/** Where a guest's image is loaded. */
export const IMAGE_BASE = 0x400000;
const EM_PPC64 = 21;
const HALFWORD = 0x10000n;

const sprField = (n: number): number => ((n & 31) << 16) | ((n >> 5) << 11);
const dForm = (opcode: number, rt: number, ra: number, d: number): number =>
  ((opcode << 26) | (rt << 21) | (ra << 16) | (d & 0xffff)) >>> 0;

type Register = number;

/** A big-endian program for a guest that is entered with a flat device tree, in 64-bit real mode: an assembler for tests. */
export class Program {
  readonly base: number;
  readonly #words: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixups: (() => void)[] = [];

  constructor(base = IMAGE_BASE) {
    this.base = base;
  }

  /** Names an address elsewhere. */
  at(name: string, address: number): this {
    this.#labels.set(name, address);
    return this;
  }

  emit(...words: number[]): this {
    this.#words.push(...words.map((word) => word >>> 0));
    return this;
  }

  label(name: string): this {
    this.#labels.set(name, this.base + 4 * this.#words.length);
    return this;
  }

  /** The value in five instructions, or fewer. */
  li(rt: Register, value: number | bigint): this {
    const v = BigInt.asIntN(64, BigInt(value));
    if (v >= -0x8000n && v < 0x8000n) return this.emit(dForm(14, rt, 0, Number(v)));
    const part = (shift: bigint): number => Number((BigInt.asUintN(64, v) >> shift) % HALFWORD);
    this.emit(dForm(15, rt, 0, part(48n)), dForm(24, rt, rt, part(32n)), 0x780007c6 | (rt << 21) | (rt << 16));
    return this.emit(dForm(25, rt, rt, part(16n)), dForm(24, rt, rt, part(0n)));
  }

  /** The address of a label below 2 GiB. */
  la(rt: Register, label: string): this {
    const at = this.#words.length;
    this.emit(0, 0);
    this.#fixups.push(() => {
      const address = this.address(label);
      this.#words[at] = dForm(15, rt, 0, address >>> 16);
      this.#words[at + 1] = dForm(24, rt, rt, address);
    });
    return this;
  }

  addi(rt: Register, ra: Register, value: number): this {
    return this.emit(dForm(14, rt, ra, value));
  }

  add(rt: Register, ra: Register, rb: Register): this {
    return this.emit(0x7c000214 | (rt << 21) | (ra << 16) | (rb << 11));
  }

  mr(ra: Register, rs: Register): this {
    return this.emit(0x7c000378 | (rs << 21) | (ra << 16) | (rs << 11));
  }

  ld(rt: Register, d: number, ra: Register): this {
    return this.emit(dForm(58, rt, ra, d & ~3));
  }

  std(rs: Register, d: number, ra: Register): this {
    return this.emit(dForm(62, rs, ra, d & ~3));
  }

  lwz(rt: Register, d: number, ra: Register): this {
    return this.emit(dForm(32, rt, ra, d));
  }

  stw(rs: Register, d: number, ra: Register): this {
    return this.emit(dForm(36, rs, ra, d));
  }

  cmpdi(ra: Register, value: number): this {
    return this.emit(dForm(11, 0, ra, value) | 0x200000);
  }

  b(label: string): this {
    return this.#branch(0x48000000, 0x3fffffc, label);
  }

  bl(label: string): this {
    return this.#branch(0x48000001, 0x3fffffc, label);
  }

  beq(label: string): this {
    return this.#branch(0x41820000, 0xfffc, label);
  }

  bne(label: string): this {
    return this.#branch(0x40820000, 0xfffc, label);
  }

  blr(): this {
    return this.emit(0x4e800020);
  }

  rfid(): this {
    return this.emit(0x4c000024);
  }

  sc(lev: number): this {
    return this.emit(0x44000002 | (lev << 5));
  }

  mfmsr(rt: Register): this {
    return this.emit(0x7c0000a6 | (rt << 21));
  }

  mfspr(rt: Register, spr: keyof typeof SPR): this {
    return this.emit(0x7c0002a6 | (rt << 21) | sprField(SPR[spr]));
  }

  mtspr(spr: keyof typeof SPR, rs: Register): this {
    return this.emit(0x7c0003a6 | (rs << 21) | sprField(SPR[spr]));
  }

  /** MSR[EE] and MSR[RI], by way of R0. */
  interrupts(on: boolean): this {
    return this.li(0, on ? MSR.EE | MSR.RI : MSR.RI).emit(0x7c010164);
  }

  /** A hypercall with constants from R4 on; a null leaves the register as it is. */
  hcall(name: Hcall, ...args: (number | bigint | null)[]): this {
    for (const [i, arg] of args.entries()) if (arg !== null) this.li(4 + i, arg);
    return this.li(3, HCALL[name]).sc(1);
  }

  /** Writes up to 16 characters to the console. */
  print(text: string): this {
    const bytes = new Uint8Array(16);
    bytes.set(new TextEncoder().encode(text));
    const view = new DataView(bytes.buffer);
    return this.hcall('H_PUT_TERM_CHAR', 0, text.length, view.getBigUint64(0), view.getBigUint64(8));
  }

  /** An RTAS call with constants, whose status is in R3 afterwards; further results are behind it, at R14. */
  rtas(name: keyof typeof RTAS_TOKEN, args: readonly number[], nret = 1): this {
    const over = `rtas ${this.#words.length}`;
    this.b(over).label(`${over} block`);
    this.emit(RTAS_TOKEN[name], args.length, nret, ...args, ...new Array<number>(nret).fill(0xdead)).label(over);
    this.la(4, `${over} block`).addi(14, 4, 12 + 4 * args.length);
    return this.li(3, HCALL.H_RTAS)
      .sc(1)
      .emit(dForm(32, 3, 14, 0) /* lwz r3,0(r14) */);
  }

  powerOff(): this {
    return this.rtas('power-off', [0, 0]).label(`off ${this.#words.length}`).b(`off ${this.#words.length}`);
  }

  /** Becomes secure if `secure`; says so if that fails. Comes here a second time then, so it must be the first thing. */
  becomeSecure(secure: boolean): this {
    return secure ? this.whenSecure('secure').esm(3).label('secure') : this;
  }

  /** Goes on at `label` if it is secure. */
  whenSecure(label: string): this {
    return this.mfmsr(10)
      .emit(0x75400000 | (10 << 21) | (10 << 16) | 0x40)
      .bne(label);
  }

  /** Becomes secure; says so if that fails. R4 must be the program's start. @param tree register with the device tree */
  esm(tree: Register): this {
    return this.mr(5, tree).li(3, ULTRACALL.UV_ESM).sc(2).print('not secure').label('stuck').b('stuck');
  }

  /** Writes a register to the console, as 8 bytes. */
  printRegister(rs: Register): this {
    return this.mr(6, rs).hcall('H_PUT_TERM_CHAR', 0, 8);
  }

  /** Lets `turns` pass, by way of CTR. */
  delay(turns: number): this {
    return this.li(0, turns).mtspr('CTR', 0).emit(0x42000000 /* bdnz . */);
  }

  /** Waits until the doubleword at `d(ra)` is not `value`, by way of R0. */
  waitWhile(d: number, ra: Register, value: number): this {
    const loop = `wait ${this.#words.length}`;
    return this.label(loop).ld(0, d, ra).cmpdi(0, value).beq(loop);
  }

  /** Waits until a register that interrupts change has a value. */
  waitFor(ra: Register, value: number): this {
    const loop = `wait ${this.#words.length}`;
    return this.label(loop).cmpdi(ra, value).bne(loop);
  }

  address(label: string): number {
    const address = this.#labels.get(label);
    if (address === undefined) throw new Error(`no label ${label}`);
    return address;
  }

  bytes(): Uint8Array {
    for (const fixup of this.#fixups) fixup();
    const bytes = new Uint8Array(4 * this.#words.length);
    const view = new DataView(bytes.buffer);
    for (const [i, word] of this.#words.entries()) view.setUint32(4 * i, word);
    return bytes;
  }

  #branch(word: number, mask: number, label: string): this {
    const at = this.#words.length;
    this.emit(0);
    this.#fixups.push(() => {
      const offset = this.address(label) - (this.base + 4 * at);
      this.#words[at] = (word | (offset & mask)) >>> 0;
    });
    return this;
  }
}

/** A guest of a test. */
export interface TestGuest {
  /** Its image. */
  readonly program: Program;
  /** Code at other guest addresses, such as interrupt vectors. */
  readonly more?: readonly Program[];
  readonly cpus?: number;
}

export interface TestRun {
  readonly machine: PowerMachine;
  readonly consoles: readonly ConsoleBuffer[];
  readonly trace: MemoryTrace;
  /** What the first guest wrote. */
  text(guest?: number): string;
}

/** A machine with these guests, under the native hypervisor and, if `secure`, with an Ultravisor. */
export function makeMachine(secure: boolean, guests: readonly TestGuest[]): TestRun {
  const consoles = guests.map(() => new ConsoleBuffer());
  const trace = new MemoryTrace();
  const machine = new PowerMachine({
    protected: secure,
    secureMemory: 32 << 20,
    interpret: false,
    seed: '1',
    crypto: nodeProvider,
    trace,
    software: {
      role: 'guest',
      guests: guests.map(({ program, cpus = 1 }, i) => ({
        name: `guest ${i}`,
        image: { file: `guest ${i}`, bytes: image(program) },
        initrd: null,
        cmdline: '',
        memory: 8 << 20,
        cpus,
        entry: 'fdt',
        console: consoles[i] as ConsoleBuffer,
      })),
    },
  });
  for (const [i, { more = [] }] of guests.entries()) {
    const spapr = machine.guests[i];
    for (const code of more) spapr?.memory.write(spapr.vm, code.base, code.bytes());
  }
  return { machine, consoles, trace, text: (guest = 0) => new TextDecoder().decode(consoles[guest]?.written()) };
}

/** The program as a file that a guest can be started from. */
export function image(program: Program): Uint8Array {
  return buildElf({
    bits: 64,
    littleEndian: false,
    machine: EM_PPC64,
    segments: [{ vaddr: BigInt(program.base - IMAGE_BASE), data: program.bytes() }],
  });
}
