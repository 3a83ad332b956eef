/**
 * Numbers, layouts and codes of the arm64 architecture and of the ABI between host, hyp and guests: the one file that both sides of the wall share.
 * Values are bigints where registers are 64 bits wide. Sources: Arm ARM (DDI 0487), and arm64-pkvm.md by section.
 */

/** An exception level. */
export type ExceptionLevel = 0 | 1 | 2;

/** PSTATE in the format of SPSR_ELx (Arm ARM, C5.2.18). */
export const PSTATE = {
  SP: 1n << 0n,
  EL: 3n << 2n,
  /** AArch32. */
  nRW: 1n << 4n,
  F: 1n << 6n,
  I: 1n << 7n,
  A: 1n << 8n,
  D: 1n << 9n,
  DAIF: 0xfn << 6n,
  IL: 1n << 20n,
  SS: 1n << 21n,
  PAN: 1n << 22n,
  UAO: 1n << 23n,
  V: 1n << 28n,
  C: 1n << 29n,
  Z: 1n << 30n,
  N: 1n << 31n,
} as const;

/** M[4:0] of SPSR_ELx. */
export const SPSR_MODE = { EL0t: 0n, EL1t: 4n, EL1h: 5n, EL2t: 8n, EL2h: 9n } as const;

/** Exception classes, ESR_ELx[31:26] (arm64-pkvm.md 7.1). */
export const EC = {
  unknown: 0x00,
  wfx: 0x01,
  fpAccess: 0x07,
  illegalState: 0x0e,
  svc64: 0x15,
  hvc64: 0x16,
  smc64: 0x17,
  sys64: 0x18,
  instructionAbortLower: 0x20,
  instructionAbortSame: 0x21,
  pcAlignment: 0x22,
  dataAbortLower: 0x24,
  dataAbortSame: 0x25,
  spAlignment: 0x26,
  serror: 0x2f,
  brk64: 0x3c,
} as const;

/** Fields of ESR_ELx (Arm ARM, D13.2.37). */
export const ESR = {
  ecShift: 26n,
  IL: 1n << 25n,
  /** Data aborts: the syndrome fields below are valid. */
  ISV: 1n << 24n,
  sasShift: 22n,
  SSE: 1n << 21n,
  srtShift: 16n,
  SF: 1n << 15n,
  AR: 1n << 14n,
  /** FAR is not valid. */
  FnV: 1n << 10n,
  CM: 1n << 8n,
  /** The abort came from a stage 2 fault on a stage 1 table walk. */
  S1PTW: 1n << 7n,
  WnR: 1n << 6n,
} as const;

/** Fault status codes, DFSC and IFSC; the level is added where there is one (Arm ARM, D13.2.37). */
export const FSC = {
  addressSize: 0x00,
  translation: 0x04,
  accessFlag: 0x08,
  permission: 0x0c,
  externalAbort: 0x10,
  externalAbortOnWalk: 0x14,
  alignment: 0x21,
} as const;

/** Bits of HCR_EL2 (Arm ARM, D13.2.48). */
export const HCR = {
  VM: 1n << 0n,
  SWIO: 1n << 1n,
  PTW: 1n << 2n,
  FMO: 1n << 3n,
  IMO: 1n << 4n,
  AMO: 1n << 5n,
  VF: 1n << 6n,
  VI: 1n << 7n,
  VSE: 1n << 8n,
  FB: 1n << 9n,
  BSU: 3n << 10n,
  DC: 1n << 12n,
  TWI: 1n << 13n,
  TWE: 1n << 14n,
  TID0: 1n << 15n,
  TID1: 1n << 16n,
  TID2: 1n << 17n,
  TID3: 1n << 18n,
  TSC: 1n << 19n,
  TIDCP: 1n << 20n,
  TACR: 1n << 21n,
  TSW: 1n << 22n,
  TPCP: 1n << 23n,
  TPU: 1n << 24n,
  TTLB: 1n << 25n,
  TVM: 1n << 26n,
  TGE: 1n << 27n,
  TDZ: 1n << 28n,
  HCD: 1n << 29n,
  TRVM: 1n << 30n,
  RW: 1n << 31n,
  E2H: 1n << 34n,
  TLOR: 1n << 35n,
  TERR: 1n << 36n,
  TEA: 1n << 37n,
  API: 1n << 41n,
  APK: 1n << 40n,
  FWB: 1n << 46n,
  TID4: 1n << 49n,
  ATA: 1n << 56n,
  TID5: 1n << 58n,
} as const;

/** Bits of SCTLR_ELx (Arm ARM, D13.2.118). */
export const SCTLR = {
  M: 1n << 0n,
  A: 1n << 1n,
  C: 1n << 2n,
  SA: 1n << 3n,
  SA0: 1n << 4n,
  UMA: 1n << 9n,
  DZE: 1n << 14n,
  UCT: 1n << 15n,
  nTWI: 1n << 16n,
  nTWE: 1n << 18n,
  WXN: 1n << 19n,
  SPAN: 1n << 23n,
  E0E: 1n << 24n,
  EE: 1n << 25n,
  UCI: 1n << 26n,
} as const;

/** Interrupt numbers of private peripherals (arm64-pkvm.md 9.4). */
export const PPI = { maintenance: 25, hypTimer: 26, virtualTimer: 27, physicalTimer: 30 } as const;

/** Errors of the hyp's calls: negative values of Linux's errno (arm64-pkvm.md 0.3). */
export const ERRNO = {
  EPERM: -1,
  ENOENT: -2,
  EIO: -5,
  E2BIG: -7,
  EAGAIN: -11,
  ENOMEM: -12,
  EFAULT: -14,
  EBUSY: -16,
  EEXIST: -17,
  ENODEV: -19,
  EINVAL: -22,
  ERANGE: -34,
  ENOSYS: -38,
  EOPNOTSUPP: -95,
  EHWPOISON: -133,
} as const;
/** 0, or one of `ERRNO`. */
export type Errno = 0 | (typeof ERRNO)[keyof typeof ERRNO];

/** Page-table code in the forms that Linux had it (arm64-pkvm.md 0.2): full isolation, memory isolation, and seed 004's. */
export type PkvmProfile = 'I' | 'M' | 'L';

/** Pages are 4 KiB here; page frame numbers count them. */
export const ARM_PAGE_SHIFT = 12;
export const ARM_PAGE_SIZE = 4096;

/** Owners of memory (arm64-pkvm.md 1.1). */
export const OWNER = { host: 0, hyp: 1, guest: 2 } as const;

/** PSCI functions (Arm DEN0022, 5.1; arm64-pkvm.md 5): ids with bit 30 take 64-bit arguments. */
export const PSCI = {
  VERSION: 0x8400_0000,
  CPU_SUSPEND_32: 0x8400_0001,
  CPU_OFF: 0x8400_0002,
  CPU_ON_32: 0x8400_0003,
  AFFINITY_INFO_32: 0x8400_0004,
  MIGRATE_INFO_TYPE: 0x8400_0006,
  SYSTEM_OFF: 0x8400_0008,
  SYSTEM_RESET: 0x8400_0009,
  FEATURES: 0x8400_000a,
  CPU_SUSPEND_64: 0xc400_0001,
  CPU_ON_64: 0xc400_0003,
  AFFINITY_INFO_64: 0xc400_0004,
  MIGRATE_64: 0xc400_0005,
  SYSTEM_RESET2_64: 0xc400_0012,
} as const;

/** What PSCI functions return (Arm DEN0022, 5.2.2). */
export const PSCI_RESULT = {
  SUCCESS: 0n,
  NOT_SUPPORTED: -1n,
  INVALID_PARAMETERS: -2n,
  DENIED: -3n,
  ALREADY_ON: -4n,
  ON_PENDING: -5n,
  INTERNAL_FAILURE: -6n,
} as const;

/** What AFFINITY_INFO returns of a PE (Arm DEN0022, 5.7). */
export const PSCI_STATE = { on: 0n, off: 1n, onPending: 2n } as const;

/** Affinity fields of MPIDR_EL1 of a PE by its position: clusters of 16, as QEMU's `virt` has with a GICv3. */
export const affinityOf = (index: number): number => ((index >> 4) << 8) | (index & 15);

/** Hypercalls of the host: HVC #0 with this plus a function number in x0; bit 16 is SMCCC's hint and says nothing (arm64-pkvm.md 4.1). */
export const HOST_CALL = { base: 0xc600_0000n, hint: 1n << 16n, notSupported: (1n << 64n) - 1n } as const;

/** Function numbers of the host's hypercalls in 7.2 (4.3); those that only trace or serve a GICv5 have none here. */
export const HYPERCALL = {
  __kvm_hyp_init: 0,
  __pkvm_init: 1,
  __pkvm_create_private_mapping: 2,
  __pkvm_cpu_set_vector: 3,
  __kvm_enable_ssbs: 4,
  __vgic_v3_init_lrs: 5,
  __vgic_v3_get_gic_config: 6,
  __pkvm_prot_finalize: 7,
  __kvm_adjust_pc: 8,
  __kvm_vcpu_run: 9,
  __kvm_flush_vm_context: 10,
  __kvm_tlb_flush_vmid_ipa: 11,
  __kvm_tlb_flush_vmid_ipa_nsh: 12,
  __kvm_tlb_flush_vmid: 13,
  __kvm_tlb_flush_vmid_range: 14,
  __kvm_flush_cpu_context: 15,
  __kvm_timer_set_cntvoff: 16,
  __vgic_v3_save_aprs: 25,
  __vgic_v3_restore_vmcr_aprs: 26,
  __pkvm_host_share_hyp: 29,
  __pkvm_host_unshare_hyp: 30,
  __pkvm_host_donate_guest: 31,
  __pkvm_host_share_guest: 32,
  __pkvm_host_unshare_guest: 33,
  __pkvm_host_relax_perms_guest: 34,
  __pkvm_host_wrprotect_guest: 35,
  __pkvm_host_test_clear_young_guest: 36,
  __pkvm_host_mkyoung_guest: 37,
  __pkvm_reserve_vm: 38,
  __pkvm_unreserve_vm: 39,
  __pkvm_init_vm: 40,
  __pkvm_init_vcpu: 41,
  __pkvm_vcpu_in_poison_fault: 42,
  __pkvm_force_reclaim_guest_page: 43,
  __pkvm_reclaim_dying_guest_page: 44,
  __pkvm_start_teardown_vm: 45,
  __pkvm_finalize_teardown_vm: 46,
  __pkvm_vcpu_load: 47,
  __pkvm_vcpu_put: 48,
  __pkvm_tlb_flush_vmid: 49,
} as const;
export type HypercallName = keyof typeof HYPERCALL;

/** Which functions the door accepts: until the host has flipped its key, and from then on (4.2). */
export const HYPERCALL_WINDOW = { open: [1, 28], protected: [7, 49] } as const;

/** The same in 6.12, for profile L (4.5). What 7.2 does in several calls is one here. */
export const HYPERCALL_612 = {
  __kvm_hyp_init: 0,
  __pkvm_init: 2,
  __pkvm_create_private_mapping: 3,
  __pkvm_cpu_set_vector: 4,
  __kvm_enable_ssbs: 5,
  __vgic_v3_init_lrs: 6,
  __vgic_v3_get_gic_config: 7,
  __pkvm_prot_finalize: 8,
  __pkvm_host_share_hyp: 9,
  __pkvm_host_unshare_hyp: 10,
  __kvm_adjust_pc: 11,
  __kvm_flush_vm_context: 13,
  __kvm_tlb_flush_vmid_ipa: 14,
  __kvm_tlb_flush_vmid_ipa_nsh: 15,
  __kvm_tlb_flush_vmid: 16,
  __kvm_tlb_flush_vmid_range: 17,
  __kvm_flush_cpu_context: 18,
  __kvm_timer_set_cntvoff: 19,
} as const satisfies Partial<Record<HypercallName, number>>;
export const HYPERCALL_WINDOW_612 = { open: [1, 25], protected: [8, 25] } as const;

/** Handles of VMs: the first, and how many VMs there can be (1.4, 4.3 #38). */
export const VM_HANDLE = { first: 0x1000, most: 255 } as const;

/** What `__kvm_vcpu_run` says in x1 (6.4). */
export const EXIT_CODE = { irq: 0, serror: 1, trap: 2, illegal: 3 } as const;

/** Pages that the host lays ready for the hyp (4.6): a list through the first 8 bytes of each, from a head and a count of 8 bytes each. */
export const MEMCACHE = { head: 0, count: 8 } as const;

/**
 * What the hyp reads and writes of the host's `struct kvm`, by offset, little-endian. The order is ours: Linux's depends on its configuration.
 * The host shares the page with the hyp before `__pkvm_init_vm`.
 */
export const HOST_KVM = {
  size: ARM_PAGE_SIZE,
  /** u64 each. */
  handle: 0,
  createdVcpus: 8,
  isProtected: 16,
  /** Memcaches that teardown fills: of structures, and of the guest's tables. */
  teardown: 24,
  stage2Teardown: 40,
} as const;

/** Of the host's `struct kvm_vcpu`: its context and hyp state come first, in the layouts of 6.1 and 6.2. */
export const HOST_VCPU = {
  size: 2 * ARM_PAGE_SIZE,
  context: 0,
  hypState: 0x12b0,
  /** u64 each. */
  vcpuId: 0x12f0,
  vcpuIndex: 0x12f8,
  /** Bit 0: initialised (6.2). */
  flags: 0x1300,
  memcache: 0x1308,
  /** `vgic_v3_cpu_if`. */
  vgic: 0x1320,
} as const;

/** Registers of EL1 and EL0 that a world switch exchanges (6.1): what a context's `sys_regs` hold, by position from 1. */
export const CONTEXT_REGISTERS = [
  'SCTLR_EL1',
  'CPACR_EL1',
  'TTBR0_EL1',
  'TTBR1_EL1',
  'TCR_EL1',
  'ESR_EL1',
  'AFSR0_EL1',
  'AFSR1_EL1',
  'FAR_EL1',
  'MAIR_EL1',
  'VBAR_EL1',
  'CONTEXTIDR_EL1',
  'AMAIR_EL1',
  'CNTKCTL_EL1',
  'PAR_EL1',
  'TPIDR_EL1',
  'ELR_EL1',
  'SPSR_EL1',
  'SP_EL1',
  'MDSCR_EL1',
  'TPIDR_EL0',
  'TPIDRRO_EL0',
  'CSSELR_EL1',
  'CNTV_CVAL_EL0',
  'CNTV_CTL_EL0',
] as const;
export type ContextRegister = (typeof CONTEXT_REGISTERS)[number];

/** Offsets in `kvm_cpu_context` (6.1); x0 to x30 come first. Little-endian, as all structures here. */
export const CPU_CONTEXT = { sp: 248, pc: 256, pstate: 264, v: 304, fpsr: 816, fpcr: 820, registers: 832 } as const;

const CONTEXT_OFFSETS: ReadonlyMap<string, number> = new Map(
  CONTEXT_REGISTERS.map((name, n) => [name, CPU_CONTEXT.registers + 8 * (n + 1)]),
);
/** Offset of a system register in a `kvm_cpu_context`. */
export const contextOffsetOf = (name: ContextRegister): number => CONTEXT_OFFSETS.get(name) as number;

/** Positions in `sys_regs`, of which most are unused here, and the bytes of the whole: with two pointers at its end, in units of 16. */
const REGISTER_COUNT: Readonly<Record<PkvmProfile, number>> = { I: 491, M: 491, L: 282 };
export const contextBytes = (profile: PkvmProfile): number =>
  Math.ceil((CPU_CONTEXT.registers + 8 * REGISTER_COUNT[profile] + 16) / 16) * 16;

/** Offsets in `vcpu_hyp_state`: trap configuration, the last exit and flags; u64 each as in 7.2 (6.2). */
export const HYP_STATE = {
  hcr: 0,
  mdcr: 8,
  vsesr: 16,
  esr: 24,
  far: 32,
  hpfar: 40,
  disr: 48,
  flags: 56,
} as const;
export const HYP_STATE_BYTES = 64;
export type HypStateField = keyof typeof HYP_STATE;

/** Bits of `flags`: what is to be done with the guest before it goes on (6.2). */
export const IFLAG = { pendingException: 1n, incrementPc: 2n, exceptMask: 0xen } as const;

/** The page that HPFAR_EL2 names (7.3). */
export const ipaOfHpfar = (hpfar: bigint): number => Number((hpfar >> 4n) & ((1n << 40n) - 1n)) * ARM_PAGE_SIZE;

/** Calls of guests to their hypervisor beside PSCI (5.2, 5.7). */
export const GUEST_CALL = {
  SMCCC_VERSION: 0x8000_0000n,
  ARCH_FEATURES: 0x8000_0001n,
  ARCH_WORKAROUND_1: 0x8000_8000n,
  ARCH_WORKAROUND_2: 0x8000_7fffn,
  ARCH_WORKAROUND_3: 0x8000_3fffn,
  KVM_FEATURES: 0x8600_0000n,
  CALL_UID: 0x8600_ff01n,
  HYP_MEMINFO: 0xc600_0002n,
  MEM_SHARE: 0xc600_0003n,
  MEM_UNSHARE: 0xc600_0004n,
  MMIO_GUARD_INFO: 0xc600_0005n,
  MMIO_GUARD_ENROLL: 0xc600_0006n,
  MMIO_GUARD_MAP: 0xc600_0007n,
  MMIO_GUARD_UNMAP: 0xc600_0008n,
  MEM_RELINQUISH: 0xc600_0009n,
  TRNG_VERSION: 0x8400_0050n,
  TRNG_FEATURES: 0x8400_0051n,
  TRNG_GET_UUID: 0x8400_0052n,
  TRNG_RND32: 0x8400_0053n,
  TRNG_RND64: 0xc400_0053n,
} as const;

const CALL_NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(PSCI).map(([name, id]): [number, string] => [id, `PSCI_${name}`]),
  ...Object.entries(GUEST_CALL).map(([name, id]): [number, string] => [Number(id), name]),
]);
/** A guest's call by its name; its number in hexadecimal if it has none. */
export const guestCallName = (id: number): string => CALL_NAMES.get(id) ?? `0x${id.toString(16)}`;

/** What CALL_UID says of Linux's KVM and of pKVM (5.2). */
export const VENDOR_UID = [0xb66fb428n, 0xe911c52en, 0x564bcaa9n, 0x743a004dn] as const;
/** SMCCC_VERSION: 1.1. */
export const SMCCC_1_1 = 0x10001n;

/** ICH_LR<n>_EL2 (Arm IHI 0069H, 12.4.8). */
export const LR = {
  virtual: 0xffffffffn,
  physicalShift: 32n,
  physicalMask: 0x1fffn,
  /** Without HW: an end of interrupt raises a maintenance interrupt. */
  EOI: 1n << 41n,
  priorityShift: 48n,
  group: 1n << 60n,
  HW: 1n << 61n,
  pending: 1n << 62n,
  active: 1n << 63n,
} as const;

/** ICH_HCR_EL2 (12.4.5): on, and a maintenance interrupt when no more than one list register is in use. */
export const ICH_HCR = { En: 1n, UIE: 2n } as const;

/** List registers of the CPU (ICH_VTR_EL2.ListRegs). */
export const LIST_REGISTERS = 4;

/** Offsets in `vgic_v3_cpu_if`, u64 each, with room for what the architecture has of each (6.5). */
export const VGIC = { hcr: 0, vmcr: 8, usedLrs: 16, ap0r: 24, ap1r: 32, lr: 40 } as const;
export const VGIC_BYTES = VGIC.lr + 8 * 16;

/** Bytes of the hyp's structures, which the host donates (4.4): a VM has a pointer for each vCPU, a vCPU its context, hyp state and vGIC. */
export const hypVmBytes = (vcpus: number): number => 256 + 8 * vcpus;
export const hypVcpuBytes = (profile: PkvmProfile): number => contextBytes(profile) + HYP_STATE_BYTES + VGIC_BYTES;
/** Pages of a guest's stage 2 root: the shape of the host's table, 44 bits from level 0 (2.2). */
export const PHYSICAL_BITS = 44;
export const STAGE2_ROOT_PAGES = 1;
/** Table pages that one leaf can need below the root: what a memcache must hold before a page is mapped (2.2). */
export const STAGE2_LEAST_CACHE = 3;

/** vCPU reset (5.6): EL1h with everything masked, MMU and caches off. */
export const RESET_PSTATE = 0x3c5n;
export const RESET_SCTLR = 0x00c5_0078n;
