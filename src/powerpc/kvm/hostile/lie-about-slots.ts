import { gpaOf, HCALL, ULTRACALL, UV_PAGE_SIZE, VECTOR } from '../../abi.ts';
import { type Attack, FIRST_LINE } from './attack.ts';

/** Slots beside the VM's own. */
const TARGET_SLOT = 100;
const REST_SLOT = 101;

/**
 * Has the target in a memory slot of its own, and later takes this slot away and adds it again: as if memory had been unplugged and plugged, of
 * which the guest knows nothing. It would find zeros.
 */
export const lieAboutSlots: Attack = {
  name: 'lie-about-slots',
  summary: 'cut a page out as a memory slot of its own, then remove the slot and add it again',
  begin: (hv) => ({
    exited({ info }) {
      if (info.vector !== VECTOR.SYSTEM_CALL || hv.port.gpr(3) !== BigInt(HCALL.H_SVM_INIT_START)) return;
      const { lpid, slots } = hv.victim;
      const [slot] = slots;
      const end = slot.baseGfn + slot.npages;
      const number = ULTRACALL.UV_REGISTER_MEM_SLOT;
      const rest = (end - hv.target - 1) * UV_PAGE_SIZE;
      hv.ultracalls(
        { number, args: [lpid, gpaOf(hv.target), UV_PAGE_SIZE, 0, TARGET_SLOT] },
        { number, args: [lpid, gpaOf(hv.target) + UV_PAGE_SIZE, rest, 0, REST_SLOT] },
      );
    },
    ultracall(number, args) {
      const own = number === ULTRACALL.UV_REGISTER_MEM_SLOT && Number(args[4]) < TARGET_SLOT;
      return own ? [args[0], args[1], gpaOf(hv.target) - Number(args[1]), ...args.slice(3)] : args;
    },
    line(n) {
      if (n !== FIRST_LINE) return;
      const { lpid } = hv.victim;
      if (!hv.isSecure()) hv.replacePage(hv.target, hv.ownPage(0));
      else {
        hv.did('giving another page');
        hv.ultracalls(
          { number: ULTRACALL.UV_UNREGISTER_MEM_SLOT, args: [lpid, TARGET_SLOT] },
          {
            number: ULTRACALL.UV_REGISTER_MEM_SLOT,
            args: [lpid, gpaOf(hv.target), UV_PAGE_SIZE, 0, TARGET_SLOT],
          },
        );
      }
    },
  }),
};
