/** Numbers of the service-call logical processor (s390-pv.md 8.6; QEMU 7.2, include/hw/s390x/sclp.h). Blocks are big-endian. */

/** Command words, as far as `SCLP_COMMAND_MASK` looks at them. */
export const SCLP = {
  READ_SCP_INFO: 0x00020001,
  READ_SCP_INFO_FORCED: 0x00120001,
  READ_CPU_INFO: 0x00010001,
  READ_EVENT_DATA: 0x00770005,
  WRITE_EVENT_DATA: 0x00760005,
  WRITE_EVENT_MASK: 0x00780005,
} as const;
export const SCLP_COMMAND_MASK = 0xffff00ff;

/** Response codes. */
export const SCLP_RC = {
  READ_COMPLETION: 0x0010,
  COMPLETION: 0x0020,
  BOUNDARY_VIOLATION: 0x0100,
  INVALID_COMMAND: 0x01f0,
  INSUFFICIENT_LENGTH: 0x0300,
  INVALID_FUNCTION: 0x40f0,
  NO_EVENT_BUFFERS: 0x60f0,
  INVALID_SELECTION_MASK: 0x70f0,
  INCONSISTENT_LENGTHS: 0x72f0,
  EVENT_BUFFER_SYNTAX: 0x73f0,
  INVALID_MASK_LENGTH: 0x74f0,
} as const;

/** Offsets in the header of every block. */
export const SCCB = { LENGTH: 0, FUNCTION: 2, CONTROL: 3, RESPONSE: 6, DATA: 8 } as const;
/** In the last control byte: the answer may be shorter or longer than the block. */
export const VARIABLE_LENGTH = 0x80;
export const SCCB_BYTES = 4096;

/** Event types; a mask of n bytes has type t in bit t - 1, counted from its most significant one. */
export const EVENT = { OPERATOR_COMMAND: 0x01, MESSAGE: 0x02, PRIORITY_MESSAGE: 0x09, ASCII: 0x1a } as const;

/** Masks are kept as 64 bits. */
export const eventBit = (type: number): bigint => 1n << BigInt(64 - type);

/** Offsets in an event buffer. */
export const EVENT_BUFFER = { LENGTH: 0, TYPE: 2, FLAGS: 3, DATA: 6 } as const;
export const EVENT_ACCEPTED = 0x80;

/** A view of bytes, for fields. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
