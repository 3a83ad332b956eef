import { PGM, PSW } from '../abi.ts';
import type { Platform, ServiceAnswer, ServiceCall } from '../cpu/port.ts';
import { readProtectedBlock } from '../kvm/ipl-block.ts';
import type { EntryState } from '../kvm/user-space.ts';

/** Subcodes of DIAGNOSE 0x308 (s390-pv.md 5.3). */
const SUBCODE = {
  RESET_MODIFIED_CLEAR: 0,
  RESET_LOAD_NORMAL: 1,
  LOAD_CLEAR: 3,
  SET: 5,
  STORE: 6,
  SET_PROTECTED: 8,
  STORE_PROTECTED: 9,
  START_PROTECTED: 10,
} as const;
const SUBCODE_BITS = 0xffffn;

/** What the odd register of the pair says. */
const RC = { OK: 0x0001n, NOTHING_STORED: 0x0102n, INVALID: 0x0402n, NOTHING_PROTECTED: 0x0902n } as const;

/** IPL parameter blocks: their length comes first; types, and how long a block of each is at least. */
const BLOCK = { BYTES: 4096, LENGTH_BYTES: 4, TYPE_AT: 0x0c } as const;
const LEAST_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 384],
  [0x02, 200],
]);

/** A short PSW: its control bits, the bit that says that it is one, and its address. */
const SHORT_CONTROL = 0xffff_ffff_8000_0000n;
const SHORT_ADDRESS = 0x7fff_ffffn;

/** What DIAGNOSE 0x308 does beside CPUs. */
export interface IplMachine {
  readonly platform: Platform;
  /** The guest is offered protection. */
  readonly unpack: boolean;
  /** Devices as after a subsystem reset. */
  subsystemReset(): void;
  /** Puts the image into memory anew, as at the first start. */
  load(): EntryState;
  /** The doubleword at absolute 0. */
  readRestartPsw(): bigint;
}

const SPECIFICATION = { program: PGM.SPECIFICATION } as const;

/**
 * DIAGNOSE 0x308 of a guest that is not protected, as QEMU 7.2 has it (target/s390x/diag.c, hw/s390x/s390-virtio-ccw.c), but for one thing: there is no boot loader for
 * the devices that a parameter block names, so that a machine that is loaded again is started as it first was.
 */
export class Ipl {
  readonly #machine: IplMachine;
  #block: Uint8Array | null = null;
  #protectedBlock: Uint8Array | null = null;

  constructor(machine: IplMachine) {
    this.#machine = machine;
  }

  /** The block of subcode 8. */
  get protectedBlock(): Uint8Array | null {
    return this.#protectedBlock;
  }

  /** A handler of `Services.diagnose`. */
  diagnose(call: ServiceCall): ServiceAnswer {
    const subcode = call.gr(call.r3);
    if ((subcode & ~SUBCODE_BITS) !== 0n) return SPECIFICATION;
    if (subcode >= BigInt(SUBCODE.SET_PROTECTED) && !this.#machine.unpack) return SPECIFICATION;
    switch (Number(subcode)) {
      case SUBCODE.RESET_MODIFIED_CLEAR:
        return this.#reset(call.cpu, 'clear', 'clear');
      case SUBCODE.RESET_LOAD_NORMAL:
        return this.#reset(call.cpu, 'initial', 'normal');
      case SUBCODE.LOAD_CLEAR:
        return this.#loadAgain(call.cpu);
      case SUBCODE.SET:
      case SUBCODE.SET_PROTECTED:
        return this.#set(call, Number(subcode) === SUBCODE.SET_PROTECTED);
      case SUBCODE.STORE:
        return this.#store(call, this.#block);
      case SUBCODE.STORE_PROTECTED:
        return this.#store(call, this.#protectedBlock);
      case SUBCODE.START_PROTECTED:
        // With a block it is KVM's.
        call.setGr(call.r1 | 1, RC.NOTHING_PROTECTED);
        return 'done';
      default:
        return SPECIFICATION;
    }
  }

  /** Resets CPUs and devices, and goes on with the short PSW at 0; memory stays. */
  #reset(cpu: number, own: 'initial' | 'clear', others: 'normal' | 'clear'): ServiceAnswer {
    const { platform } = this.#machine;
    platform.between(() => {
      for (let index = 0; index < platform.cpus; index++) {
        platform.stop(index);
        platform.reset(index, index === cpu ? own : others);
      }
      this.#machine.subsystemReset();
      const psw = this.#machine.readRestartPsw();
      platform.start(cpu, (psw & SHORT_CONTROL) ^ PSW.SHORT, psw & SHORT_ADDRESS);
    });
    return 'done';
  }

  #loadAgain(cpu: number): ServiceAnswer {
    const { platform } = this.#machine;
    platform.between(() => {
      for (let index = 0; index < platform.cpus; index++) {
        platform.stop(index);
        platform.reset(index, 'clear');
      }
      this.#machine.subsystemReset();
      const { mask, address } = this.#machine.load();
      platform.start(cpu, mask, address);
    });
    return 'done';
  }

  #set(call: ServiceCall, isProtected: boolean): ServiceAnswer {
    const problem = parameterProblem(call);
    if (problem !== null) return problem;
    const address = call.gr(call.r1);
    const start = call.read('absolute', address, BLOCK.LENGTH_BYTES);
    if (start === null || !call.reaches('absolute', address, BLOCK.BYTES, 'load')) return { program: PGM.ADDRESSING };
    const length = viewOf(start).getUint32(0);
    const block = length <= BLOCK.BYTES && length > BLOCK.TYPE_AT ? call.read('absolute', address, length) : null;
    const valid = block !== null && (isProtected ? readProtectedBlock(block) !== null : isValid(block));
    if (valid && isProtected) this.#protectedBlock = block;
    else if (valid) this.#block = block;
    call.setGr(call.r1 | 1, valid ? RC.OK : RC.INVALID);
    return 'done';
  }

  #store(call: ServiceCall, block: Uint8Array | null): ServiceAnswer {
    const problem = parameterProblem(call);
    if (problem !== null) return problem;
    const address = call.gr(call.r1);
    if (!call.reaches('absolute', address, BLOCK.BYTES, 'store')) return { program: PGM.ADDRESSING };
    if (block !== null) call.write('absolute', address, block);
    call.setGr(call.r1 | 1, block === null ? RC.NOTHING_STORED : RC.OK);
    return 'done';
  }
}

/** Subcodes with a block: an even register, and a page. */
function parameterProblem(call: ServiceCall): ServiceAnswer | null {
  return (call.r1 & 1) !== 0 || (call.gr(call.r1) & 0xfffn) !== 0n ? SPECIFICATION : null;
}

function isValid(block: Uint8Array): boolean {
  const least = LEAST_BYTES.get(block[BLOCK.TYPE_AT] ?? 0xff);
  return least !== undefined && block.length >= least;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
