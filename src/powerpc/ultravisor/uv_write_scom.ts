import { U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { isScom, MOST_SCOMS } from './scom.ts';

/**
 * UV_WRITE_SCOM: R4 chip, R5 address, R6 value (3.6). U_PARAMETER for a chip or an address that does not exist, U_BUSY when as many registers as
 * are kept have been written. A register is a store of its own: nothing of the machine hangs on it.
 */
export function uvWriteScom(uv: UvContext, port: RegisterPort): Outcome {
  const { scoms } = uv.state;
  const address = port.gpr(5);
  if (!isScom(port.gpr(4), address)) return U_CODE.U_PARAMETER;
  if (scoms.size >= MOST_SCOMS && !scoms.has(address)) return U_CODE.U_BUSY;
  scoms.set(address, port.gpr(6));
  return U_CODE.U_SUCCESS;
}
