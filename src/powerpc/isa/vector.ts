import { define, type PowerInstruction } from './common.ts';
import { TRAP } from './helpers.ts';

/**
 * Vector facilities are not there: their instructions raise "facility unavailable", whatever the MSR says. So they are told apart only as far as
 * that needs: opcodes 4 and 60 belong to them but for the few instructions that are defined elsewhere.
 */
function unavailable(facility: 'vmx' | 'vsx', name: string, encoding: string): PowerInstruction {
  const cause = facility === 'vmx' ? TRAP.vectorUnavailable : TRAP.vsxUnavailable;
  return define({ name: `${facility}-${name}`, encoding, operands: '', meaning: (s) => s.trap(cause) });
}

type Row = readonly [name: string, extendedOpcode: number];

/** Vector facility, X form (Power ISA 3.0B, book I, 6.7). */
const VMX: readonly Row[] = [
  ['lvsl', 6],
  ['lvsr', 38],
  ['lvebx', 7],
  ['lvehx', 39],
  ['lvewx', 71],
  ['lvx', 103],
  ['lvxl', 359],
  ['stvebx', 135],
  ['stvehx', 167],
  ['stvewx', 199],
  ['stvx', 231],
  ['stvxl', 487],
];

/** VSX facility, X form under opcode 31 (book I, 7.6.3); the last bit is part of a register number. */
const VSX: readonly Row[] = [
  ['lxsiwzx', 12],
  ['lxsiwax', 76],
  ['lxvx', 268],
  ['lxvdsx', 332],
  ['lxvwsx', 364],
  ['lxvl', 269],
  ['lxvll', 301],
  ['lxsspx', 524],
  ['lxsdx', 588],
  ['lxvw4x', 780],
  ['lxsibzx', 781],
  ['lxvh8x', 812],
  ['lxsihzx', 813],
  ['lxvd2x', 844],
  ['lxvb16x', 876],
  ['stxsiwx', 140],
  ['stxvx', 396],
  ['stxvl', 397],
  ['stxvll', 429],
  ['stxsspx', 652],
  ['stxsdx', 716],
  ['stxvw4x', 908],
  ['stxsibx', 909],
  ['stxvh8x', 940],
  ['stxsihx', 941],
  ['stxvd2x', 972],
  ['stxvb16x', 1004],
  ['mtvsrdd', 435],
];

/** Moves between the register files: RB is reserved. */
const VSX_MOVES: readonly Row[] = [
  ['mfvsrd', 51],
  ['mfvsrwz', 115],
  ['mtvsrd', 179],
  ['mtvsrwa', 211],
  ['mtvsrwz', 243],
  ['mfvsrld', 307],
  ['mtvsrws', 403],
];

/** Quad-precision arithmetic under opcode 63 (book I, 7.6.1.8); some share an extended opcode. */
const QUAD: readonly Row[] = [
  ['xsaddqp', 4],
  ['xsmulqp', 36],
  ['xscpsgnqp', 100],
  ['xscmpoqp', 132],
  ['xscmpexpqp', 164],
  ['xsmaddqp', 388],
  ['xsmsubqp', 420],
  ['xsnmaddqp', 452],
  ['xsnmsubqp', 484],
  ['xssubqp', 516],
  ['xsdivqp', 548],
  ['xscmpuqp', 644],
  ['xststdcqp', 708],
  ['xsabsqp', 804],
  ['xscvqpdp', 836],
  ['xsiexpqp', 868],
];

const bits = (value: number): string => value.toString(2).padStart(10, '0');

export const VECTOR: readonly PowerInstruction[] = [
  unavailable('vmx', 'any', '000100 .26'),
  unavailable('vsx', 'any', '111100 .26'),
  ...VMX.map(([name, xo]) => unavailable('vmx', name, `011111 .15 ${bits(xo)} 0`)),
  ...VSX.map(([name, xo]) => unavailable('vsx', name, `011111 .15 ${bits(xo)} .1`)),
  ...VSX_MOVES.map(([name, xo]) => unavailable('vsx', name, `011111 .10 00000 ${bits(xo)} .1`)),
  unavailable('vsx', 'lxsd', '111001 .24 10'),
  unavailable('vsx', 'lxssp', '111001 .24 11'),
  unavailable('vsx', 'lxv', '111101 .23 001'),
  unavailable('vsx', 'stxv', '111101 .23 101'),
  unavailable('vsx', 'stxsd', '111101 .24 10'),
  unavailable('vsx', 'stxssp', '111101 .24 11'),
  ...QUAD.map(([name, xo]) => unavailable('vsx', name, `111111 .15 ${bits(xo)} .1`)),
  unavailable('vsx', 'xsrqpi', '111111 .17 00000101 .1'),
  unavailable('vsx', 'xsrqpxp', '111111 .17 00100101 .1'),
];
