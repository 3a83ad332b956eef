import { U_CODE, UV_HOMER_BYTES } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { firmwareCopy } from './firmware-memory.ts';

/** UV_WRITE_MEM: stop-state information comes from a buffer of the hypervisor's firmware (3.7); arguments and errors as in `firmwareCopy`. */
export function uvWriteMem(uv: UvContext, port: RegisterPort): Outcome {
  const copy = firmwareCopy(uv, port);
  if (typeof copy === 'number') return copy;
  uv.state.homer ??= new Uint8Array(UV_HOMER_BYTES);
  uv.state.homer.set(uv.view.read(copy.buffer, copy.size), copy.offset);
  return U_CODE.U_SUCCESS;
}
