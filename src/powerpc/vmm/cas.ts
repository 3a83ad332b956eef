import type { GuestMemory } from '../kvm/guest-memory.ts';
import type { Vm } from '../kvm/vm.ts';

/** More pairs of mask and PVR than any client has; the list is the client's. */
const MAX_PVRS = 512;
const VECTOR_5 = 5;

/** Bytes and bits of option vector 5 (LoPAPR B.6.2.4). */
const MMU_BYTE = 24;
const MMU_RADIX = 0x40;
const RADIX_OPTIONS_BYTE = 26;
const RADIX_GTSE = 0x40;

/**
 * What ibm,client-architecture-support agrees on: of the client's option vector 5, at `vectors`, the radix MMU and its own `tlbie`. Bytes as
 * /chosen/ibm,architecture-vec-5 has them: the length less one, then the vector.
 * @throws GuestFault
 */
export function negotiate(memory: GuestMemory, vm: Vm, vectors: number): Uint8Array {
  const client = clientVector5(memory, vm, vectors);
  const vec5 = new Uint8Array(RADIX_OPTIONS_BYTE + 1);
  vec5[0] = vec5.length - 2;
  vec5[MMU_BYTE] = (client[MMU_BYTE] ?? 0) & MMU_RADIX;
  if (vec5[MMU_BYTE] !== 0) vec5[RADIX_OPTIONS_BYTE] = (client[RADIX_OPTIONS_BYTE] ?? 0) & RADIX_GTSE;
  return vec5;
}

/** The client's option vector 5 with its length byte; empty if it has none. */
function clientVector5(memory: GuestMemory, vm: Vm, vectors: number): Uint8Array {
  let at = vectors;
  for (let i = 0; i < MAX_PVRS; i++, at += 8) {
    const mask = memory.readU32(vm, at);
    const pvr = memory.readU32(vm, at + 4);
    // A PVR with bits outside its mask matches nothing and ends the list.
    if ((~mask & pvr) !== 0) break;
  }
  at += 8;
  const [count] = memory.read(vm, at, 1);
  at += 1;
  for (let vector = 1; vector <= count + 1; vector++) {
    const [length] = memory.read(vm, at, 1);
    if (vector === VECTOR_5) return memory.read(vm, at, length + 2);
    at += length + 2;
  }
  return new Uint8Array(0);
}
