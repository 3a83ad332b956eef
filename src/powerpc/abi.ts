/**
 * The numbers, layouts and codes of IBM Power with the Protected Execution Facility: what hypervisor, Ultravisor and
 * CPU agree on, and nothing that runs. Section numbers name `power-pef.md`; masks are written as they stand in a
 * register (bit 0 is the least significant).
 */

/** Bits of the machine state register (1.1). */
export const MSR = {
  SF: 0x8000000000000000n,
  HV: 0x1000000000000000n,
  /** Transaction state: both bits. */
  TS: 0x600000000n,
  TS_T: 0x400000000n,
  TS_S: 0x200000000n,
  TM: 0x100000000n,
  VEC: 0x2000000n,
  VSX: 0x800000n,
  /** Secure state. */
  S: 0x400000n,
  EE: 0x8000n,
  PR: 0x4000n,
  FP: 0x2000n,
  ME: 0x1000n,
  FE0: 0x800n,
  /** Single-step and branch trace: both bits. */
  TE: 0x600n,
  TE_S: 0x400n,
  TE_B: 0x200n,
  FE1: 0x100n,
  IR: 0x20n,
  DR: 0x10n,
  PMM: 0x4n,
  RI: 0x2n,
  LE: 0x1n,
} as const;

/** Fields of SRR1 and HSRR1 after an interrupt (1.5, 1.7). */
export const SRR1 = {
  /** All interrupt status bits: IBM bits 33:36 and 42:47. The rest is the interrupted MSR. */
  STATUS: 0x783f0000n,
  /** Level of a system call at 0xC00: the field, `sc 1`, `sc 2`. */
  LEV: 0x300000n,
  LEV1: 0x100000n,
  LEV2: 0x200000n,
  /** Causes of a program interrupt at 0x700. */
  PROGRAM_TM: 0x200000n,
  PROGRAM_FP: 0x100000n,
  PROGRAM_ILLEGAL: 0x80000n,
  PROGRAM_PRIVILEGED: 0x40000n,
  PROGRAM_TRAP: 0x20000n,
} as const;

/** Interrupt vectors (1.9). */
export const VECTOR = {
  SYSTEM_RESET: 0x100n,
  MACHINE_CHECK: 0x200n,
  DATA_STORAGE: 0x300n,
  DATA_SEGMENT: 0x380n,
  INSTRUCTION_STORAGE: 0x400n,
  INSTRUCTION_SEGMENT: 0x480n,
  EXTERNAL: 0x500n,
  ALIGNMENT: 0x600n,
  PROGRAM: 0x700n,
  FP_UNAVAILABLE: 0x800n,
  DECREMENTER: 0x900n,
  HV_DECREMENTER: 0x980n,
  PRIVILEGED_DOORBELL: 0xa00n,
  SYSTEM_CALL: 0xc00n,
  TRACE: 0xd00n,
  HV_DATA_STORAGE: 0xe00n,
  HV_INSTRUCTION_STORAGE: 0xe20n,
  /** Hypervisor Emulation Assistance, HEAI. */
  HV_EMULATION_ASSISTANCE: 0xe40n,
  HV_MAINTENANCE: 0xe60n,
  HV_DOORBELL: 0xe80n,
  HV_VIRTUALIZATION: 0xea0n,
  PERFORMANCE_MONITOR: 0xf00n,
  VEC_UNAVAILABLE: 0xf20n,
  VSX_UNAVAILABLE: 0xf40n,
  FACILITY_UNAVAILABLE: 0xf60n,
  HV_FACILITY_UNAVAILABLE: 0xf80n,
  DENORMAL_ASSIST: 0x1500n,
} as const;

/** What is added to a vector when LPCR[AIL] is 3 and it is taken with translation on (1.7, 10.3 #63). */
export const AIL3_OFFSET = 0xc000000000004000n;

/** Where `scv 0` goes (ISA 3.0B, Book III 6.5.28), and where with LPCR[AIL]=3 and translation on; the next LEV is `SCV_STRIDE` behind it. */
export const SCV_VECTOR = 0x17000n;
export const SCV_AIL3_VECTOR = 0xc000000000003000n;
export const SCV_STRIDE = 0x20n;

/** Numbers of special purpose registers (1.7). */
export const SPR = {
  XER: 1,
  DSCR_USER: 3,
  LR: 8,
  CTR: 9,
  DSCR: 17,
  DSISR: 18,
  DAR: 19,
  DEC: 22,
  SRR0: 26,
  SRR1: 27,
  CFAR: 28,
  AMR: 29,
  PIDR: 48,
  IAMR: 61,
  CTRL_READ: 136,
  TIDR: 144,
  CTRL_WRITE: 152,
  FSCR: 153,
  UAMOR: 157,
  PSPB: 159,
  DPDES: 176,
  DAWR0: 180,
  RPR: 186,
  CIABR: 187,
  DAWRX0: 188,
  HFSCR: 190,
  VRSAVE: 256,
  SPRG3_USER: 259,
  TB: 268,
  TBU: 269,
  SPRG0: 272,
  SPRG1: 273,
  SPRG2: 274,
  SPRG3: 275,
  SPRC: 276,
  SPRD: 277,
  TBL_WRITE: 284,
  TBU_WRITE: 285,
  TBU40: 286,
  PVR: 287,
  HSPRG0: 304,
  HSPRG1: 305,
  HDSISR: 306,
  HDAR: 307,
  SPURR: 308,
  PURR: 309,
  HDEC: 310,
  HRMOR: 313,
  HSRR0: 314,
  HSRR1: 315,
  LPCR: 318,
  LPIDR: 319,
  HMER: 336,
  HMEER: 337,
  PCR: 338,
  HEIR: 339,
  AMOR: 349,
  PTCR: 464,
  USPRG0: 496,
  USPRG1: 497,
  URMOR: 505,
  USRR0: 506,
  USRR1: 507,
  SMFCTRL: 511,
  SIER: 784,
  MMCR2: 785,
  MMCRA: 786,
  PMC1: 787,
  PMC2: 788,
  PMC3: 789,
  PMC4: 790,
  PMC5: 791,
  PMC6: 792,
  MMCR0: 795,
  SIAR: 796,
  SDAR: 797,
  MMCR1: 798,
  IMC: 799,
  EBBHR: 804,
  EBBRR: 805,
  BESCR: 806,
  TAR: 815,
  ASDR: 816,
  IC: 848,
  VTB: 849,
  LDBAR: 850,
  MMCRC: 851,
  PSSCR: 855,
  PPR: 896,
  TSCR: 921,
  TRACE: 1006,
  HID0: 1008,
  PIR: 1023,
} as const;

/** Bits of SMFCTRL (1.6). */
export const SMFCTRL = {
  /** The Secure Memory Facility is on. */
  E: 0x8000000000000000n,
  /** The debug registers are Ultravisor-privileged. */
  D: 0x4000000000000000n,
} as const;

/** Fields of LPCR (1.7). */
export const LPCR = {
  HDICE: 0x1n,
  HVICE: 0x2n,
  /** External interrupts go to the OS with SRR0/1 (1) or to the hypervisor with HSRR0/1 (0). */
  LPES: 0x8n,
  HEIC: 0x10n,
  GTSE: 0x400n,
  /** A mediated external interrupt is requested. */
  MER: 0x800n,
  PECE: 0x1f000n,
  LD: 0x20000n,
  ONL: 0x40000n,
  /** Host radix. */
  HR: 0x100000n,
  UPRT: 0x400000n,
  /** Alternate interrupt location: the field; all ones is `AIL3_OFFSET`. */
  AIL: 0x1800000n,
  /** Byte order of interrupts to the OS. */
  ILE: 0x2000000n,
} as const;

/** Fields of HFSCR (1.7): enable bits, and the cause of a facility unavailable interrupt in the top byte. */
export const HFSCR = {
  FP: 0x1n,
  VEC_VSX: 0x2n,
  DSCR: 0x4n,
  PM: 0x8n,
  BHRB: 0x10n,
  TM: 0x20n,
  EBB: 0x80n,
  TAR: 0x100n,
  MSGP: 0x400n,
  IC_SHIFT: 56n,
  IC_TM: 5n,
} as const;

/** FSCR has fields of HFSCR, and this one for `scv` (ISA 3.0B, Book III 6.2.10). */
export const FSCR_SCV = { ENABLE: 0x1000n, CAUSE: 12 } as const;

/** CIABR: an instruction address, and where it counts (ISA 3.0B, Book III 8.2). */
export const CIABR = { ADDRESS: ~3n, PRIVILEGE: 3n, PROBLEM: 1n, SUPERVISOR: 2n, HYPERVISOR: 3n } as const;

/** DAWRX0 (ISA 3.0B, Book III 8.3). HRAMMC, which lets a watch wrap, is not there. */
export const DAWRX = {
  PROBLEM: 0x1n,
  SUPERVISOR: 0x2n,
  HYPERVISOR: 0x4n,
  /** Only accesses with MSR[DR] as in WT match, unless WTI is set. */
  WTI: 0x8n,
  WT: 0x10n,
  READ: 0x20n,
  WRITE: 0x40n,
  /** Doublewords watched, less one. */
  MRD: 0xfc00n,
  MRD_SHIFT: 10n,
} as const;

/** Bits of HID0 on POWER9 (1.7). */
export const HID0 = {
  /** Byte order of interrupts to the hypervisor. */
  HILE: 0x0800000000000000n,
  RADIX: 0x0080000000000000n,
} as const;

/** Bits of DSISR and HDSISR, and of SRR1 and HSRR1 for an instruction (2.5). */
export const DSISR = {
  NO_TRANSLATION: 0x40000000n,
  ATTRIBUTE_CONFLICT: 0x20000000n,
  /** In SRR1 and HSRR1 only: the page is no-execute or guarded (ISA 3.0B, Book III 6.5.5). */
  NO_EXECUTE: 0x10000000n,
  PROTECTION: 0x08000000n,
  BAD_ACCESS: 0x04000000n,
  STORE: 0x02000000n,
  UNSUPPORTED_MMU: 0x00080000n,
  SET_RC: 0x00040000n,
  /** The failing reference was one of the table walk itself. */
  PRTABLE_FAULT: 0x00020000n,
} as const;

/** PVR of a POWER9 Nimbus DD2.3, the first part with the facility (1.2). */
export const PVR_POWER9_DD23 = 0x004e1203n;

/** The bit of a real address that makes it secure memory (2.1). */
export const SECURE_ADDRESS_BIT = 0x0001000000000000;

/** A pseries guest has memory below this guest physical address, and devices from there on (QEMU `hw/ppc/spapr.h`, SPAPR_PCI_BASE). */
export const DEVICE_SPACE = 2 ** 45;

/** A UV page is 2^16 bytes; the only order that page moves take (0.2, 3.10). */
export const UV_PAGE_ORDER = 16;
export const UV_PAGE_SIZE = 0x10000;

/** A guest physical ("real") address in bytes: an integer below 2^52. Never a real address of the machine. */
export type GuestPhysical = number & { readonly __brand: 'GuestPhysical' };

/** A guest frame number: `GuestPhysical` in units of `UV_PAGE_SIZE`. */
export type Gfn = number & { readonly __brand: 'Gfn' };

/** Guest physical space is 52 bits (2.2). */
export const GUEST_PHYSICAL_LIMIT = 2 ** 52;

/** @returns undefined unless `address` is an integer from 0 below 2^52 */
export function guestPhysical(address: bigint | number): GuestPhysical | undefined {
  const value = Number(address);
  if (!Number.isInteger(value) || value < 0 || value >= GUEST_PHYSICAL_LIMIT) return undefined;
  return value as GuestPhysical;
}

/** The frame that holds the address. */
export function gfnOf(gpa: GuestPhysical): Gfn {
  return Math.floor(gpa / UV_PAGE_SIZE) as Gfn;
}

/** The address of the frame's first byte. */
export function gpaOf(gfn: Gfn): GuestPhysical {
  return (gfn * UV_PAGE_SIZE) as GuestPhysical;
}

/**
 * Who may make an ultracall, by MSR[S,HV,PR] of the caller (3.3): the hypervisor (0,1,0); the kernel of a guest, secure or not (x,0,0); the
 * kernel of an SVM (1,0,0); or an SVM in any state (1,0,x).
 */
export type UltracallCaller = 'hypervisor' | 'guest kernel' | 'svm kernel' | 'svm';

/** An ultracall: R3 at `sc 2`, who may make it, and its arguments from R4 on. */
export interface UltracallRow {
  readonly number: number;
  readonly caller: UltracallCaller;
  readonly args: readonly string[];
}

/** The ultracalls (3.3 to 3.17). */
export const ULTRACALLS = {
  UV_WRITE_PATE: { number: 0xf104, caller: 'hypervisor', args: ['lpid', 'dw0', 'dw1'] },
  UV_RESTRICTED_SPR_WRITE: { number: 0xf108, caller: 'hypervisor', args: ['spr', 'value'] },
  UV_RESTRICTED_SPR_READ: { number: 0xf10c, caller: 'hypervisor', args: ['spr'] },
  UV_ESM: { number: 0xf110, caller: 'guest kernel', args: ['kbase', 'fdt'] },
  UV_READ_SCOM: { number: 0xf114, caller: 'hypervisor', args: ['chip', 'address'] },
  UV_WRITE_SCOM: { number: 0xf118, caller: 'hypervisor', args: ['chip', 'address', 'value'] },
  UV_RETURN: { number: 0xf11c, caller: 'hypervisor', args: [] },
  UV_REGISTER_MEM_SLOT: {
    number: 0xf120,
    caller: 'hypervisor',
    args: ['lpid', 'start_gpa', 'size', 'flags', 'slotid'],
  },
  UV_UNREGISTER_MEM_SLOT: { number: 0xf124, caller: 'hypervisor', args: ['lpid', 'slotid'] },
  UV_PAGE_IN: { number: 0xf128, caller: 'hypervisor', args: ['lpid', 'src_ra', 'dest_gpa', 'flags', 'order'] },
  UV_PAGE_OUT: { number: 0xf12c, caller: 'hypervisor', args: ['lpid', 'dest_ra', 'src_gpa', 'flags', 'order'] },
  UV_SHARE_PAGE: { number: 0xf130, caller: 'svm kernel', args: ['gfn', 'num'] },
  UV_UNSHARE_PAGE: { number: 0xf134, caller: 'svm kernel', args: ['gfn', 'num'] },
  UV_PAGE_INVAL: { number: 0xf138, caller: 'hypervisor', args: ['lpid', 'gpa', 'order'] },
  UV_SVM_TERMINATE: { number: 0xf13c, caller: 'hypervisor', args: ['lpid'] },
  UV_UNSHARE_ALL_PAGES: { number: 0xf140, caller: 'svm kernel', args: [] },
  UV_READ_MEM: { number: 0xf144, caller: 'hypervisor', args: ['buffer', 'handle', 'offset', 'size'] },
  UV_WRITE_MEM: { number: 0xf148, caller: 'hypervisor', args: ['buffer', 'handle', 'offset', 'size'] },
  UV_ESMB_GET_FILE: {
    number: 0xf14c,
    caller: 'svm',
    args: ['offset', 'name0', 'name1', 'name2', 'name3', 'name4', 'name5', 'name6', 'name7'],
  },
  UV_SEND_SBE_COMMAND: { number: 0xf150, caller: 'hypervisor', args: ['chip', 'opcode', 'input'] },
} as const satisfies Record<string, UltracallRow>;
export type Ultracall = keyof typeof ULTRACALLS;

/** Numbers of ultracalls by name. */
export const ULTRACALL = Object.fromEntries(Object.entries(ULTRACALLS).map(([name, { number }]) => [name, number])) as {
  readonly [N in Ultracall]: (typeof ULTRACALLS)[N]['number'];
};

/**
 * Return codes of ultracalls (3.2). The document gives U_INVALID no number: it is −4 here, as the sheet recommends.
 * U_NO_KEY has none either, and −256 is ours.
 */
export const U_CODE = {
  U_SUCCESS: 0,
  U_BUSY: 1,
  U_FUNCTION: -2,
  U_PARAMETER: -4,
  U_INVALID: -4,
  U_RETRY: -5,
  U_PERMISSION: -11,
  U_P2: -55,
  U_P3: -56,
  U_P4: -57,
  U_P5: -58,
  U_BAD_MODE: -59,
  U_STATE: -75,
  U_NO_KEY: -256,
} as const;
export type UCode = (typeof U_CODE)[keyof typeof U_CODE];

/** Flags of UV_PAGE_IN (3.10). Their values were never published; these are ours. */
export const UV_PAGE_IN_FLAG = { CACHE_INHIBITED: 0x1n, CACHE_ENABLED: 0x2n, WRITE_PROTECTION: 0x4n } as const;

/**
 * What UV_READ_MEM and UV_WRITE_MEM name in their handle: the type in the high word, a chip in the low one (3.7). HOMER is where the processor
 * keeps what it needs to leave a stop state. Numbers and size are ours.
 */
export const UV_MEM_HANDLE = { HOMER_CHIP_0: 0x1_0000_0000n } as const;
export const UV_HOMER_BYTES = 0x10000;

/** Commands of UV_SEND_SBE_COMMAND (3.7). */
export const SBE_COMMAND = { TIMER: 0n, HANDLE_INTERRUPT: 1n, START_MPIPL: 2n } as const;

/** Flags of UV_PAGE_OUT (3.11). The value was never published; this one is ours. */
export const UV_PAGE_OUT_FLAG = { UV_SNAPSHOT: 0x1n } as const;

/** The largest number of memory slots of a VM: slot ids are below it (3.8). */
export const UV_MEM_SLOTS = 512;

/** What a return code, a signed number, is in a register: −4 is 0xFFFFFFFFFFFFFFFC (3.1). */
export function codeToRegister(code: number): bigint {
  return BigInt.asUintN(64, BigInt(code));
}

/** The signed number that stands in a register; the inverse of `codeToRegister` for codes. */
export function registerToCode(value: bigint): number {
  return Number(BigInt.asIntN(64, value));
}

/** How many registers of a hypercall from an SVM the hypervisor sees and may change, R3 included (6.2.2). */
export interface HcallRegisters {
  readonly number: number;
  readonly in: number;
  readonly out: number;
}

/**
 * Hypercalls: number, and registers in and out. An entry without `in` and `out` is in no list of the sheet: an SVM
 * cannot make it. H_RANDOM is served in the Ultravisor and H_RTAS goes through its bounce pages; H_SVM_* and H_TPM_COMM
 * are the Ultravisor's own (4.1).
 */
export const HYPERCALLS = {
  H_REMOVE: { number: 0x04, in: 6, out: 3 },
  H_ENTER: { number: 0x08, in: 7, out: 2 },
  H_READ: { number: 0x0c, in: 3, out: 9 },
  H_CLEAR_MOD: { number: 0x10, in: 3, out: 2 },
  H_CLEAR_REF: { number: 0x14, in: 3, out: 2 },
  H_PROTECT: { number: 0x18, in: 4, out: 1 },
  H_GET_TCE: { number: 0x1c, in: 3, out: 2 },
  H_PUT_TCE: { number: 0x20, in: 4, out: 1 },
  H_SET_SPRG0: { number: 0x24, in: 2, out: 1 },
  H_SET_DABR: { number: 0x28, in: 2, out: 1 },
  H_PAGE_INIT: { number: 0x2c, in: 4, out: 1 },
  H_LOGICAL_CI_LOAD: { number: 0x3c, in: 3, out: 2 },
  H_LOGICAL_CI_STORE: { number: 0x40, in: 4, out: 1 },
  H_GET_TERM_CHAR: { number: 0x54, in: 2, out: 4 },
  H_PUT_TERM_CHAR: { number: 0x58, in: 5, out: 1 },
  H_HYPERVISOR_DATA: { number: 0x60, in: 2, out: 9 },
  H_EOI: { number: 0x64, in: 2, out: 1 },
  H_CPPR: { number: 0x68, in: 2, out: 1 },
  H_IPI: { number: 0x6c, in: 3, out: 1 },
  H_IPOLL: { number: 0x70, in: 2, out: 3 },
  H_XIRR: { number: 0x74, in: 1, out: 2 },
  H_MIGRATE_DMA: { number: 0x78, in: 4, out: 1 },
  H_PERFMON: { number: 0x7c, in: 3, out: 2 },
  H_REGISTER_VPA: { number: 0xdc, in: 4, out: 1 },
  H_CEDE: { number: 0xe0, in: 1, out: 1 },
  H_CONFER: { number: 0xe4, in: 3, out: 1 },
  H_PROD: { number: 0xe8, in: 2, out: 1 },
  H_GET_PPP: { number: 0xec, in: 1, out: 6 },
  H_SET_PPP: { number: 0xf0, in: 3, out: 1 },
  H_PURR: { number: 0xf4, in: 1, out: 2 },
  H_PIC: { number: 0xf8, in: 4, out: 1 },
  H_REG_CRQ: { number: 0xfc, in: 4, out: 1 },
  H_FREE_CRQ: { number: 0x100, in: 2, out: 1 },
  H_VIO_SIGNAL: { number: 0x104, in: 3, out: 1 },
  H_SEND_CRQ: { number: 0x108, in: 4, out: 1 },
  H_COPY_RDMA: { number: 0x110, in: 6, out: 9 },
  H_REGISTER_LOGICAL_LAN: { number: 0x114, in: 6, out: 1 },
  H_FREE_LOGICAL_LAN: { number: 0x118, in: 2, out: 1 },
  H_ADD_LOGICAL_LAN_BUFFER: { number: 0x11c, in: 3, out: 1 },
  H_SEND_LOGICAL_LAN: { number: 0x120, in: 9, out: 1 },
  H_BULK_REMOVE: { number: 0x124, in: 9, out: 2 },
  H_MULTICAST_CTRL: { number: 0x130, in: 4, out: 2 },
  H_SET_XDABR: { number: 0x134, in: 3, out: 1 },
  H_STUFF_TCE: { number: 0x138, in: 5, out: 1 },
  H_PUT_TCE_INDIRECT: { number: 0x13c, in: 5, out: 1 },
  H_CHANGE_LOGICAL_LAN_MAC: { number: 0x14c, in: 3, out: 1 },
  H_VTERM_PARTNER_INFO: { number: 0x150, in: 5, out: 1 },
  H_REGISTER_VTERM: { number: 0x154, in: 4, out: 1 },
  H_FREE_VTERM: { number: 0x158, in: 2, out: 1 },
  H_GET_CPU_CHARACTERISTICS: { number: 0x1c8, in: 2, out: 3 },
  H_FREE_LOGICAL_LAN_BUFFER: { number: 0x1d4, in: 3, out: 1 },
  H_POLL_PENDING: { number: 0x1d8, in: 1, out: 1 },
  H_ILLAN_ATTRIBUTES: { number: 0x244, in: 4, out: 2 },
  H_JOIN: { number: 0x298, in: 1, out: 1 },
  H_VASI_STATE: { number: 0x2a4, in: 2, out: 2 },
  H_VIOCTL: { number: 0x2a8, in: 6, out: 1 },
  H_ENABLE_CRQ: { number: 0x2b0, in: 2, out: 1 },
  H_GET_EM_PARMS: { number: 0x2b8, in: 1, out: 7 },
  H_SET_MPP: { number: 0x2d0, in: 3, out: 1 },
  H_GET_MPP: { number: 0x2d4, in: 1, out: 8 },
  H_REG_SUB_CRQ: { number: 0x2dc, in: 4, out: 3 },
  H_FREE_SUB_CRQ: { number: 0x2e0, in: 3, out: 1 },
  H_SEND_SUB_CRQ: { number: 0x2e4, in: 7, out: 1 },
  H_SEND_SUB_CRQ_INDIRECT: { number: 0x2e8, in: 5, out: 1 },
  H_HOME_NODE_ASSOCIATIVITY: { number: 0x2ec, in: 3, out: 7 },
  H_BEST_ENERGY: { number: 0x2f4, in: 10, out: 3 },
  H_XIRR_X: { number: 0x2fc, in: 2, out: 3 },
  H_RANDOM: { number: 0x300, in: 2, out: 2 },
  H_COP: { number: 0x304, in: 8, out: 1 },
  H_GET_MPP_X: { number: 0x314, in: 1, out: 8 },
  H_SET_MODE: { number: 0x31c, in: 5, out: 1 },
  H_BLOCK_REMOVE: { number: 0x328, in: 10, out: 1 },
  H_CLEAR_HPT: { number: 0x358, in: 1, out: 1 },
  H_RESIZE_HPT_PREPARE: { number: 0x36c, in: 3, out: 1 },
  H_RESIZE_HPT_COMMIT: { number: 0x370, in: 3, out: 1 },
  H_REGISTER_PROC_TBL: { number: 0x37c, in: 5, out: 1 },
  H_SIGNAL_SYS_RESET: { number: 0x380, in: 2, out: 1 },
  H_INT_GET_SOURCE_INFO: { number: 0x3a8, in: 3, out: 5 },
  H_INT_SET_SOURCE_CONFIG: { number: 0x3ac, in: 6, out: 1 },
  H_INT_GET_SOURCE_CONFIG: { number: 0x3b0 },
  H_INT_GET_QUEUE_INFO: { number: 0x3b4, in: 4, out: 3 },
  H_INT_SET_QUEUE_CONFIG: { number: 0x3b8, in: 6, out: 1 },
  H_INT_GET_QUEUE_CONFIG: { number: 0x3bc },
  H_INT_SET_OS_REPORTING_LINE: { number: 0x3c0 },
  H_INT_GET_OS_REPORTING_LINE: { number: 0x3c4 },
  H_INT_ESB: { number: 0x3c8, in: 5, out: 2 },
  H_INT_SYNC: { number: 0x3cc, in: 3, out: 1 },
  H_INT_RESET: { number: 0x3d0, in: 2, out: 1 },
  H_SCM_READ_METADATA: { number: 0x3e4, in: 4, out: 2 },
  H_SCM_WRITE_METADATA: { number: 0x3e8, in: 5, out: 1 },
  H_SCM_BIND_MEM: { number: 0x3ec, in: 6, out: 2 },
  H_SCM_UNBIND_MEM: { number: 0x3f0, in: 5, out: 2 },
  H_RPT_INVALIDATE: { number: 0x448 },
  H_SVM_PAGE_IN: { number: 0xef00, in: 4, out: 1 },
  H_SVM_PAGE_OUT: { number: 0xef04, in: 4, out: 1 },
  H_SVM_INIT_START: { number: 0xef08, in: 1, out: 1 },
  H_SVM_INIT_DONE: { number: 0xef0c, in: 1, out: 1 },
  H_TPM_COMM: { number: 0xef10 },
  H_SVM_INIT_ABORT: { number: 0xef14 },
  H_RTAS: { number: 0xf000, in: 2, out: 2 },
  H_LOGICAL_MEMOP: { number: 0xf001 },
  H_CAS: { number: 0xf002 },
  H_UPDATE_DT: { number: 0xf003 },
  /** QEMU's Open Firmware client interface: KVMPPC_HCALL_BASE + 5. */
  H_VOF_CLIENT: { number: 0xf005 },
  H_GET_24X7_CATALOG_PAGE: { number: 0xf078, in: 4, out: 1 },
  H_GET_24X7_DATA: { number: 0xf07c, in: 5, out: 1 },
  H_GET_PERF_COUNTER_INFO: { number: 0xf080, in: 3, out: 1 },
  H_SET_PARTITION_TABLE: { number: 0xf800, in: 2, out: 1 },
  H_ENTER_NESTED: { number: 0xf804, in: 3, out: 1 },
  H_TLB_INVALIDATE: { number: 0xf808, in: 4, out: 1 },
  H_COPY_TOFROM_GUEST: { number: 0xf80c, in: 7, out: 1 },
} as const;
export type Hcall = keyof typeof HYPERCALLS;

/** Numbers of hypercalls by name. */
export const HCALL = Object.fromEntries(Object.entries(HYPERCALLS).map(([name, { number }]) => [name, number])) as {
  readonly [N in Hcall]: (typeof HYPERCALLS)[N]['number'];
};

/** Numbers reserved to the Ultravisor, first and last: never taken from a guest (4.1). */
export const ULTRAVISOR_HCALLS = { first: 0xef00, last: 0xef80 } as const;

/** What an SVM's hypercall shows of its registers, by number (6.2.2). A number that is not here cannot be reflected. */
export const HCALL_REGISTERS: ReadonlyMap<number, HcallRegisters & { readonly name: Hcall }> = new Map(
  Object.entries(HYPERCALLS).flatMap(([name, entry]) =>
    'in' in entry ? [[entry.number, { name: name as Hcall, ...entry }] as const] : [],
  ),
);

/** Return codes of hypercalls (4.1). */
export const H_CODE = {
  H_SUCCESS: 0,
  H_BUSY: 1,
  H_CLOSED: 2,
  H_NOT_AVAILABLE: 3,
  H_LONG_BUSY_ORDER_1_MSEC: 9900,
  H_LONG_BUSY_ORDER_100_SEC: 9905,
  H_TOO_HARD: 9999,
  H_HARDWARE: -1,
  H_FUNCTION: -2,
  H_PRIVILEGE: -3,
  H_PARAMETER: -4,
  H_NOT_FOUND: -7,
  H_AUTHORITY: -10,
  H_PERMISSION: -11,
  H_RESOURCE: -16,
  H_P2: -55,
  H_P3: -56,
  H_P4: -57,
  H_P5: -58,
  H_P6: -59,
  H_UNSUPPORTED: -67,
  H_STATE: -75,
  H_UNSUPPORTED_FLAG_START: -256,
} as const;

/** Flag of H_SVM_PAGE_IN: the page is to be shared, not moved (4.1). */
export const H_PAGE_IN_SHARED = 1n;

const HCALL_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(HCALL).map(([name, n]) => [n, name]));
const ULTRACALL_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(ULTRACALL).map(([name, n]) => [n, name]));

/** The name of a hypercall for the trace; its number in hex if it has none. */
export function hcallName(number: number): string {
  return HCALL_NAMES.get(number) ?? `0x${number.toString(16)}`;
}

/** The name of an ultracall for the trace; its number in hex if it has none. */
export function ultracallName(number: number): string {
  return ULTRACALL_NAMES.get(number) ?? `0x${number.toString(16)}`;
}

/** Resources of H_SET_MODE (9.5). */
export const H_SET_MODE_RESOURCE = { CIABR: 1n, DAWR0: 2n, AIL: 3n, LE: 4n, DAWR1: 5n } as const;

/** Functions of H_REGISTER_VPA: `(R4 >> 45) & 7` (9.5). */
export const H_REGISTER_VPA_FUNCTION = {
  SHIFT: 45n,
  MASK: 7n,
  REGISTER_VPA: 1n,
  REGISTER_DTL: 2n,
  REGISTER_SLB: 3n,
  DEREGISTER_VPA: 5n,
  DEREGISTER_DTL: 6n,
  DEREGISTER_SLB: 7n,
} as const;

/** Flags of H_REGISTER_PROC_TBL (9.5). */
export const H_PROC_TBL = { OPERATION: 0x18n, NEW: 0x18n, DEREGISTER: 0x10n, RADIX: 4n, GTSE: 1n } as const;

/** QEMU's RTAS tokens (9.5). */
export const RTAS_TOKEN = {
  'display-character': 0x2000,
  'get-time-of-day': 0x2001,
  'set-time-of-day': 0x2002,
  'power-off': 0x2003,
  'system-reboot': 0x2004,
  'query-cpu-stopped-state': 0x2005,
  'start-cpu': 0x2006,
  'stop-self': 0x2007,
  'ibm,get-system-parameter': 0x2008,
  'ibm,set-system-parameter': 0x2009,
  'ibm,set-xive': 0x200a,
  'ibm,get-xive': 0x200b,
  'ibm,int-off': 0x200c,
  'ibm,int-on': 0x200d,
  'check-exception': 0x200e,
  'event-scan': 0x200f,
  'nvram-fetch': 0x2012,
  'nvram-store': 0x2013,
  'ibm,read-pci-config': 0x2016,
  'ibm,write-pci-config': 0x2017,
  'ibm,configure-connector': 0x201e,
  'ibm,os-term': 0x201f,
  'ibm,nmi-register': 0x202b,
  'ibm,nmi-interlock': 0x202c,
} as const;

/** RTAS status words (9.5). */
export const RTAS_STATUS = { SUCCESS: 0, HARDWARE: -1, BUSY: -2, PARAMETER: -3 } as const;

/** The most words that the arguments and results of an RTAS call have together (6.7). */
export const RTAS_MAX_ARGS = 16;

/** PTCR: where the partition table is (2.2). Its size is 2^(12 + PATS) bytes; an entry has 16. */
export const PTCR = { PATB: 0x0ffffffffffff000n, PATS: 0x1fn } as const;
export const PATE_BYTES = 16;

/** Fields that the root pointers in PATE dw0 and in a process table entry's dw0 share (2.2, 2.3). */
export const RADIX_ROOT = {
  /** Host radix; in PATE dw0 only. */
  HR: 0x8000000000000000n,
  RTS_HIGH: 0x6000000000000000n,
  RPDB: 0x0fffffffffffff00n,
  RTS_LOW: 0xe0n,
  RPDS: 0x1fn,
} as const;

/** PATE dw1: the partition's process table (2.2). It has 2^(12 + PRTS) bytes. */
export const PATE_DW1 = {
  GR: 0x8000000000000000n,
  PRTB: 0x0ffffffffffff000n,
  PRTS: 0x1fn,
  PRTS_MAX: 24n,
} as const;

/** Bytes of a process table entry (2.3). */
export const PRTE_BYTES = 16;

/** RTS of the 52-bit space that Linux and the Ultravisor use, and log2 of the entries of its root (2.2). */
export const RADIX_52_RTS = 21;
export const RADIX_52_ROOT_BITS = 13;

/** A radix tree: where its root is and how much address space it spans. */
export interface RadixRoot {
  /** Real address of the root directory; guest real in a guest's process table. */
  readonly base: bigint;
  /** log2 of the root's entries. */
  readonly rootBits: number;
  /** The tree translates `rts + 31` bits. */
  readonly rts: number;
}

/** Dw0 of a process table entry; with `RADIX_ROOT.HR` it is dw0 of a PATE (2.2, 2.3). */
export function packRadixRoot({ base, rootBits, rts }: RadixRoot): bigint {
  const high = BigInt(rts >> 3) << 61n;
  const low = BigInt(rts & 7) << 5n;
  return high | (base & RADIX_ROOT.RPDB) | low | BigInt(rootBits);
}

/** The inverse of `packRadixRoot`; HR is left out. */
export function unpackRadixRoot(dw0: bigint): RadixRoot {
  const high = Number((dw0 & RADIX_ROOT.RTS_HIGH) >> 61n);
  const low = Number((dw0 & RADIX_ROOT.RTS_LOW) >> 5n);
  return { base: dw0 & RADIX_ROOT.RPDB, rootBits: Number(dw0 & RADIX_ROOT.RPDS), rts: (high << 3) | low };
}

/** Directory entry of a radix tree: 8 bytes, big-endian in memory (2.4). */
export const PDE = {
  V: 0x8000000000000000n,
  L: 0x4000000000000000n,
  RESERVED: 0x60000000000000e0n,
  /** Next level's base. */
  NLB: 0x0fffffffffffff00n,
  /** log2 of the next level's entries. */
  NLS: 0x1fn,
} as const;

/** Leaf of a radix tree: 8 bytes, big-endian in memory (2.4). */
export const PTE = {
  V: 0x8000000000000000n,
  L: 0x4000000000000000n,
  SW0: 0x2000000000000000n,
  RPN: 0x01fffffffffff000n,
  SW1: 0x800n,
  /** The Ultravisor's mark of a page that is shared with the hypervisor (2.4). */
  SHARED: 0x400n,
  SW3: 0x200n,
  R: 0x100n,
  C: 0x80n,
  RESERVED: 0x40n,
  /** Cache attribute: normal, strong access order, non-idempotent I/O, tolerant I/O. */
  ATT: 0x30n,
  ATT_SAO: 0x10n,
  ATT_NON_IDEMPOTENT: 0x20n,
  ATT_TOLERANT: 0x30n,
  PRIVILEGED: 0x8n,
  READ: 0x4n,
  WRITE: 0x2n,
  EXECUTE: 0x1n,
} as const;

/** A directory entry that points to a table of 2^`bits` entries. */
export function packPde(base: bigint, bits: number): bigint {
  return PDE.V | (base & PDE.NLB) | BigInt(bits);
}

/** A leaf for the page at `base`; `attributes` are R, C, ATT, access and software bits. */
export function packPte(base: bigint, attributes: bigint): bigint {
  return PTE.V | PTE.L | (base & PTE.RPN) | attributes;
}

/**
 * The levels of Linux's and the Ultravisor's 52-bit tree with 64 KiB leaves: index bits and shift from root to leaf
 * (2.4).
 */
export const RADIX_52_LEVELS = [
  { bits: 13, shift: 39 },
  { bits: 9, shift: 30 },
  { bits: 9, shift: 21 },
  { bits: 5, shift: 16 },
] as const;
