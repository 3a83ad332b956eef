/** Layouts of the channel subsystem (z/Architecture Principles of Operation, chapters 14 to 16). Fields are big-endian. */

/** Bytes of a SCHIB, of an ORB as far as it is looked at, and of an IRB without extended measurements. */
export const SCHIB_BYTES = 52;
export const ORB_BYTES = 32;
export const IRB_BYTES = 64;

/** Offsets in the SCHIB: the path-management-control word, and behind it the subchannel-status word. */
export const PMCW = {
  PARAMETER: 0,
  FLAGS: 4,
  DEVICE: 6,
  LPM: 8,
  PNOM: 9,
  LPUM: 10,
  PIM: 11,
  MEASUREMENT: 12,
  POM: 14,
  PAM: 15,
  CHPID: 16,
  CHARACTERISTICS: 24,
  BYTES: 28,
} as const;
export const SCHIB_MEASUREMENT_ADDRESS = 40;

export const PMCW_FLAG = {
  ISC: 0x3800,
  ENABLED: 0x0080,
  LIMIT_MODE: 0x0060,
  MEASUREMENT_MODE: 0x0018,
  MULTIPATH: 0x0004,
  TIMING: 0x0002,
  VALID: 0x0001,
  /** Bits that must be 0. */
  INVALID: 0x0700,
} as const;
export const PMCW_ISC_SHIFT = 11;
export const PMCW_CHARACTERISTIC = {
  MEASUREMENT_FORMAT: 0x00000004,
  EXTENDED_MEASUREMENT: 0x00000002,
  CONCURRENT_SENSE: 0x00000001,
  INVALID: 0xff00fff8,
} as const;

/** Offsets in the SCSW. */
export const SCSW = {
  FLAGS: 0,
  CONTROL: 2,
  ADDRESS: 4,
  DEVICE_STATUS: 8,
  CHANNEL_STATUS: 9,
  COUNT: 10,
  BYTES: 12,
} as const;
export const SCSW_FLAG = {
  EXTENDED_STATUS: 0x0400,
  DEFERRED_CC: 0x0300,
  FORMAT_1: 0x0080,
  EXTENDED_CONTROL: 0x0002,
  PATH_NOT_OPERATIONAL: 0x0001,
} as const;
/** Function, activity and status control. */
export const FUNCTION = { START: 0x4000, HALT: 0x2000, CLEAR: 0x1000, ALL: 0x7000 } as const;
export const ACTIVITY = {
  RESUME_PENDING: 0x0800,
  START_PENDING: 0x0400,
  HALT_PENDING: 0x0200,
  CLEAR_PENDING: 0x0100,
  SUBCHANNEL_ACTIVE: 0x0080,
  DEVICE_ACTIVE: 0x0040,
  SUSPENDED: 0x0020,
  ALL: 0x0fe0,
} as const;
export const STATUS = {
  ALERT: 0x10,
  INTERMEDIATE: 0x08,
  PRIMARY: 0x04,
  SECONDARY: 0x02,
  PENDING: 0x01,
  ALL: 0x1f,
} as const;
export const DEVICE_STATUS = { CHANNEL_END: 0x08, DEVICE_END: 0x04, UNIT_CHECK: 0x02 } as const;
export const CHANNEL_STATUS = { PROGRAM_CHECK: 0x20 } as const;

/** Offsets in the IRB behind the SCSW, and what a status that is pending says of itself in the extended-status word. */
export const IRB = { ESW: 12, ERW: 16, ECW: 32 } as const;
export const ESW_PATH_USED = 0x00800000;
export const ERW_SENSE = 0x01000000;

/** Offsets in the ORB, and bits of its flags. */
export const ORB = { PARAMETER: 0, FLAGS: 4, LPM: 6, CONTROL: 7, PROGRAM: 8 } as const;
export const ORB_FLAG = {
  SUSPEND: 0x0800,
  FORMAT_1: 0x0080,
  /** No interruption for a program that is suspended. */
  SUPPRESS_SUSPENDED: 0x0008,
  INVALID: 0x0004,
  FORMAT_2_IDA: 0x0002,
  BLOCKS_OF_2K: 0x0001,
} as const;
export const ORB_CONTROL = { MODIFIED_IDA: 0x40, INVALID: 0x3e } as const;

/** Channel commands, and flags of a CCW. */
export const CCW = { NOOP: 0x03, SENSE: 0x04, TRANSFER: 0x08, SENSE_ID: 0xe4 } as const;
export const CCW_FLAG = {
  CHAIN_DATA: 0x80,
  CHAIN: 0x40,
  SHORT: 0x20,
  SKIP: 0x10,
  IDA: 0x04,
  SUSPEND: 0x02,
  MODIFIED_IDA: 0x01,
} as const;
export const CCW_BYTES = 8;

/** Sense data of a command that the device does not know: command reject. */
export const COMMAND_REJECT = 0x80;
export const SENSE_BYTES = 32;

/** A view of bytes, for fields. */
export { viewOf } from './sclp-format.ts';
