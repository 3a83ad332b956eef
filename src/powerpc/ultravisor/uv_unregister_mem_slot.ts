import { U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { dropPages } from './pages.ts';
import { svmOf } from './svm-lookup.ts';

const { U_SUCCESS, U_PARAMETER, U_P2 } = U_CODE;

/**
 * UV_UNREGISTER_MEM_SLOT: R4 lpid, R5 slotid (3.9). What the slot's pages held is lost: secure frames are scrubbed,
 * ciphertexts outside can never come back, pages of the hypervisor are let go. The range of a secure VM is remembered: it
 * never comes back as memory.
 */
export function uvUnregisterMemSlot(uv: UvContext, port: RegisterPort): Outcome {
  const svm = svmOf(uv, port.gpr(4));
  if (svm === undefined) return U_PARAMETER;
  const id = port.gpr(5);
  const index = svm.slots.findIndex((slot) => BigInt(slot.id) === id);
  if (index < 0) return U_P2;

  const slot = svm.slots[index];
  dropPages(uv, port, svm, slot);
  svm.slots.splice(index, 1);
  if (svm.state === 'SECURE') svm.lost.push(slot);
  return U_SUCCESS;
}
