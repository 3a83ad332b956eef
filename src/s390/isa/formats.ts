/**
 * Instruction formats (Principles of Operation, "Instruction Formats"; the letters behind a name are binutils'). In an encoding `#n` takes the next
 * n bits of the opcode. In operands, `{X2}` is a storage operand with index, base and displacement, `{S1}` one with base and displacement,
 * `{Q1}` is one with base, displacement and a length in field R1; `{R1}`, `{F1}`, `{A1}` and `{C1}` are general, floating point, access and control registers in field R1.
 */
export const FORMATS = {
  E: { encoding: '#16', operands: '' },
  IE: { encoding: '#16 .8 I1:4 I2:4', operands: '{I1},{I2}' },
  I: { encoding: '#8 I1:8', operands: '{I1}' },
  RR: { encoding: '#8 R1:4 R2:4', operands: '{R1},{R2}' },
  RRm: { encoding: '#8 M1:4 R2:4', operands: '{M1},{R2}' },
  /** A second register that the opcode names. */
  RRmr: { encoding: '#8 M1:4 #4', operands: '{M1},%r14' },
  /** One register, the other field being ignored. */
  RR1: { encoding: '#8 R1:4 .4', operands: '{R1}' },
  RRE: { encoding: '#16 .8 R1:4 R2:4', operands: '{R1},{R2}' },
  RRE1: { encoding: '#16 .8 R1:4 .4', operands: '{R1}' },
  RRD: { encoding: '#16 R1:4 .4 R3:4 R2:4', operands: '{R1},{R3},{R2}' },
  RRFa: { encoding: '#16 R3:4 .4 R1:4 R2:4', operands: '{R1},{R2},{R3}' },
  RRFc: { encoding: '#16 M3:4 .4 R1:4 R2:4', operands: '{R1},{R2},{M3}' },
  RRFe: { encoding: '#16 M3:4 M4:4 R1:4 R2:4', operands: '{R1},{M3},{R2},{M4}' },
  RX: { encoding: '#8 R1:4 X2:4 B2:4 D2:12', operands: '{R1},{X2}' },
  RXm: { encoding: '#8 M1:4 X2:4 B2:4 D2:12', operands: '{M1},{X2}' },
  RXE: { encoding: '#8 R1:4 X2:4 B2:4 D2:12 .8 #8', operands: '{F1},{X2}' },
  RXF: { encoding: '#8 R3:4 X2:4 B2:4 D2:12 R1:4 .4 #8', operands: '{F1},{F3},{X2}' },
  RXY: { encoding: '#8 R1:4 X2:4 B2:4 DL2:12 DH2:8 #8', operands: '{R1},{X2}' },
  RXYm: { encoding: '#8 M1:4 X2:4 B2:4 DL2:12 DH2:8 #8', operands: '{M1},{X2}' },
  RS: { encoding: '#8 R1:4 R3:4 B2:4 D2:12', operands: '{R1},{R3},{S2}' },
  RSm: { encoding: '#8 R1:4 M3:4 B2:4 D2:12', operands: '{R1},{M3},{S2}' },
  /** Shifts: field R3 is ignored. */
  RSs: { encoding: '#8 R1:4 .4 B2:4 D2:12', operands: '{R1},{S2}' },
  RSY: { encoding: '#8 R1:4 R3:4 B2:4 DL2:12 DH2:8 #8', operands: '{R1},{R3},{S2}' },
  RSYm: { encoding: '#8 R1:4 M3:4 B2:4 DL2:12 DH2:8 #8', operands: '{R1},{M3},{S2}' },
  RSI: { encoding: '#8 R1:4 R3:4 RI2:16', operands: '{R1},{R3},{RI2}' },
  RSL: { encoding: '#8 L1:4 .4 B1:4 D1:12 .8 #8', operands: '{L1}' },
  RI: { encoding: '#8 R1:4 #4 I2:16', operands: '{R1},{I2}' },
  RIb: { encoding: '#8 R1:4 #4 RI2:16', operands: '{R1},{RI2}' },
  RIc: { encoding: '#8 M1:4 #4 RI2:16', operands: '{M1},{RI2}' },
  RIL: { encoding: '#8 R1:4 #4 I2H:16 I2L:16', operands: '{R1},{I2}' },
  RILb: { encoding: '#8 R1:4 #4 RI2H:16 RI2L:16', operands: '{R1},{RI2}' },
  RILc: { encoding: '#8 M1:4 #4 RI2H:16 RI2L:16', operands: '{M1},{RI2}' },
  RIEa: { encoding: '#8 R1:4 .4 I2:16 M3:4 .4 #8', operands: '{R1},{I2},{M3}' },
  RIEb: { encoding: '#8 R1:4 R2:4 RI4:16 M3:4 .4 #8', operands: '{R1},{R2},{M3},{RI4}' },
  RIEc: { encoding: '#8 R1:4 M3:4 RI4:16 I2:8 #8', operands: '{R1},{I2},{M3},{RI4}' },
  RIEd: { encoding: '#8 R1:4 R3:4 I2:16 .8 #8', operands: '{R1},{R3},{I2}' },
  RIEe: { encoding: '#8 R1:4 R3:4 RI2:16 .8 #8', operands: '{R1},{R3},{RI2}' },
  RIEf: { encoding: '#8 R1:4 R2:4 I3:8 I4:8 I5:8 #8', operands: '{R1},{R2},{I3},{I4},{I5}' },
  RIEg: { encoding: '#8 R1:4 M3:4 I2:16 .8 #8', operands: '{R1},{I2},{M3}' },
  RIS: { encoding: '#8 R1:4 M3:4 B4:4 D4:12 I2:8 #8', operands: '{R1},{I2},{M3},{S4}' },
  RRS: { encoding: '#8 R1:4 R2:4 B4:4 D4:12 M3:4 .4 #8', operands: '{R1},{R2},{M3},{S4}' },
  SI: { encoding: '#8 I2:8 B1:4 D1:12', operands: '{S1},{I2}' },
  SIY: { encoding: '#8 I2:8 B1:4 DL1:12 DH1:8 #8', operands: '{S1},{I2}' },
  SIL: { encoding: '#16 B1:4 D1:12 I2:16', operands: '{S1},{I2}' },
  S: { encoding: '#16 B2:4 D2:12', operands: '{S2}' },
  /** No operand. */
  S0: { encoding: '#16 .16', operands: '' },
  /** As S, but it is the first operand. */
  S1: { encoding: '#8 .8 B1:4 D1:12', operands: '{S1}' },
  /** One length. */
  SSa: { encoding: '#8 L1:8 B1:4 D1:12 B2:4 D2:12', operands: '{L1},{S2}' },
  /** Two lengths. */
  SSb: { encoding: '#8 L1:4 L2:4 B1:4 D1:12 B2:4 D2:12', operands: '{L1},{L2}' },
  /** A length and an immediate. */
  SSc: { encoding: '#8 L1:4 I3:4 B1:4 D1:12 B2:4 D2:12', operands: '{L1},{S2},{I3}' },
  /** Lengths and keys in registers. */
  SSd: { encoding: '#8 R1:4 R3:4 B1:4 D1:12 B2:4 D2:12', operands: '{Q1},{S2},{R3}' },
  /** Registers R1 to R3 and a second storage operand. */
  SSe: { encoding: '#8 R1:4 R3:4 B2:4 D2:12 B4:4 D4:12', operands: '{R1},{R3},{S2},{S4}' },
  /** A length of the second operand. */
  SSf: { encoding: '#8 L2:8 B1:4 D1:12 B2:4 D2:12', operands: '{S1},{L2}' },
  MII: { encoding: '#8 M1:4 RI2:12 RI3H:8 RI3L:16', operands: '{M1},{RI2},{RI3}' },
  SMI: { encoding: '#8 M1:4 .4 B3:4 D3:12 RI2:16', operands: '{M1},{RI2},{S3}' },
  SSE: { encoding: '#16 B1:4 D1:12 B2:4 D2:12', operands: '{S1},{S2}' },
  SSF: { encoding: '#8 R3:4 #4 B1:4 D1:12 B2:4 D2:12', operands: '{S1},{S2},{R3}' },
  /** The same with the register first in assembly. */
  SSFr: { encoding: '#8 R3:4 #4 B1:4 D1:12 B2:4 D2:12', operands: '{R3},{S1},{S2}' },
} as const;

export type Format = keyof typeof FORMATS;

/** The encoding of an opcode (hexadecimal, all its digits in order) in a format. */
export function encodingOf(format: Format, opcode: string): string {
  const bits = Array.from(opcode, (digit) => Number.parseInt(digit, 16).toString(2).padStart(4, '0')).join('');
  let at = 0;
  const encoding = FORMATS[format].encoding.replace(/#(\d+)/g, (_, count: string) => {
    const from = at;
    at += Number(count);
    return bits.slice(from, at);
  });
  if (at !== bits.length) throw new Error(`opcode ${opcode} does not fit format ${format}`);
  return encoding;
}
