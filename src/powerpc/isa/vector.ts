import { define, type PowerInstruction } from './common.ts';
import { TRAP } from './helpers.ts';

/** Vector facilities are not there: their instructions raise "facility unavailable", whatever the MSR says. */
function unavailable(name: string, encoding: string, cause: number): PowerInstruction {
  return define({ name, encoding, operands: '', meaning: (s) => s.trap(cause) });
}

export const VECTOR: readonly PowerInstruction[] = [
  unavailable('vmx', '000100 .26', TRAP.vectorUnavailable),
  unavailable('vsx', '111100 .26', TRAP.vsxUnavailable),
  ...['0000000111', '0000100111', '0001000111', '0001100111', '0101100111'].map((xo, i) =>
    unavailable(`vmx-load-${i}`, `011111 .5 .5 .5 ${xo} .1`, TRAP.vectorUnavailable),
  ),
  ...['0010000111', '0010100111', '0011000111', '0011100111', '0111100111'].map((xo, i) =>
    unavailable(`vmx-store-${i}`, `011111 .5 .5 .5 ${xo} .1`, TRAP.vectorUnavailable),
  ),
  unavailable('lvsl', '011111 .5 .5 .5 0000000110 .1', TRAP.vectorUnavailable),
  unavailable('lvsr', '011111 .5 .5 .5 0000100110 .1', TRAP.vectorUnavailable),
  unavailable('lxvd2x', '011111 .5 .5 .5 1101001100 .1', TRAP.vsxUnavailable),
  unavailable('stxvd2x', '011111 .5 .5 .5 1111001100 .1', TRAP.vsxUnavailable),
  unavailable('mfvsrd', '011111 .5 .5 .5 0000110011 .1', TRAP.vsxUnavailable),
  unavailable('mtvsrd', '011111 .5 .5 .5 0010110011 .1', TRAP.vsxUnavailable),
];
