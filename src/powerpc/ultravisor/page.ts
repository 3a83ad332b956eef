import type { RealAddress } from '../../machine/types.ts';

/**
 * What is needed to take a page back in: it never leaves the Ultravisor, so only the last ciphertext of that very page
 * is accepted.
 */
export interface PageSeal {
  /** The part of the nonce that is this page-out's alone. */
  readonly counter: bigint;
  /** 16 bytes. */
  readonly tag: Uint8Array;
  readonly generation: number;
}

/**
 * What is known of one page of an SVM (3.18). `frame` is a secure frame that belongs to this page alone, `hvPage` a
 * normal page of the hypervisor. The leaf in the SVM's tree is a function of this record (`pages.ts`).
 *
 * A SECURE page without a frame is all zeroes and gets its frame when it is first needed. `given`: its contents came
 * from the hypervisor in the clear by UV_PAGE_IN before the SVM was secure, so that they may go back in the clear if it
 * never becomes so (6.1 A3).
 *
 * HV_SHARING to HV_UNSHARED are transient: a share or unshare of the page waits for the hypervisor. A page that is
 * being shared keeps its frame and contents, for the case that the share fails.
 */
export type Page =
  | { readonly state: 'SECURE'; readonly frame: RealAddress | null; readonly given: boolean }
  | { readonly state: 'PAGEDOUT'; readonly seal: PageSeal; readonly given: boolean }
  | { readonly state: 'SHARED'; readonly hvPage: RealAddress }
  | { readonly state: 'SHARED_INV' }
  | { readonly state: 'SHARED_IMPLICIT'; readonly hvPage: RealAddress }
  | { readonly state: 'SHARED_IMPLICIT_INV' }
  | { readonly state: 'HV_SHARING'; readonly frame: RealAddress | null }
  | { readonly state: 'HV_SHARED'; readonly frame: RealAddress | null; readonly hvPage: RealAddress }
  | { readonly state: 'HV_SHARED_INV'; readonly frame: RealAddress | null }
  | { readonly state: 'HV_UNSHARING'; readonly frame: RealAddress | null }
  | { readonly state: 'HV_UNSHARING_INV'; readonly frame: RealAddress | null }
  | { readonly state: 'HV_UNSHARED' }
  | { readonly state: 'PSEUDO_SHARED'; readonly frame: RealAddress; readonly hvPage: RealAddress }
  | { readonly state: 'PSEUDO_SHARED_INV'; readonly frame: RealAddress };
export type PageState = Page['state'];
