import { type RealAddress, realAddress } from '../../machine/types.ts';
import { U_CODE, type UCode, UV_HOMER_BYTES, UV_MEM_HANDLE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';
import { isSecure } from './secure-memory.ts';

/** What UV_READ_MEM and UV_WRITE_MEM copy: between a buffer of the hypervisor and the chip's HOMER. */
export interface FirmwareCopy {
  readonly buffer: RealAddress;
  readonly offset: number;
  readonly size: number;
}

/**
 * The arguments of UV_READ_MEM and UV_WRITE_MEM: R4 buffer, R5 handle, R6 offset, R7 size (3.7). U_PARAMETER for no buffer, one that is not in
 * normal memory, or size 0; U_PERMISSION for everything that is not inside HOMER, the only range that the hypervisor's firmware may see.
 */
export function firmwareCopy(uv: UvContext, port: RegisterPort): FirmwareCopy | UCode {
  const [buffer, handle, offset, size] = [realAddress(port.gpr(4)), port.gpr(5), port.gpr(6), port.gpr(7)];
  if (buffer === undefined || buffer === 0 || isSecure(buffer) || size === 0n) return U_CODE.U_PARAMETER;
  if (handle !== UV_MEM_HANDLE.HOMER_CHIP_0 || offset + size > BigInt(UV_HOMER_BYTES)) return U_CODE.U_PERMISSION;
  if (!uv.view.reaches(buffer, Number(size))) return U_CODE.U_PARAMETER;
  return { buffer, offset: Number(offset), size: Number(size) };
}
