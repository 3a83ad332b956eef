import { U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { firmwareCopy } from './firmware-memory.ts';

/** UV_READ_MEM: stop-state information goes to a buffer of the hypervisor's firmware (3.7); arguments and errors as in `firmwareCopy`. */
export function uvReadMem(uv: UvContext, port: RegisterPort): Outcome {
  const copy = firmwareCopy(uv, port);
  if (typeof copy === 'number') return copy;
  const { buffer, offset, size } = copy;
  uv.view.write(buffer, uv.state.homer?.subarray(offset, offset + size) ?? new Uint8Array(size));
  return U_CODE.U_SUCCESS;
}
