import { findEsmArchive } from '../../../image/esm-archive.ts';
import { readEsmBlob } from '../../../image/esm-blob-reader.ts';
import { writeEsmBlob } from '../../../image/esm-blob-writer.ts';
import type { Attack } from './attack.ts';
import { changeTexts } from './change-texts.ts';

/** Changes the image, and the digests in the ESM blob before the initrd, which vouch for the image (power-pef.md 7.1, 7.2). */
export const corruptBlob: Attack = {
  name: 'corrupt-blob',
  summary: 'change the guest’s image, and the digests in the ESM blob that vouch for it',
  begin: (hv) => ({
    booted() {
      const { image, initrd } = hv.loaded;
      hv.writeGuest(image, changeTexts(hv.readGuest(image)));
      hv.did('changing the image');
      if (initrd === null) return;
      const bytes = hv.readGuest(initrd);
      const archive = findEsmArchive(bytes);
      if (archive === null) return;
      const blob = readEsmBlob(archive.blob);
      const ciphertext = blob.digests.ciphertext.slice();
      ciphertext[0] ^= 1;
      const at = archive.blob.byteOffset - bytes.byteOffset;
      bytes.set(writeEsmBlob({ ...blob, digests: { ...blob.digests, ciphertext } }), at);
      hv.writeGuest(initrd, bytes);
    },
  }),
};
