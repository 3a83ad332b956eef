/**
 * The states of a guest frame, as the KVM half books them (Linux commit 651a6310111e, sections 1, 5 and 6; power-pef.md 5):
 *
 * - Secure: its contents are out of the hypervisor's reach. Backed by a secure-PFN while paged in (`KVMPPC_GFN_UVMEM_PFN`, the low bits name
 *   the secure-PFN), by a normal page of ciphertext while paged out (`KVMPPC_GFN_MEM_PFN`).
 * - Shared (`KVMPPC_GFN_SHARED`): backed by a normal page in plain, which hypervisor and guest both use.
 * - Normal (no flag): backed by a normal page in plain, or not yet backed.
 */

export const KVMPPC_GFN_UVMEM_PFN = 1n << 63n;
export const KVMPPC_GFN_MEM_PFN = 1n << 62n;
export const KVMPPC_GFN_SHARED = 1n << 61n;
export const KVMPPC_GFN_FLAG_MASK = KVMPPC_GFN_UVMEM_PFN | KVMPPC_GFN_MEM_PFN | KVMPPC_GFN_SHARED;
/** The secure-PFN of a frame with `KVMPPC_GFN_UVMEM_PFN`. */
export const KVMPPC_GFN_PFN_MASK = ~KVMPPC_GFN_FLAG_MASK & 0xffffffffffffffffn;

export type GfnState = 'normal' | 'secure' | 'shared';

/** What changes the state of a frame. */
export type GfnEvent = 'share' | 'unshare' | 'abort-or-terminate' | 'init-done';

/** Life cycle of a GFN: the table of section 6, cell by cell. */
export const GFN_LIFE_CYCLE: Readonly<Record<GfnState, Readonly<Record<GfnEvent, GfnState>>>> = {
  secure: { share: 'shared', unshare: 'secure', 'abort-or-terminate': 'normal', 'init-done': 'secure' },
  shared: { share: 'shared', unshare: 'secure', 'abort-or-terminate': 'normal', 'init-done': 'shared' },
  normal: { share: 'shared', unshare: 'secure', 'abort-or-terminate': 'normal', 'init-done': 'secure' },
};

/** The state that an entry of `pfns` encodes. @throws RangeError for a combination of flags that means nothing */
export function gfnState(pfn: bigint): GfnState {
  switch (pfn & KVMPPC_GFN_FLAG_MASK) {
    case 0n:
      return 'normal';
    case KVMPPC_GFN_UVMEM_PFN:
    case KVMPPC_GFN_MEM_PFN:
      return 'secure';
    case KVMPPC_GFN_SHARED:
      return 'shared';
    default:
      throw new RangeError(`a frame with the flags of two states: 0x${pfn.toString(16)}`);
  }
}

/** Whether the frame is Secure and paged in. */
export function isUvmem(pfn: bigint): boolean {
  return (pfn & KVMPPC_GFN_UVMEM_PFN) !== 0n;
}

/** The secure-PFN of a frame that is Secure and paged in. */
export function uvmemPfn(pfn: bigint): number {
  return Number(pfn & KVMPPC_GFN_PFN_MASK);
}
