import { gfnOf, gpaOf, HCALL, ULTRACALL, UV_PAGE_ORDER, UV_PAGE_SIZE, VECTOR } from '../../abi.ts';
import type { Attack } from './attack.ts';
import { changeTexts } from './change-texts.ts';

/**
 * Shows the right image while it is measured, and changes it after that: gives its first page other contents when the Ultravisor has checked everything and
 * asks for H_SVM_INIT_DONE, at the last moment before the guest is secure. A normal VM is measured by nobody.
 */
export const changeAfterCheck: Attack = {
  name: 'change-after-check',
  summary: 'change the guest’s image after it was measured and before the guest is secure',
  begin: (hv) => {
    let changed = new Uint8Array(0);
    return {
      booted() {
        const { image } = hv.loaded;
        const page = gpaOf(gfnOf(image.base));
        changed = new Uint8Array(changeTexts(hv.readGuest({ base: page, size: UV_PAGE_SIZE })));
        if (hv.secure === null) hv.writeGuest({ base: page, size: UV_PAGE_SIZE }, changed);
        hv.did('changing the image');
      },
      exited({ info }) {
        if (info.vector !== VECTOR.SYSTEM_CALL || hv.port.gpr(3) !== BigInt(HCALL.H_SVM_INIT_DONE)) return;
        const source = hv.ownPage(0);
        hv.store(source, changed);
        const gpa = gpaOf(gfnOf(hv.loaded.image.base));
        const args = [hv.victim.lpid, source, gpa, 0, UV_PAGE_ORDER];
        // Requests run after H_SVM_INIT_DONE was served, and before the Ultravisor is told so.
        hv.ultracalls({ number: ULTRACALL.UV_PAGE_IN, args });
      },
    };
  },
};
