import type { Attack } from './attack.ts';
import { changeTexts } from './change-texts.ts';

/** Changes the guest's image before it starts. */
export const corruptImage: Attack = {
  name: 'corrupt-image',
  summary: 'change the guest’s image before it starts',
  begin: (hv) => ({
    booted() {
      const { image } = hv.loaded;
      hv.writeGuest(image, changeTexts(hv.readGuest(image)));
      hv.did('changing the image');
    },
  }),
};
