import { U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';
import { isScom } from './scom.ts';

/** UV_READ_SCOM: R4 chip, R5 address; the value goes to R4 (3.6). U_PARAMETER for a chip or an address that does not exist. */
export function uvReadScom(uv: UvContext, port: RegisterPort): Outcome {
  const address = port.gpr(5);
  if (!isScom(port.gpr(4), address)) return U_CODE.U_PARAMETER;
  port.setGpr(4, uv.state.scoms.get(address) ?? 0n);
  return U_CODE.U_SUCCESS;
}
