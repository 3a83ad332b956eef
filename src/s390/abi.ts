/**
 * The numbers, layouts and codes of z/Architecture and IBM Z protected virtualization: what hypervisor, Ultravisor and CPU agree on, and nothing
 * that runs. Section numbers name `s390-pv.md`. All multi-byte fields of the architecture are big-endian; masks are written as they stand in
 * a register or field (bit 0 is the least significant).
 */

/** Bits of the first doubleword of the PSW (8.1). The condition code is not among them: see `PSW_CC_SHIFT`. */
export const PSW = {
  PER: 0x4000000000000000n,
  DAT: 0x0400000000000000n,
  IO: 0x0200000000000000n,
  EXTERNAL: 0x0100000000000000n,
  KEY: 0x00f0000000000000n,
  /** Bit 12: 1 in a short PSW, 0 in a long one. */
  SHORT: 0x0008000000000000n,
  MACHINE_CHECK: 0x0004000000000000n,
  WAIT: 0x0002000000000000n,
  PROBLEM: 0x0001000000000000n,
  /** Address space: `ADDRESS_SPACE` shifted by `PSW_AS_SHIFT`. */
  AS: 0x0000c00000000000n,
  CC: 0x0000300000000000n,
  /** Program mask: fixed-point overflow, decimal overflow, HFP exponent underflow, HFP significance. */
  PROGRAM_MASK: 0x00000f0000000000n,
  FIXED_OVERFLOW: 0x0000080000000000n,
  DECIMAL_OVERFLOW: 0x0000040000000000n,
  /** Extended and basic addressing: both 64-bit, basic alone 31-bit, none 24-bit. */
  EA: 0x0000000100000000n,
  BA: 0x0000000080000000n,
} as const;

export const PSW_KEY_SHIFT = 52n;
export const PSW_AS_SHIFT = 46n;
export const PSW_CC_SHIFT = 44n;
export const PSW_PROGRAM_MASK_SHIFT = 40n;

/** Address-space control, bits 16 and 17 of the PSW (8.1). */
export const ADDRESS_SPACE = { primary: 0, accessRegister: 1, secondary: 2, home: 3 } as const;

/** Program interruption codes (8.4; Principles of Operation, figure "Program-Interruption Codes"). */
export const PGM = {
  OPERATION: 0x01,
  PRIVILEGED_OPERATION: 0x02,
  EXECUTE: 0x03,
  PROTECTION: 0x04,
  ADDRESSING: 0x05,
  SPECIFICATION: 0x06,
  DATA: 0x07,
  FIXED_POINT_OVERFLOW: 0x08,
  FIXED_POINT_DIVIDE: 0x09,
  DECIMAL_OVERFLOW: 0x0a,
  DECIMAL_DIVIDE: 0x0b,
  SEGMENT_TRANSLATION: 0x10,
  PAGE_TRANSLATION: 0x11,
  TRANSLATION_SPECIFICATION: 0x12,
  SPECIAL_OPERATION: 0x13,
  OPERAND: 0x15,
  TRACE_TABLE: 0x16,
  SPACE_SWITCH: 0x1c,
  ALET_SPECIFICATION: 0x28,
  ALEN_TRANSLATION: 0x29,
  ALE_SEQUENCE: 0x2a,
  ASTE_VALIDITY: 0x2b,
  ASTE_SEQUENCE: 0x2c,
  EXTENDED_AUTHORITY: 0x2d,
  ASCE_TYPE: 0x38,
  REGION_FIRST: 0x39,
  REGION_SECOND: 0x3a,
  REGION_THIRD: 0x3b,
  /** Raised to the host (3.3). */
  SECURE_STORAGE_ACCESS: 0x3d,
  NON_SECURE_STORAGE_ACCESS: 0x3e,
  SECURE_STORAGE_VIOLATION: 0x3f,
  MONITOR_EVENT: 0x40,
  PER: 0x80,
} as const;

/** Data exception codes (Principles of Operation, figure "Data-Exception-Code Values"); IEEE ones are flags that add up. */
export const DXC = {
  DECIMAL_OPERAND: 0x00,
  AFP_REGISTER: 0x01,
  BFP_INSTRUCTION: 0x02,
  COMPARE_AND_TRAP: 0xff,
  IEEE_INVALID: 0x80,
  IEEE_DIVIDE: 0x40,
  IEEE_OVERFLOW: 0x20,
  IEEE_UNDERFLOW: 0x10,
  IEEE_INEXACT: 0x08,
  /** With an inexact result: it was incremented. */
  IEEE_INCREMENTED: 0x04,
} as const;

/** External interruption codes (8.4). */
export const EXTERNAL = {
  INTERRUPT_KEY: 0x0040,
  CLOCK_COMPARATOR: 0x1004,
  CPU_TIMER: 0x1005,
  MALFUNCTION_ALERT: 0x1200,
  EMERGENCY_SIGNAL: 0x1201,
  EXTERNAL_CALL: 0x1202,
  SERVICE_SIGNAL: 0x2401,
} as const;

/** Byte offsets in the prefix area (8.2). */
export const LOWCORE = {
  IPL_PARAMETER_BLOCK: 0x014,
  EXTERNAL_PARAMETER: 0x080,
  EXTERNAL_CPU_ADDRESS: 0x084,
  EXTERNAL_CODE: 0x086,
  SVC_ILC: 0x088,
  SVC_CODE: 0x08a,
  PROGRAM_ILC: 0x08c,
  PROGRAM_CODE: 0x08e,
  DATA_EXCEPTION_CODE: 0x090,
  MONITOR_CLASS: 0x094,
  PER_CODE: 0x096,
  PER_ADDRESS: 0x098,
  EXCEPTION_ACCESS_ID: 0x0a0,
  PER_ACCESS_ID: 0x0a1,
  OPERAND_ACCESS_ID: 0x0a2,
  ARCHITECTURE_MODE: 0x0a3,
  TRANSLATION_EXCEPTION_ID: 0x0a8,
  MONITOR_CODE: 0x0b0,
  SUBCHANNEL_ID: 0x0b8,
  SUBCHANNEL_NUMBER: 0x0ba,
  IO_PARAMETER: 0x0bc,
  IO_WORD: 0x0c0,
  STFL: 0x0c8,
  MACHINE_CHECK_CODE: 0x0e8,
  EXTERNAL_DAMAGE_CODE: 0x0f4,
  FAILING_STORAGE_ADDRESS: 0x0f8,
  BREAKING_EVENT: 0x110,
  RESTART_OLD: 0x120,
  EXTERNAL_OLD: 0x130,
  SVC_OLD: 0x140,
  PROGRAM_OLD: 0x150,
  MACHINE_CHECK_OLD: 0x160,
  IO_OLD: 0x170,
  RESTART_NEW: 0x1a0,
  EXTERNAL_NEW: 0x1b0,
  SVC_NEW: 0x1c0,
  PROGRAM_NEW: 0x1d0,
  MACHINE_CHECK_NEW: 0x1e0,
  IO_NEW: 0x1f0,
  MACHINE_CHECK_EXTENDED_SAVE: 0x11b0,
  EXTERNAL_PARAMETER_2: 0x11b8,
  SAVE_FPR: 0x1200,
  SAVE_GPR: 0x1280,
  SAVE_PSW: 0x1300,
  SAVE_PREFIX: 0x1318,
  SAVE_FPC: 0x131c,
  SAVE_TOD_PROGRAMMABLE: 0x1324,
  SAVE_CPU_TIMER: 0x1328,
  SAVE_CLOCK_COMPARATOR: 0x1330,
  SAVE_AR: 0x1340,
  SAVE_CR: 0x1380,
  /** Bytes of the prefix area, and its alignment. */
  SIZE: 0x2000,
} as const;

/** Bits of control register 0 (8.3). */
export const CR0 = {
  TRANSACTIONS: 1n << 55n,
  CLOCK_COMPARATOR_SIGN: 1n << 53n,
  LOW_ADDRESS_PROTECTION: 1n << 28n,
  FETCH_PROTECTION_OVERRIDE: 1n << 25n,
  STORAGE_PROTECTION_OVERRIDE: 1n << 24n,
  EDAT: 1n << 23n,
  EXECUTION_PROTECTION: 1n << 20n,
  /** AFP-register control: without it FPRs other than 0, 2, 4 and 6 and all BFP instructions cause data exceptions. */
  AFP: 1n << 18n,
  VECTOR: 1n << 17n,
  MALFUNCTION_ALERT: 1n << 15n,
  EMERGENCY_SIGNAL: 1n << 14n,
  EXTERNAL_CALL: 1n << 13n,
  CLOCK_COMPARATOR: 1n << 11n,
  CPU_TIMER: 1n << 10n,
  SERVICE_SIGNAL: 1n << 9n,
  INTERRUPT_KEY: 1n << 6n,
  RESET: 0xe0n,
} as const;

/** Control register 14 after an initial CPU reset (8.3). */
export const CR14_RESET = 0xc2000000n;

/** Fields of address-space-control elements and of the tables they lead to (8.3). */
export const DAT = {
  ASCE_ORIGIN: 0xfffffffffffff000n,
  ASCE_PRIVATE: 0x100n,
  ASCE_STORAGE_ALTERATION: 0x80n,
  ASCE_SPACE_SWITCH: 0x40n,
  ASCE_REAL_SPACE: 0x20n,
  /** Designation type of an ASCE: 3 region-first, 2 region-second, 1 region-third, 0 segment; also the table type of an entry. */
  TYPE: 0x0cn,
  TABLE_LENGTH: 0x03n,
  TABLE_OFFSET: 0xc0n,
  REGION_INVALID: 0x20n,
  /** Region-third and segment entries: the entry maps storage itself. */
  FORMAT_CONTROL: 0x400n,
  PROTECTED: 0x200n,
  EXECUTION_PROTECTED: 0x100n,
  SEGMENT_ORIGIN: 0xfffffffffffff800n,
  SEGMENT_INVALID: 0x20n,
  COMMON_SEGMENT: 0x10n,
  PAGE_INVALID: 0x400n,
  PAGE_ORIGIN: 0xfffffffffffff000n,
} as const;

/** Orders of SIGP (8.7). */
export const SIGP = {
  SENSE: 1,
  EXTERNAL_CALL: 2,
  EMERGENCY_SIGNAL: 3,
  START: 4,
  STOP: 5,
  RESTART: 6,
  STOP_AND_STORE_STATUS: 9,
  INITIAL_CPU_RESET: 11,
  CPU_RESET: 12,
  SET_PREFIX: 13,
  STORE_STATUS: 14,
  SET_ARCHITECTURE: 18,
  CONDITIONAL_EMERGENCY: 19,
  SENSE_RUNNING: 21,
  SET_MULTITHREADING: 22,
  STORE_ADDITIONAL_STATUS: 23,
} as const;

/** Status bits that a SIGP order gives back (8.7). */
export const SIGP_STATUS = {
  INVALID_ORDER: 0x02,
  CHECK_STOP: 0x10,
  STOPPED: 0x40,
  EXTERNAL_CALL_PENDING: 0x80,
  INVALID_PARAMETER: 0x100,
  INCORRECT_STATE: 0x200,
  NOT_RUNNING: 0x400,
} as const;

/** Bits of the facility list that STFLE stores (8.5), IBM numbering. */
export const FACILITY = {
  N3: 0,
  ZARCH_INSTALLED: 1,
  ZARCH_ACTIVE: 2,
  DAT_ENHANCEMENT: 3,
  IDTE_SEGMENT: 4,
  STORE_FACILITY_LIST_EXTENDED: 7,
  ENHANCED_DAT_1: 8,
  LONG_DISPLACEMENT: 18,
  HFP_MULTIPLY: 20,
  EXTENDED_IMMEDIATE: 21,
  EXTENDED_TRANSLATION_3: 22,
  STORE_CLOCK_FAST: 25,
  MVCOS: 27,
  EXTRACT_CPU_TIME: 31,
  GENERAL_INSTRUCTIONS_EXTENSION: 34,
  EXECUTE_EXTENSIONS: 35,
  FLOATING_POINT_EXTENSION: 37,
  FPR_GR_TRANSFER: 41,
  /** High word, interlocked access, load/store on condition, distinct operands, population count, fast BCR serialization. */
  DISTINCT_OPERANDS: 45,
  TRANSACTIONAL_EXECUTION: 73,
  LOAD_STORE_ON_CONDITION_2: 53,
  MISCELLANEOUS_EXTENSIONS: 49,
  INTERLOCKED_ACCESS_2: 52,
  ENHANCED_DAT_2: 78,
  VECTOR: 129,
  CZAM: 138,
  EXTENDED_LENGTH_SCCB: 140,
  ULTRAVISOR_CALL: 158,
  UNPACK: 161,
} as const;

/**
 * Byte offsets in the SIE state description, a 4 KiB page of the host's (4.2). Where a field means something else with SDF 2, its comment says so.
 */
export const SD = {
  /** u32 of `CPUFLAG`. */
  CPUFLAGS: 0x000,
  /** u32: the guest's prefix in bits 1 to 18, IBC in bits 20 to 31. The host's copy with SDF 2. */
  PREFIX: 0x004,
  PROG0C: 0x00c,
  /** u64, SDF 2: handles of secure CPU and configuration. */
  CPU_HANDLE: 0x010,
  CONFIG_HANDLE: 0x018,
  PROG20: 0x020,
  CPU_TIMER: 0x028,
  CLOCK_COMPARATOR: 0x030,
  EPOCH: 0x038,
  SVC_CONTROL: 0x040,
  /** u16 of bits, one for each control register whose load is intercepted. */
  LCTL: 0x044,
  CPU_ADDRESS: 0x046,
  /** u32 of `ICTL`. */
  ICTL: 0x048,
  /** u32 of `ECA`. */
  ECA: 0x04c,
  /** u8 of `ICPT`. */
  ICPTCODE: 0x050,
  ICPTSTATUS: 0x051,
  HOST_CPU: 0x052,
  /** u16 of `IIC`: what is to be injected. */
  IIC: 0x054,
  /** First halfword of the intercepted instruction, and the next two; the latter has the validity reason in its upper half. */
  IPA: 0x056,
  IPB: 0x058,
  SCA_HIGH: 0x05c,
  FPF: 0x060,
  ECB: 0x061,
  ECB2: 0x062,
  ECB3: 0x063,
  SCA_LOW: 0x064,
  /** u8 of `SDF`. */
  SDF: 0x068,
  EPOCH_INDEX: 0x069,
  TOD_PROGRAMMABLE: 0x06c,
  GISA: 0x070,
  MSO: 0x080,
  MSL: 0x088,
  /** 16 bytes. With SDF 2 a masked view, of which the host may change the condition code. */
  PSW: 0x090,
  GR14: 0x0a0,
  GR15: 0x0a8,
  HPID: 0x0b8,
  EXTERNAL_PARAMETER: 0x0c0,
  MACHINE_CHECK_CODE: 0x0c0,
  EXTERNAL_CPU_ADDRESS: 0x0c4,
  EXTERNAL_CODE: 0x0c6,
  PROGRAM_ILC: 0x0cc,
  PROGRAM_CODE: 0x0ce,
  EXTERNAL_DAMAGE_CODE: 0x0cc,
  DATA_EXCEPTION_CODE: 0x0d0,
  FAILING_STORAGE_ADDRESS: 0x0d0,
  PER_ADDRESS: 0x0d8,
  EXCEPTION_ACCESS_ID: 0x0e0,
  TRANSLATION_EXCEPTION_ID: 0x0e8,
  SUBCHANNEL_ID: 0x0e8,
  SUBCHANNEL_NUMBER: 0x0ea,
  IO_PARAMETER: 0x0ec,
  IO_WORD: 0x0f0,
  /** 16 doublewords. */
  CR: 0x100,
  /** Breaking-event address; with SDF 2 the secure instruction data area: its address, and in the low byte its pages less one. */
  GBEA_OR_SIDA: 0x180,
  FACILITY_LIST: 0x1a0,
  PROGRAM_PARAMETER: 0x1de,
  /** 16 doublewords, SDF 2: the registers that an interception shows. */
  SECURE_GR: 0x380,
  SIZE: 0x1000,
} as const;

/** State-description formats (9, case 1). */
export const SDF = { normal: 0, secure: 2 } as const;

/** Bits of `SD.CPUFLAGS` (4.3). */
export const CPUFLAG = {
  STOPPED: 0x80000000,
  WAIT: 0x10000000,
  EXTERNAL_CALL_PENDING: 0x08000000,
  STOP_INT: 0x04000000,
  IO_INT: 0x02000000,
  EXT_INT: 0x01000000,
  RUNNING: 0x00800000,
  ZARCH: 0x00000800,
  KSS: 0x00000200,
  SM: 0x00000080,
} as const;

/** Interception controls, `SD.ICTL` (4.2). */
export const ICTL = {
  OPEREXC: 0x80000000,
  PINT: 0x20000000,
  LPSW: 0x00400000,
  STCTL: 0x00040000,
  ISKE: 0x00004000,
  SSKE: 0x00002000,
  RRBE: 0x00001000,
  TPROT: 0x00000200,
} as const;

/** Execution controls, `SD.ECA` and `SD.ECB` to `SD.ECB3` (4.2). */
export const ECA = { CEI: 0x80000000, IB: 0x40000000, SIGPI: 0x10000000, MVPGI: 0x01000000, VX: 0x00020000 } as const;
export const ECB = { SRSI: 0x04, HOST_PROT_INT: 0x02 } as const;
export const ECB2 = { CMMA: 0x80, IEP: 0x20, PFMFI: 0x08, ESCA: 0x04 } as const;

/** Interception codes, `SD.ICPTCODE` (4.4). */
export const ICPT = {
  NONE: 0x00,
  INSTRUCTION: 0x04,
  PROGRAM: 0x08,
  INSTRUCTION_AND_PROGRAM: 0x0c,
  EXTERNAL_REQUEST: 0x10,
  EXTERNAL: 0x14,
  IO_REQUEST: 0x18,
  WAIT: 0x1c,
  VALIDITY: 0x20,
  STOP: 0x28,
  OPERATION: 0x2c,
  PARTIAL: 0x38,
  IO_INSTRUCTION: 0x40,
  KSS: 0x5c,
  /** SDF 2: the PSW's machine-check mask has changed. */
  MACHINE_CHECK_MASK: 0x60,
  /** SDF 2: CR 0, 6 or 14 has changed. */
  INTERRUPT_ENABLE: 0x64,
  /** SDF 2: an instruction that the host is to do. */
  SECURE_INSTRUCTION: 0x68,
  /** SDF 2: an instruction that has been done. */
  SECURE_NOTIFICATION: 0x6c,
  /** SDF 2: a page of the prefix area is not secure. */
  SECURE_PREFIX: 0x70,
} as const;

/** Interruption injection control, low byte of `SD.IIC` (4.8). */
export const IIC = {
  NONE: 0x00,
  MACHINE_CHECK: 0x01,
  EXTERNAL: 0x02,
  IO: 0x03,
  RESTART: 0x04,
  SPECIFICATION: 0x10,
  OPERAND: 0x11,
} as const;

/** Extended system control area (4.11). */
export const ESCA = {
  IPTE_CONTROL: 0x00,
  UTILITY: 0x38,
  /** 256 bits, one for each CPU. */
  MCN: 0x40,
  /** `ENTRY_SIZE` bytes for each CPU: u16 SIGP control, at `ENTRY_SD` the u64 address of its state description. */
  ENTRIES: 0x100,
  ENTRY_SIZE: 0x40,
  ENTRY_SD: 8,
  ENTRY_COUNT: 248,
  SIZE: 0x4000,
} as const;

/** Who may issue a command of the Ultravisor (2.3). */
export type UvCaller = 'host' | 'guest' | 'any';

/** A command of the Ultravisor. */
export interface UvCommand {
  readonly number: number;
  /** Bit of `UV_QUERY.CALLS`, IBM numbering; null where none is known. */
  readonly bit: number | null;
  readonly caller: UvCaller;
  /** Bytes of the control block. Exact, but for the queries: the least that they take. */
  readonly length: number;
}

/** The commands of UVC (2.3). */
export const UVC = {
  QUERY: { number: 0x0001, bit: 0, caller: 'any', length: 0xa8 },
  QUERY_KEYS: { number: 0x0002, bit: 34, caller: 'any', length: 0x40 },
  INIT: { number: 0x000f, bit: 1, caller: 'host', length: 0x48 },
  CREATE_CONFIG: { number: 0x0100, bit: 2, caller: 'host', length: 0x80 },
  DESTROY_CONFIG: { number: 0x0101, bit: 3, caller: 'host', length: 0x40 },
  DESTROY_CONFIG_FAST: { number: 0x0102, bit: 23, caller: 'host', length: 0x48 },
  CREATE_CPU: { number: 0x0120, bit: 4, caller: 'host', length: 0x60 },
  DESTROY_CPU: { number: 0x0121, bit: 5, caller: 'host', length: 0x40 },
  CONVERT_TO: { number: 0x0200, bit: 6, caller: 'host', length: 0x28 },
  CONVERT_FROM: { number: 0x0201, bit: 7, caller: 'host', length: 0x20 },
  DESTROY_STORAGE: { number: 0x0202, bit: null, caller: 'host', length: 0x20 },
  SET_PARAMETERS: { number: 0x0300, bit: 11, caller: 'host', length: 0x50 },
  UNPACK: { number: 0x0301, bit: 13, caller: 'host', length: 0x50 },
  VERIFY: { number: 0x0302, bit: 14, caller: 'host', length: 0x40 },
  CPU_RESET: { number: 0x0310, bit: 15, caller: 'host', length: 0x40 },
  CPU_RESET_INITIAL: { number: 0x0311, bit: 16, caller: 'host', length: 0x40 },
  PREPARE_RESET: { number: 0x0320, bit: 18, caller: 'host', length: 0x40 },
  CPU_RESET_CLEAR: { number: 0x0321, bit: 19, caller: 'host', length: 0x40 },
  CPU_SET_STATE: { number: 0x0330, bit: 17, caller: 'host', length: 0x50 },
  UNSHARE_ALL: { number: 0x0340, bit: 20, caller: 'host', length: 0x40 },
  PIN: { number: 0x0341, bit: 21, caller: 'host', length: 0x20 },
  UNPIN: { number: 0x0342, bit: 22, caller: 'host', length: 0x28 },
  DUMP_INIT: { number: 0x0400, bit: 24, caller: 'host', length: 0x40 },
  DUMP_STORAGE_STATE: { number: 0x0401, bit: 25, caller: 'host', length: 0x50 },
  DUMP_CPU: { number: 0x0402, bit: 26, caller: 'host', length: 0x50 },
  DUMP_COMPLETE: { number: 0x0403, bit: 27, caller: 'host', length: 0x50 },
  SET_SHARED: { number: 0x1000, bit: 8, caller: 'guest', length: 0x30 },
  REMOVE_SHARED: { number: 0x1001, bit: 9, caller: 'guest', length: 0x30 },
  RETRIEVE_ATTESTATION: { number: 0x1020, bit: 28, caller: 'guest', length: 0x188 },
  ADD_SECRET: { number: 0x1031, bit: 29, caller: 'guest', length: 0x48 },
  LIST_SECRETS: { number: 0x1033, bit: 30, caller: 'guest', length: 0x48 },
  LOCK_SECRETS: { number: 0x1034, bit: 31, caller: 'guest', length: 0x40 },
  RETRIEVE_SECRET: { number: 0x1035, bit: 33, caller: 'guest', length: 0x48 },
} as const satisfies Record<string, UvCommand>;

export type UvcName = keyof typeof UVC;

/** Byte offsets in control blocks of the Ultravisor (2.2, 2.5 to 2.16): u64 unless another width is given. */
export const UVCB = {
  /** u16 each. */
  LENGTH: 0x00,
  COMMAND: 0x02,
  RC: 0x04,
  RRC: 0x06,
  HEADER_SIZE: 8,
  /** Of a configuration or CPU, in most commands. */
  HANDLE: 0x18,
  INIT: { ORIGIN: 0x18, LENGTH: 0x20 },
  CREATE_CONFIG: {
    HANDLE: 0x18,
    BASE: 0x20,
    VARIABLE: 0x28,
    /** u16 */
    FLAGS: 0x36,
    GUEST_ORIGIN: 0x38,
    GUEST_LENGTH: 0x40,
    SCA: 0x48,
    ASCE: 0x50,
  },
  /** NUMBER: u16. */
  CREATE_CPU: { HANDLE: 0x18, CONFIG: 0x20, STORAGE: 0x28, NUMBER: 0x36, STATE: 0x38 },
  /** Convert to secure, unpin: configuration and MSO + guest absolute address. */
  CTS: { CONFIG: 0x18, ADDRESS: 0x20 },
  /** Convert from secure, destroy, pin. */
  CFS: { ADDRESS: 0x18 },
  /** LENGTH: u32. */
  SET_PARAMETERS: { CONFIG: 0x18, HEADER: 0x20, LENGTH: 0x28 },
  UNPACK: { CONFIG: 0x18, ADDRESS: 0x20, TWEAK: 0x28 },
  /** STATE: u8 of `UV_CPU_STATE`. */
  CPU_SET_STATE: { CPU: 0x18, STATE: 0x27 },
  DUMP: { HANDLE: 0x18, AREA: 0x20, ADDRESS: 0x28 },
  SHARE: { ADDRESS: 0x20 },
} as const;

/** Byte offsets in the control block of `UVC.QUERY` (2.5): u64 unless another width is given. */
export const UV_QUERY = {
  /** 32 bytes. */
  CALLS: 0x10,
  BASE_STORAGE: 0x40,
  CONFIG_BASE: 0x50,
  CONFIG_VARIABLE_BASE: 0x58,
  /** For every MiB of the guest. */
  CONFIG_VARIABLE: 0x60,
  CPU_STORAGE: 0x68,
  /** u32 */
  MAX_CONFIGS: 0x7c,
  MAX_GUEST_ADDRESS: 0x80,
  /** u16 */
  MAX_CPU: 0x9e,
  FEATURES: 0xa0,
  HEADER_VERSIONS: 0xb0,
  PLAINTEXT_FLAGS: 0xb8,
  DUMP_STORAGE_STATE: 0xc8,
  DUMP_COMPLETE: 0xd0,
  ATTESTATION_VERSIONS: 0xe0,
  ATTESTATION_FLAGS: 0xe8,
  SECRET_VERSIONS: 0xf8,
  SECRET_FLAGS: 0x100,
  SECRET_TYPES: 0x108,
  /** u16 each. */
  MAX_ASSOCIATION_SECRETS: 0x110,
  MAX_RETRIEVABLE_SECRETS: 0x112,
  SIZE: 0x120,
} as const;

/** Bits of `UV_QUERY.FEATURES`, as masks. */
export const UV_FEATURE = { MISC: 1n << 63n, AIV: 1n << 62n } as const;

/** Byte offset and number of the 32-byte hashes in the control block of `UVC.QUERY_KEYS` (2.6). */
export const UV_KEYS = { HASHES: 0x20, COUNT: 15, SIZE: 0x200 } as const;

/** Response codes that any command may give (2.2). Those of one command are in its section. */
export const UV_RC = {
  EXECUTED: 0x0001,
  INVALID_COMMAND: 0x0002,
  INVALID_STATE: 0x0003,
  INVALID_LENGTH: 0x0005,
  NO_RESUME: 0x0007,
  INVALID_CONFIG: 0x0020,
  INVALID_CPU: 0x0021,
  REAL_SPACE: 0x0030,
  TRANSLATION: 0x0031,
  INVALID_ABSOLUTE: 0x0032,
  MORE_DATA: 0x0100,
  /** A flag: the configuration exists and has to be destroyed (2.8). */
  DESTROY: 0x8000,
} as const;

/** States in `UVC.CPU_SET_STATE` (1.5). */
export const UV_CPU_STATE = { OPERATING: 1, STOPPED: 2, CHECK_STOP: 3, OPERATING_LOAD: 5 } as const;

/** Plaintext control flags of a Secure Execution header (6.6). */
export const PCF = {
  ALLOW_DUMP: 0x20000000n,
  NO_COMPONENT_ENCRYPTION: 0x10000000n,
  PCKMO: 0xf0n,
  BACKUP_TARGET_KEYS: 0x02n,
} as const;

/** Validity reasons of SIE with SDF 2 (10). */
export const VALIDITY = {
  HANDLE: 0x2001,
  ASCE: 0x2002,
  RUNNING: 0x2003,
  TIMER: 0x2004,
  STATE: 0x2005,
  INJECTION: 0x2006,
  /** The state description itself: ESCA, CPU address, instruction data area. */
  DESCRIPTION: 0x2007,
} as const;
