/** An instruction of a secure guest that the host is doing: how to complete it, as plain data. */
export interface PendingInstruction {
  /** Its mnemonic: a row of `INTERCEPTS`. */
  readonly name: string;
  /** Of what stands at the PSW. */
  readonly length: 2 | 4 | 6;
  /** First four bytes of the instruction. */
  readonly head: number;
  /** Guest absolute or logical address of its operand, as the row takes it; null where there is none. */
  readonly operand: bigint | null;
  /** Bytes that may come back from the start of the SIDA. */
  readonly answer: number;
  /** The host was told that it is done already, and completes it nevertheless (SIGP): injections are not held back. */
  readonly notified: boolean;
}
