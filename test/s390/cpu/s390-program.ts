import { HostView } from '../../../src/machine/host-view.ts';
import type { MachineOutcome } from '../../../src/machine/run-report.ts';
import type { RealAddress } from '../../../src/machine/types.ts';
import type { Platform, ServiceHandler } from '../../../src/s390/cpu/port.ts';
import { S390HostMachine } from '../../../src/s390/host-machine.ts';
import type { UserSpace } from '../../../src/s390/kvm/user-space.ts';
import { S390Machine } from '../../../src/s390/machine.ts';

/** Where a program lies and is entered. */
export const START = 0x10000;
const MEMORY = 0x20_0000;
const LIMIT = 100_000;

/** Addresses of the waits that new PSWs lead to. */
const WAITS = { 416: 0xa0n, 432: 0xb0n, 448: 0xc0n, 464: 0xd0n, 480: 0xe0n, 496: 0xf0n };

export interface ProgramOptions {
  readonly interpret?: boolean;
  readonly sie?: boolean;
  /** Of the first PSW. */
  readonly mask?: bigint;
  /** Bytes of storage. */
  readonly memory?: number;
}

/** A machine with nothing around its CPUs, which runs code of a few instructions until a disabled wait: without SIE, or as a guest of our KVM. */
export class ProgramMachine {
  /** Address of the disabled wait that ended it. */
  end: bigint | null = null;
  /** Storage when it ended. */
  #last: Uint8Array | null = null;
  readonly #run: () => MachineOutcome;
  readonly #read: (address: number, length: number) => Uint8Array;
  readonly #write: (address: number, bytes: Uint8Array) => void;

  /** @param code instructions in hexadecimal, blanks ignored */
  constructor(code: string, options: ProgramOptions = {}) {
    const { interpret = false, sie = false, mask = 0x180000000n, memory = MEMORY } = options;
    const user = (platform: Platform): UserSpace => ({
      services: {
        instructions: new Map<string, ServiceHandler>(),
        diagnose: new Map(),
        interruptions: { due: () => false, take: () => null },
        poll: () => {},
        deadline: null,
        virtualMachine: null,
      },
      subsystemReset: () => {},
      load: () => ({ mask, address: BigInt(START) }),
      disabledWait: (_, address) => {
        this.end = address;
        // A VM that has ended gives its storage back.
        this.#last = this.#read(0, memory);
        platform.finish('poweroff', 'disabled wait');
      },
      protectedBlock: null,
    });
    if (sie) {
      const machine = new S390HostMachine({
        guests: [{ name: 'program', memory, cpus: 1, makeUserSpace: user }],
        cpus: 1,
        interpret,
        trace: null,
        ultravisor: null,
      });
      const [vm] = machine.vms;
      if (vm === undefined) throw new Error('a VM was asked for');
      this.#run = () => machine.run(LIMIT);
      this.#read = (address, length) => machine.kvm.guests.read(vm, address, length) as Uint8Array;
      this.#write = (address, bytes) => machine.kvm.guests.write(vm, address, bytes);
    } else {
      const machine = new S390Machine({
        name: 'program',
        memory,
        cpus: 1,
        interpret,
        trace: null,
        makeUserSpace: user,
      });
      const view = new HostView(machine.memory, { agent: 'vmm', secure: false }, null, () => 0n);
      this.#run = () => machine.run(LIMIT);
      this.#read = (address, length) => view.read(address as RealAddress, length);
      this.#write = (address, bytes) => view.write(address as RealAddress, bytes);
    }
    this.#write(START, bytesOf(code));
    // Every class of interruption ends in a wait whose address tells which.
    for (const [at, address] of Object.entries(WAITS)) {
      this.put(Number(at), 0x0002000180000000n);
      this.put(Number(at) + 8, address);
    }
  }

  put(address: number, value: bigint): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value);
    this.#write(address, bytes);
  }

  load(address: number, bytes: Uint8Array): void {
    this.#write(address, bytes);
  }

  /** Storage, when the program has ended as it was then. */
  storage(address: number, length: number): Uint8Array {
    return this.#last?.subarray(address, address + length) ?? this.#read(address, length);
  }

  get(address: number, bytes: 1 | 2 | 4 | 8): bigint {
    const read = this.storage(address, bytes);
    return read.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  run(): MachineOutcome {
    return this.#run();
  }
}

function bytesOf(hex: string): Uint8Array {
  const digits = hex.replace(/\s/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, n) => Number.parseInt(digits.slice(2 * n, 2 * n + 2), 16));
}
