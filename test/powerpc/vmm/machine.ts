import { ConsoleBuffer } from '../../../src/devices/console.ts';
import { Store } from '../../../src/engine/store.ts';
import { HostView } from '../../../src/machine/host-view.ts';
import { RealMemory } from '../../../src/machine/memory.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import { HCALL, type Hcall, MSR, registerToCode, SPR, SRR1, VECTOR } from '../../../src/powerpc/abi.ts';
import { Kvm } from '../../../src/powerpc/kvm/kvm.ts';
import { Spapr, type SpaprOptions } from '../../../src/powerpc/vmm/spapr.ts';
import { MemoryTrace } from '../../../src/trace/memory.ts';
import { FakePort } from '../kvm/fake-port.ts';

export const MIB = 2 ** 20;

/** An ELF64 file for PowerPC with the given segments. */
export function elf(
  segments: readonly { paddr: number; bytes: Uint8Array; memsz?: number }[],
  { littleEndian = false, machine = 21 } = {},
): Uint8Array {
  const headers = 64 + 56 * segments.length;
  const size = segments.reduce((sum, { bytes }) => sum + bytes.length, headers);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, littleEndian ? 1 : 2, 1]);
  view.setUint16(16, 2, littleEndian);
  view.setUint16(18, machine, littleEndian);
  view.setUint32(20, 1, littleEndian);
  view.setBigUint64(24, 0x123456n, littleEndian);
  view.setBigUint64(32, 64n, littleEndian);
  view.setUint16(54, 56, littleEndian);
  view.setUint16(56, segments.length, littleEndian);
  let at = headers;
  for (const [i, { paddr, bytes, memsz = bytes.length }] of segments.entries()) {
    const header = 64 + 56 * i;
    view.setUint32(header, 1, littleEndian);
    view.setUint32(header + 4, 7, littleEndian);
    view.setBigUint64(header + 8, BigInt(at), littleEndian);
    view.setBigUint64(header + 16, BigInt(paddr) + 0xc000000000000000n, littleEndian);
    view.setBigUint64(header + 24, BigInt(paddr), littleEndian);
    view.setBigUint64(header + 32, BigInt(bytes.length), littleEndian);
    view.setBigUint64(header + 40, BigInt(memsz), littleEndian);
    file.set(bytes, at);
    at += bytes.length;
  }
  return file;
}

export const KERNEL = { file: 'kernel.elf', bytes: elf([{ paddr: 0, bytes: Uint8Array.of(1, 2, 3, 4) }]) };

/** A pseries guest without a CPU: the test makes its hypercalls. Ultracalls all succeed. */
export class Guest {
  readonly port = new FakePort();
  readonly console = new ConsoleBuffer();
  readonly trace = new MemoryTrace();
  readonly kvm: Kvm;
  readonly spapr: Spapr;

  constructor(options: Partial<SpaprOptions> = {}, hostMemory = 4 * MIB) {
    const memory = new RealMemory(new Store(hostMemory + 2 * MIB), [
      { name: 'normal', base: 0 as RealAddress, size: hostMemory, secure: false },
    ]);
    const view = (agent: 'hypervisor' | 'vmm') =>
      new HostView(memory, { agent, secure: false }, this.trace, () => this.port.clock);
    this.kvm = new Kvm({
      bootEntry: 0x8000n,
      view: view('hypervisor'),
      memory: [{ base: 0x10000 as RealAddress, size: hostMemory - 0x10000 }],
      cpus: 1,
      ultravisor: true,
      secureMemory: MIB,
      random: (n) => new Uint8Array(n),
      trace: this.trace,
    });
    this.spapr = new Spapr(this.kvm, view('vmm'), {
      name: 'guest',
      image: KERNEL,
      initrd: null,
      cmdline: '',
      memory: 8 * MIB,
      cpus: 1,
      entry: 'of',
      svmEnabled: true,
      console: this.console,
      trace: this.trace,
      ...options,
    });
    this.#run(0x8000n);
  }

  get vm() {
    return this.spapr.vm;
  }

  /** Makes a hypercall; `secure` as the Ultravisor hands it over. @returns R3 as a signed number, NaN if the guest does not go on */
  call(name: Hcall, args: readonly (bigint | number)[], secure = false): number {
    const { port } = this;
    port.setGpr(3, BigInt(HCALL[name]));
    for (let i = 0; i < 9; i++) port.setGpr(4 + i, BigInt.asUintN(64, BigInt(args[i] ?? 0)));
    port.setSpr(SPR.SRR0, 0x1000n);
    port.setSpr(SPR.SRR1, MSR.SF | SRR1.LEV1 | (secure ? MSR.S : 0n));
    const goesOn = this.#run(VECTOR.SYSTEM_CALL);
    return goesOn ? registerToCode(port.gpr(secure ? 0 : 3)) : Number.NaN;
  }

  /** Writes 32-bit big-endian words into guest memory. */
  words(at: number, ...values: readonly number[]): void {
    for (const [i, value] of values.entries()) this.spapr.memory.writeU32(this.vm, at + 4 * i, value >>> 0);
  }

  /** Reads signed 32-bit big-endian words from guest memory. */
  readWords(at: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.spapr.memory.readU32(this.vm, at + 4 * i) | 0);
  }

  /** Writes a NUL-terminated string into guest memory. */
  string(at: number, text: string): void {
    this.spapr.memory.write(this.vm, at, new TextEncoder().encode(`${text}\0`));
  }

  /** Enters the hypervisor and answers its ultracalls. @returns whether a guest goes on */
  #run(nia: bigint): boolean {
    for (;;) {
      const stub = this.kvm.enter(this.port, nia);
      if (stub === 'stop') return false;
      if (stub === 'hrfid') return true;
      if (this.port.gpr(3) === 0xf11cn) return true;
      this.port.setGpr(3, 0n);
      nia = this.port.stubPage + 0x24n;
    }
  }
}
