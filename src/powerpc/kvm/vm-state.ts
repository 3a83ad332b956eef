/**
 * The states of a VM, as the KVM half books them (Linux commit 651a6310111e, sections 2, 4 and 7; power-pef.md 5):
 *
 * - Normal: all frames Normal.
 * - Transient: from H_SVM_INIT_START to a successful H_SVM_INIT_DONE; frames of any state; never executes in supervisor state.
 * - Secure: all frames Secure or Shared.
 */

export const KVMPPC_SECURE_INIT_START = 0x1;
export const KVMPPC_SECURE_INIT_DONE = 0x2;

export type VmState = 'normal' | 'transient' | 'secure';
export type VmEvent = 'start-vm' | 'init-start' | 'init-done' | 'init-abort' | 'svm-terminate';

/** Life cycle of a VM: the table of section 7, cell by cell. `null` is its N/A. */
export const VM_LIFE_CYCLE: Readonly<Record<VmState, Readonly<Record<VmEvent, VmState | 'error' | null>>>> = {
  normal: {
    'start-vm': 'normal',
    'init-start': 'transient',
    'init-done': 'error',
    'init-abort': 'error',
    'svm-terminate': 'normal',
  },
  secure: {
    'start-vm': 'error',
    'init-start': 'error',
    'init-done': 'error',
    'init-abort': 'error',
    'svm-terminate': 'normal',
  },
  transient: {
    'start-vm': null,
    'init-start': 'error',
    'init-done': 'secure',
    'init-abort': 'normal',
    'svm-terminate': 'normal',
  },
};

/** The state that KVM's `secure_guest` flags encode. */
export function vmState(secureGuest: number): VmState {
  if ((secureGuest & KVMPPC_SECURE_INIT_DONE) !== 0) return 'secure';
  return (secureGuest & KVMPPC_SECURE_INIT_START) !== 0 ? 'transient' : 'normal';
}
