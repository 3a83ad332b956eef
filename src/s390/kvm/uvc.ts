import { UV_QUERY, UVC, UVCB, type UvcName } from '../abi.ts';

/** What QUI told, as far as KVM needs it (2.5). */
export interface UvInfo {
  readonly calls: readonly bigint[];
  readonly baseStorage: number;
  readonly configBase: number;
  readonly configVirtualBase: number;
  readonly configVirtualPerMiB: number;
  readonly cpuStorage: number;
  readonly maxGuestAddress: bigint;
  readonly maxConfigs: number;
  readonly maxCpus: number;
  readonly features: bigint;
  readonly dumpStatePerMiB: number;
  readonly dumpFinalize: number;
}

/** What came of a UVC: the condition code, and the control block as the Ultravisor left it. */
export interface UvcAnswer {
  readonly cc: number;
  readonly rc: number;
  readonly rrc: number;
  readonly block: Uint8Array;
}

type Field = readonly [offset: number, bytes: 1 | 2 | 4 | 8, value: number | bigint];

/**
 * A control block.
 * @param length bytes, where it is not what the command has
 */
export function controlBlock(
  name: UvcName,
  fields: readonly Field[] = [],
  length: number = UVC[name].length,
): Uint8Array {
  const block = new Uint8Array(length);
  const view = new DataView(block.buffer);
  view.setUint16(UVCB.LENGTH, length);
  view.setUint16(UVCB.COMMAND, UVC[name].number);
  for (const [offset, bytes, value] of fields) {
    const all = new DataView(new ArrayBuffer(8));
    all.setBigUint64(0, BigInt.asUintN(64, BigInt(value)));
    block.set(new Uint8Array(all.buffer, 8 - bytes), offset);
  }
  return block;
}

/** A command whose only operand is the handle of a configuration or CPU. */
export function handleCommand(name: UvcName, handle: bigint): Uint8Array {
  return controlBlock(name, [[UVCB.HANDLE, 8, handle]]);
}

export function u16(block: Uint8Array, offset: number): number {
  return new DataView(block.buffer, block.byteOffset).getUint16(offset);
}

export function u32(block: Uint8Array, offset: number): number {
  return new DataView(block.buffer, block.byteOffset).getUint32(offset);
}

export function u64(block: Uint8Array, offset: number): bigint {
  return new DataView(block.buffer, block.byteOffset).getBigUint64(offset);
}

/** What the control block of `UVC.QUERY` says (2.5). */
export function readQuery(block: Uint8Array): UvInfo {
  const length = (offset: number): number => Number(u64(block, offset));
  return {
    calls: [0, 8, 16, 24].map((at) => u64(block, UV_QUERY.CALLS + at)),
    baseStorage: length(UV_QUERY.BASE_STORAGE),
    configBase: length(UV_QUERY.CONFIG_BASE),
    configVirtualBase: length(UV_QUERY.CONFIG_VARIABLE_BASE),
    configVirtualPerMiB: length(UV_QUERY.CONFIG_VARIABLE),
    cpuStorage: length(UV_QUERY.CPU_STORAGE),
    maxGuestAddress: u64(block, UV_QUERY.MAX_GUEST_ADDRESS),
    maxConfigs: u32(block, UV_QUERY.MAX_CONFIGS),
    maxCpus: u16(block, UV_QUERY.MAX_CPU) + 1,
    features: u64(block, UV_QUERY.FEATURES),
    dumpStatePerMiB: length(UV_QUERY.DUMP_STORAGE_STATE),
    dumpFinalize: length(UV_QUERY.DUMP_COMPLETE),
  };
}

/** Whether the Ultravisor has a command. */
export function offers({ calls }: UvInfo, name: UvcName): boolean {
  const { bit } = UVC[name];
  if (bit === null) return true;
  const word = calls[bit >> 6] ?? 0n;
  return ((word >> BigInt(63 - (bit & 63))) & 1n) === 1n;
}
