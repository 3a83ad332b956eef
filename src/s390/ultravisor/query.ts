import { FACILITY, PCF, UV_FEATURE, UV_KEYS, UV_QUERY, UV_RC, UVC, UVCB, type UvCaller } from '../abi.ts';
import type { CommandResult, UvContext } from './context.ts';
import type { ControlBlock } from './control-block.ts';
import { DUMP_COMPLETE_SIZE, DUMP_STATE_PER_MIB } from './dump.ts';
import { LIMITS } from './limits.ts';

/** Plaintext control flags that a header may have. PCKMO asks for nothing here: the functions are not there. */
export const SUPPORTED_PCF = PCF.ALLOW_DUMP | PCF.NO_COMPONENT_ENCRYPTION | PCF.PCKMO;

/** Header version 0x100: bit 0. */
const HEADER_V1 = 1n << 63n;

/**
 * UVC.QUERY (2.5). What both roles may know; lengths of host storage are zero for a guest.
 * @param offered the commands that are served
 */
export function query(
  block: ControlBlock,
  role: Exclude<UvCaller, 'any'>,
  offered: ReadonlySet<number>,
): CommandResult {
  const bytes = new Uint8Array(UV_QUERY.SIZE);
  const view = new DataView(bytes.buffer);
  for (const { number, bit, caller } of Object.values(UVC)) {
    if (bit === null || !offered.has(number) || (caller !== 'any' && caller !== role)) continue;
    bytes[UV_QUERY.CALLS + (bit >> 3)] |= 0x80 >> (bit & 7);
  }
  if (role === 'host') {
    view.setBigUint64(UV_QUERY.BASE_STORAGE, BigInt(LIMITS.baseStorage));
    view.setBigUint64(UV_QUERY.CONFIG_BASE, BigInt(LIMITS.configBase));
    view.setBigUint64(UV_QUERY.CONFIG_VARIABLE_BASE, BigInt(LIMITS.configVariableBase));
    view.setBigUint64(UV_QUERY.CONFIG_VARIABLE, BigInt(LIMITS.configVariablePerMiB));
    view.setBigUint64(UV_QUERY.CPU_STORAGE, BigInt(LIMITS.cpuStorage));
    view.setUint32(UV_QUERY.MAX_CONFIGS, LIMITS.maxConfigs);
    view.setBigUint64(UV_QUERY.MAX_GUEST_ADDRESS, LIMITS.maxGuestAddress);
    view.setUint16(UV_QUERY.MAX_CPU, LIMITS.maxCpu);
    view.setBigUint64(UV_QUERY.FEATURES, UV_FEATURE.MISC);
    view.setBigUint64(UV_QUERY.DUMP_STORAGE_STATE, BigInt(DUMP_STATE_PER_MIB));
    view.setBigUint64(UV_QUERY.DUMP_COMPLETE, BigInt(DUMP_COMPLETE_SIZE));
  }
  view.setBigUint64(UV_QUERY.HEADER_VERSIONS, HEADER_V1);
  view.setBigUint64(UV_QUERY.PLAINTEXT_FLAGS, SUPPORTED_PCF);
  block.put(UVCB.HEADER_SIZE, bytes.subarray(UVCB.HEADER_SIZE));
  return block.length < UV_QUERY.SIZE ? UV_RC.MORE_DATA : UV_RC.EXECUTED;
}

/** UVC.QUERY_KEYS (2.6): the hash of the host's key, and no other. */
export function queryKeys({ se }: UvContext, block: ControlBlock): CommandResult {
  const bytes = new Uint8Array(UV_KEYS.SIZE);
  bytes.set(se.hostKeyHash, UV_KEYS.HASHES);
  block.put(UVCB.HEADER_SIZE, bytes.subarray(UVCB.HEADER_SIZE));
  return block.length < UV_KEYS.SIZE ? UV_RC.MORE_DATA : UV_RC.EXECUTED;
}

/** The facilities of secure guests: those of normal ones, with UVC and without what leads into protection (8.5). */
export function secureFacilities(normal: Uint8Array): Uint8Array {
  const list = new Uint8Array(Math.max(normal.length, 24));
  list.set(normal);
  list[FACILITY.ULTRAVISOR_CALL >> 3] |= 0x80 >> (FACILITY.ULTRAVISOR_CALL & 7);
  list[FACILITY.UNPACK >> 3] &= ~(0x80 >> (FACILITY.UNPACK & 7));
  return list;
}
