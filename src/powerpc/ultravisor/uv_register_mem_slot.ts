import { gfnOf, guestPhysical, U_CODE, UV_MEM_SLOTS, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { createPageTable } from './page-table.ts';
import { makeTables } from './partition-scoped.ts';
import type { MemSlot } from './svm.ts';
import { svmOf } from './svm-lookup.ts';

const { U_SUCCESS, U_PARAMETER, U_P2, U_P3, U_P4, U_P5, U_RETRY, U_STATE } = U_CODE;

/**
 * UV_REGISTER_MEM_SLOT: R4 lpid, R5 start_gpa, R6 size, R7 flags, R8 slotid (3.8). Every page begins SECURE and zero;
 * its secure frame is taken when it is first needed, only the tables of the slot are made now: U_RETRY if secure memory
 * cannot hold them.
 *
 * U_P3 also for a range that was a slot of the secure VM before: the guest, which nobody asked, would find zeros where it left something. So
 * memory can be unplugged for good only. U_RETRY once that has happened very often.
 */
export function uvRegisterMemSlot(uv: UvContext, port: RegisterPort): Outcome {
  const svm = svmOf(uv, port.gpr(4));
  if (svm === undefined) return U_PARAMETER;
  if (svm.state === 'ABORT' || svm.state === 'DEAD') return U_STATE;
  const start = guestPhysical(port.gpr(5));
  if (start === undefined || start % UV_PAGE_SIZE !== 0) return U_P2;
  const size = guestPhysical(port.gpr(6));
  if (size === undefined || size === 0 || size % UV_PAGE_SIZE !== 0) return U_P3;
  if (guestPhysical(start + size - 1) === undefined) return U_P3;
  const first = gfnOf(start);
  const count = size / UV_PAGE_SIZE;
  const overlaps = (slot: MemSlot): boolean => first < slot.first + slot.count && slot.first < first + count;
  if (svm.slots.some(overlaps) || svm.lost.some(overlaps)) return U_P3;
  if (port.gpr(7) !== 0n) return U_P4;
  const id = port.gpr(8);
  if (id >= UV_MEM_SLOTS || svm.slots.some((slot) => BigInt(slot.id) === id)) return U_P5;
  if (svm.lost.length >= UV_MEM_SLOTS) return U_RETRY;
  if (!makeTables(uv.view, uv.secure, svm.tree, first, count)) return U_RETRY;

  const slot: MemSlot = { id: Number(id), first, count, pages: createPageTable(count) };
  svm.slots.push(slot);
  svm.slots.sort((x, y) => x.first - y.first);
  return U_SUCCESS;
}
