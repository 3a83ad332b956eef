import type { RealAddress } from '../../machine/types.ts';
import { PATE_BYTES, UV_PAGE_SIZE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { UvContext } from './context.ts';

/** The partition table is 64 KiB, as on POWER9 (2.2). */
const PARTITIONS = UV_PAGE_SIZE / PATE_BYTES;

/** A partition table entry. */
export interface Pate {
  readonly dw0: bigint;
  readonly dw1: bigint;
}

/** The LPID in a register, or undefined if the partition table has no such entry. */
export function partition(register: bigint): number | undefined {
  return register < PARTITIONS ? Number(register) : undefined;
}

/** The entry of a partition. */
export function readPate(uv: UvContext, lpid: number): Pate {
  const at = entryAddress(uv, lpid);
  return { dw0: uv.view.readU64(at), dw1: uv.view.readU64((at + 8) as RealAddress) };
}

/** Writes the entry of a partition and forgets what was translated by the old one (2.2). */
export function writePate(uv: UvContext, port: RegisterPort, lpid: number, pate: Pate): void {
  const at = entryAddress(uv, lpid);
  const old = readPate(uv, lpid);
  uv.view.writeU64(at, pate.dw0);
  uv.view.writeU64((at + 8) as RealAddress, pate.dw1);
  if (old.dw0 !== 0n || old.dw1 !== 0n) port.invalidateTranslations(lpid);
}

function entryAddress(uv: UvContext, lpid: number): RealAddress {
  if (uv.state.partitionTable === null) throw new Error('the Ultravisor was never booted');
  return (uv.state.partitionTable + lpid * PATE_BYTES) as RealAddress;
}
