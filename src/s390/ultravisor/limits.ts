/** What this Ultravisor asks for and offers: what `UVC.QUERY` reports (2.5). Bytes, unless said otherwise. */
export const LIMITS = {
  baseStorage: 0x100000,
  baseStorageAlign: 0x100000,
  /** Base storage lies at or above this address (2.7). */
  baseStorageFloor: 0x80000000,
  configBase: 0x4000,
  configVariableBase: 0x1000,
  configVariablePerMiB: 0x1000,
  cpuStorage: 0x1000,
  maxConfigs: 512,
  maxGuestAddress: 1n << 42n,
  /** Highest CPU address: an extended SCA has 248 entries. */
  maxCpu: 247,
  /** Largest Secure Execution header (6.5). */
  maxHeader: 8192,
} as const;

export const PAGE = 4096;
export const MIB = 1 << 20;
