/** How pages are encrypted: IAPM as the API document has it (8.4), or AES-GCM as the firmware that was shipped does (8.2). */
export const PAGE_CIPHERS = ['iapm', 'gcm'] as const;
/** How pages are encrypted: AES-IAPM or AES-GCM. */
export type PageCipher = (typeof PAGE_CIPHERS)[number];
