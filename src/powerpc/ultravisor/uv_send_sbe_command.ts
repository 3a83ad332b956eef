import { SBE_COMMAND, U_CODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Outcome, UvContext } from './context.ts';

const COMMANDS: ReadonlySet<bigint> = new Set(Object.values(SBE_COMMAND));

/**
 * UV_SEND_SBE_COMMAND: R4 chip, R5 opcode, R6 input (3.7). U_PARAMETER for a chip other than 0 or an unknown opcode; U_FUNCTION for the others,
 * since this machine has no self-boot engine that could serve them.
 */
export function uvSendSbeCommand(_: UvContext, port: RegisterPort): Outcome {
  if (port.gpr(4) !== 0n || !COMMANDS.has(port.gpr(5))) return U_CODE.U_PARAMETER;
  return U_CODE.U_FUNCTION;
}
