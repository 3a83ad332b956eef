import { type GuestPhysical, MSR } from '../abi.ts';
import { GuestFault } from './guest-memory.ts';
import { translateForGuest } from './guest-translation.ts';
import { guestGpr, setGuestGpr } from './registers.ts';
import type { Ctx } from './state.ts';
import type { GuestContext, Vm } from './vm.ts';

/** What a load or store does, beside where. */
interface Access {
  readonly store: boolean;
  readonly size: 1 | 2 | 4 | 8;
  /** Sign-extended. */
  readonly algebraic?: boolean;
  /** RA gets the effective address. */
  readonly update?: boolean;
  readonly reversed?: boolean;
}

/** D-form by primary opcode (Power ISA 3.0B, Book I 3.3.2, 3.3.3). */
const D_FORM: ReadonlyMap<number, Access> = new Map([
  [32, { store: false, size: 4 }],
  [33, { store: false, size: 4, update: true }],
  [34, { store: false, size: 1 }],
  [35, { store: false, size: 1, update: true }],
  [36, { store: true, size: 4 }],
  [37, { store: true, size: 4, update: true }],
  [38, { store: true, size: 1 }],
  [39, { store: true, size: 1, update: true }],
  [40, { store: false, size: 2 }],
  [41, { store: false, size: 2, update: true }],
  [42, { store: false, size: 2, algebraic: true }],
  [43, { store: false, size: 2, algebraic: true, update: true }],
  [44, { store: true, size: 2 }],
  [45, { store: true, size: 2, update: true }],
]);

/** DS-form by primary opcode and the last two bits. */
const DS_FORM: ReadonlyMap<number, Access> = new Map([
  [58 * 4 + 0, { store: false, size: 8 }],
  [58 * 4 + 1, { store: false, size: 8, update: true }],
  [58 * 4 + 2, { store: false, size: 4, algebraic: true }],
  [62 * 4 + 0, { store: true, size: 8 }],
  [62 * 4 + 1, { store: true, size: 8, update: true }],
]);

/** X-form under primary opcode 31, by extended opcode. */
const X_FORM: ReadonlyMap<number, Access> = new Map([
  [21, { store: false, size: 8 }],
  [23, { store: false, size: 4 }],
  [53, { store: false, size: 8, update: true }],
  [55, { store: false, size: 4, update: true }],
  [87, { store: false, size: 1 }],
  [119, { store: false, size: 1, update: true }],
  [149, { store: true, size: 8 }],
  [151, { store: true, size: 4 }],
  [181, { store: true, size: 8, update: true }],
  [183, { store: true, size: 4, update: true }],
  [215, { store: true, size: 1 }],
  [247, { store: true, size: 1, update: true }],
  [279, { store: false, size: 2 }],
  [311, { store: false, size: 2, update: true }],
  [341, { store: false, size: 4, algebraic: true }],
  [343, { store: false, size: 2, algebraic: true }],
  [373, { store: false, size: 4, algebraic: true, update: true }],
  [375, { store: false, size: 2, algebraic: true, update: true }],
  [407, { store: true, size: 2 }],
  [439, { store: true, size: 2, update: true }],
  [532, { store: false, size: 8, reversed: true }],
  [534, { store: false, size: 4, reversed: true }],
  [660, { store: true, size: 8, reversed: true }],
  [662, { store: true, size: 4, reversed: true }],
  [790, { store: false, size: 2, reversed: true }],
  [918, { store: true, size: 2, reversed: true }],
]);

/**
 * A load or store of a normal guest that is in no memory slot: carries it out with the VMM's devices, and takes the guest to its next
 * instruction (KVM's kvmppc_emulate_mmio).
 * @param effective where the guest accessed
 * @returns false, with nothing changed, if no device is there or the instruction is none that devices are reached with
 */
export function emulateMmio(
  { kvm, port }: Ctx,
  vm: Vm,
  context: GuestContext,
  address: GuestPhysical,
  effective: bigint,
): boolean {
  const user = kvm.userSpace.get(vm.lpid);
  if (user?.mmioLoad === undefined || user.mmioStore === undefined) return false;
  const little = (context.msr & MSR.LE) !== 0n;
  let word: number | undefined;
  try {
    const pc = translateForGuest(port, kvm.memory, vm, context, context.pc);
    if (pc !== undefined) word = new DataView(kvm.memory.read(vm, pc, 4).buffer).getUint32(0, little);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
  }
  const access = word === undefined ? undefined : decode(word);
  if (word === undefined || access === undefined) return false;
  const { size } = access;
  const register = (word >>> 21) & 31;
  // Byte-reversed instructions take the order that the guest does not run in.
  const littleAccess = little !== (access.reversed ?? false);
  if (access.store) {
    const bytes = toBytes(guestGpr(port, context, register), size, littleAccess);
    if (!user.mmioStore({ vm, address, size }, bytes)) return false;
  } else {
    const bytes = user.mmioLoad({ vm, address, size });
    if (bytes === undefined) return false;
    setGuestGpr(port, context, register, fromBytes(bytes, littleAccess, access.algebraic ?? false));
  }
  if (access.update) setGuestGpr(port, context, (word >>> 16) & 31, effective);
  context.pc = BigInt.asUintN(64, context.pc + 4n);
  return true;
}

function decode(word: number): Access | undefined {
  const opcode = word >>> 26;
  if (opcode === 31) return X_FORM.get((word >>> 1) & 0x3ff);
  return D_FORM.get(opcode) ?? DS_FORM.get(opcode * 4 + (word & 3));
}

function toBytes(value: bigint, size: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), little);
  return little ? bytes.slice(0, size) : bytes.slice(8 - size);
}

function fromBytes(bytes: Uint8Array, little: boolean, algebraic: boolean): bigint {
  const ordered = little ? bytes : bytes.slice().reverse();
  const value = ordered.reduceRight((high, byte) => (high << 8n) | BigInt(byte), 0n);
  return algebraic ? BigInt.asUintN(64, BigInt.asIntN(8 * bytes.length, value)) : value;
}
