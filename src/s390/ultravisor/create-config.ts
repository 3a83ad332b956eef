import type { RealAddress } from '../../machine/types.ts';
import { DAT, ESCA, UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { takeDonation } from './donation.ts';
import { newHandle } from './handles.ts';
import { homePages, isHosts, isLowcore, isSpare, isStorage, pagesOf } from './host-storage.ts';
import { LIMITS, MIB, PAGE } from './limits.ts';
import { traceConfig } from './trace.ts';

/**
 * Response codes of UVC.CREATE_CONFIG (2.8). The sheet knows 0x106, 0x10a and 0x10b, but not for what; LENGTH has no code there: a length of 0, or a
 * page that would be half a guest's.
 */
export const CREATE_CONFIG_RC = {
  ORIGIN: 0x0101,
  END: 0x0102,
  LENGTH: 0x0103,
  ASCE_IN_USE: 0x0104,
  ASCE: 0x0105,
  FLAGS: 0x0106,
  BASE: 0x0108,
  BASE_LOWCORE: 0x0109,
  BASE_ALIGNMENT: 0x010a,
  VARIABLE: 0x010b,
  NO_SCA: 0x010c,
  SCA: 0x010d,
  TOO_MANY: 0x010e,
} as const;

const BASE_ALIGN = 0x4000n;

/** UVC.CREATE_CONFIG: a VM is to be protected. Order of checks: as the codes, with those of the variable storage's translation before VARIABLE. */
export function createConfig(command: Command): CommandResult {
  const { uv, host, block } = command;
  const { state } = uv;
  const F = UVCB.CREATE_CONFIG;
  const origin = block.u64(F.GUEST_ORIGIN);
  const length = block.u64(F.GUEST_LENGTH);
  const asce = block.u64(F.ASCE);
  const base = block.u64(F.BASE);
  const variable = block.u64(F.VARIABLE);
  const sca = block.u64(F.SCA);

  if (origin > LIMITS.maxGuestAddress) return CREATE_CONFIG_RC.ORIGIN;
  if (origin + length > LIMITS.maxGuestAddress) return CREATE_CONFIG_RC.END;
  if (length === 0n || length % BigInt(PAGE) !== 0n || origin % BigInt(MIB) !== 0n) return CREATE_CONFIG_RC.LENGTH;
  if ((asce & DAT.ASCE_PRIVATE) === 0n || (asce & DAT.ASCE_REAL_SPACE) !== 0n) return CREATE_CONFIG_RC.ASCE;
  for (const other of state.configs.values()) if (other.asce === asce) return CREATE_CONFIG_RC.ASCE_IN_USE;
  if (block.u16(F.FLAGS) !== 0) return CREATE_CONFIG_RC.FLAGS;

  const baseAt = isStorage(uv, base, LIMITS.configBase);
  if (baseAt === undefined) return CREATE_CONFIG_RC.BASE;
  const basePages = pagesOf(baseAt, LIMITS.configBase);
  if (basePages.some((page) => isLowcore(uv, page))) return CREATE_CONFIG_RC.BASE_LOWCORE;
  if (base % BASE_ALIGN !== 0n) return CREATE_CONFIG_RC.BASE_ALIGNMENT;
  if (!basePages.every((page) => isSpare(command, page))) return CREATE_CONFIG_RC.BASE;

  const bytes = variableStorage(length);
  if (variable % BigInt(PAGE) !== 0n || variable + BigInt(bytes) > LIMITS.maxGuestAddress) {
    return CREATE_CONFIG_RC.VARIABLE;
  }
  const variablePages = homePages(uv, host, variable, bytes);
  if (typeof variablePages === 'number') return variablePages;
  const donated = [...basePages, ...variablePages];
  if (new Set(donated).size !== donated.length || !variablePages.every((page) => isSpare(command, page))) {
    return CREATE_CONFIG_RC.VARIABLE;
  }

  if (sca === 0n) return CREATE_CONFIG_RC.NO_SCA;
  const scaAt = isHosts(uv, sca, ESCA.SIZE);
  if (scaAt === undefined || pagesOf(scaAt, ESCA.SIZE).some((page) => donated.includes(page))) {
    return CREATE_CONFIG_RC.SCA;
  }
  if (state.configs.size >= LIMITS.maxConfigs) return CREATE_CONFIG_RC.TOO_MANY;

  const config = {
    handle: newHandle(uv),
    number: state.created,
    origin,
    length,
    asce,
    sca: scaAt as RealAddress,
    donated,
    state: 'CREATED' as const,
    prepared: false,
    load: null,
    image: null,
    dump: null,
    pages: new Map(),
    pageKeys: null,
    cpus: new Map(),
    sccb: null,
  };
  takeDonation(uv, donated);
  state.created++;
  state.configs.set(config.handle, config);
  block.putU64(F.HANDLE, config.handle);
  traceConfig(uv, config, 'NONE', 'CREATED');
  return UV_RC.EXECUTED;
}

/** Bytes of variable storage for a guest of `length` bytes (1.2): for whole MiB, as KVM counts. */
export function variableStorage(length: bigint): number {
  return LIMITS.configVariableBase + Number(length / BigInt(MIB)) * LIMITS.configVariablePerMiB;
}
