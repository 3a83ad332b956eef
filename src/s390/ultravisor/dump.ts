import { hkdf, hkdfSha512 } from '../../crypto/hkdf.ts';
import { PCF, UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult, UvContext } from './context.ts';
import { MIB, PAGE } from './limits.ts';
import { configOf, cpuOf } from './lookup.ts';
import { pageKeysOf, tweakComponent } from './page-cipher.ts';
import type { Configuration, Dump, GuestPage, SecureCpuRecord } from './state.ts';
import { setConfigState } from './trace.ts';

/** Bytes of DUMP_COMPLETE's output, of a CPU's, and of storage state per MiB of the guest (6.13). */
export const DUMP_COMPLETE_SIZE = 288;
const DUMP_CPU_SIZE = 1568;
export const DUMP_STATE_PER_MIB = 4096;

/** Response codes: the sheet has none for these commands. */
const DUMP_RC = { NOT_ALLOWED: 0x0101, ADDRESS: 0x0102, ACCESS: 0x0103 } as const;

const SEED = 64;
const KEY = 32;
const IV = 12;
const COMPONENT = 16;
const INFO = new TextEncoder().encode('IBM Z Ultravisor Dump');

/** Flags of a special component, in its last byte; it begins with 0xffffffff. */
const SPECIAL = { MAPPED: 0x04, SHARED: 0x02, ZERO: 0x01 } as const;

/** UVC.DUMP_INIT: nothing runs from here on; the key is derived from the customer communication key. */
export function dumpInit({ uv, block }: Command): CommandResult {
  const config = configOf(uv, block.u64(UVCB.HANDLE));
  if (typeof config === 'number') return config;
  const { image } = config;
  if (config.state !== 'VERIFIED' || image === null || isRunning(config)) return UV_RC.INVALID_STATE;
  if ((image.plain.plaintextFlags & PCF.ALLOW_DUMP) === 0n) return DUMP_RC.NOT_ALLOWED;
  const seed = uv.random(SEED);
  const key = hkdf(hkdfSha512(uv.crypto), image.secrets.communicationKey, seed, INFO, KEY);
  config.dump = { seed, key, blobs: 0 };
  setConfigState(uv, config, 'DUMPING');
  return UV_RC.EXECUTED;
}

function isRunning({ cpus }: Configuration): boolean {
  return [...cpus.values()].some(({ runsOn }) => runsOn !== null);
}

/** UVC.DUMP_STORAGE_STATE: 16 bytes for each page of a MiB. */
export function dumpStorageState(command: Command): CommandResult {
  const { uv, block } = command;
  const config = configOf(uv, block.u64(UVCB.DUMP.HANDLE));
  if (typeof config === 'number') return config;
  if (config.dump === null) return UV_RC.INVALID_STATE;
  const first = block.u64(UVCB.DUMP.ADDRESS);
  if (first % BigInt(MIB) !== 0n || first >= config.length) return DUMP_RC.ADDRESS;
  return give(command, DUMP_STATE_PER_MIB, () => {
    const state = new Uint8Array(DUMP_STATE_PER_MIB);
    for (let n = 0; n < MIB / PAGE; n++) {
      state.set(component(config.pages.get(Number(first) + n * PAGE)), n * COMPONENT);
    }
    return state;
  });
}

/** A page that is secure still has no tweak: the host reads what it exports first. */
function component(page: GuestPage | undefined): Uint8Array {
  if (page?.state === 'EXPORTED') return tweakComponent(page.seal);
  const special = new Uint8Array(COMPONENT);
  special.fill(0xff, 0, 4);
  special[COMPONENT - 1] =
    page === undefined || page.state === 'LOST'
      ? SPECIAL.ZERO
      : page.state === 'SHARED'
        ? SPECIAL.MAPPED | SPECIAL.SHARED
        : SPECIAL.MAPPED;
  return special;
}

/** UVC.DUMP_CPU: registers under the dump's key. */
export function dumpCpu(command: Command): CommandResult {
  const { uv, block } = command;
  const cpu = cpuOf(uv, block.u64(UVCB.DUMP.HANDLE));
  if (typeof cpu === 'number') return cpu;
  const { dump } = cpu.config;
  if (dump === null) return UV_RC.INVALID_STATE;
  return give(command, DUMP_CPU_SIZE, () => seal(uv, dump, registers(cpu), { size: DUMP_CPU_SIZE, aad: 32, ivAt: 8 }));
}

/** UVC.DUMP_COMPLETE: what pages were encrypted with; the guest may run again. */
export function dumpComplete(command: Command): CommandResult {
  const { uv, block } = command;
  const config = configOf(uv, block.u64(UVCB.DUMP.HANDLE));
  if (typeof config === 'number') return config;
  const { dump } = config;
  if (dump === null) return UV_RC.INVALID_STATE;
  const result = give(command, DUMP_COMPLETE_SIZE, () => {
    const keys = pageKeysOf(uv, config);
    const secrets = new Uint8Array(176);
    secrets.set(keys.nonce, 0);
    secrets.set(keys.cipher, 16);
    return seal(uv, dump, secrets, { size: DUMP_COMPLETE_SIZE, aad: 96, ivAt: 80, seedAt: 16 });
  });
  if (result !== UV_RC.EXECUTED) return result;
  dump.key.fill(0);
  config.dump = null;
  setConfigState(uv, config, 'VERIFIED');
  return result;
}

interface Form {
  readonly size: number;
  /** Bytes in front that are authenticated only. */
  readonly aad: number;
  readonly ivAt: number;
  readonly seedAt?: number;
}

/** A blob: version, length, IV, and what is encrypted, with its tag (6.13). No IV comes twice under one key. */
function seal(uv: UvContext, dump: Dump, plaintext: Uint8Array, { size, aad, ivAt, seedAt }: Form): Uint8Array {
  dump.blobs += 1;
  const blob = new Uint8Array(size);
  const view = new DataView(blob.buffer);
  view.setUint32(0, 1);
  view.setUint32(4, size);
  if (seedAt !== undefined) blob.set(dump.seed, seedAt);
  const iv = new Uint8Array(IV);
  new DataView(iv.buffer).setUint32(IV - 4, dump.blobs);
  blob.set(iv, ivAt);
  const { ciphertext, tag } = uv.crypto.aesGcmEncrypt(dump.key, iv, blob.slice(0, aad), plaintext);
  blob.set(ciphertext, aad);
  blob.set(tag, aad + ciphertext.length);
  return blob;
}

/** Offsets in a CPU's dump, of its encrypted part; the sheet counts from the blob's start. */
const CPU_DUMP = { FLAGS: 1536 - 32, SIZE: 1520, PARTIAL: 1 } as const;

function registers({ guest, pending }: SecureCpuRecord): Uint8Array {
  const bytes = new Uint8Array(CPU_DUMP.SIZE);
  const view = new DataView(bytes.buffer);
  const at = (offset: number): number => offset - 32;
  for (const [n, value] of guest.gr.entries()) view.setBigUint64(at(32 + 8 * n), value);
  view.setBigUint64(at(160), guest.pswMask);
  view.setBigUint64(at(168), guest.pswAddress);
  view.setUint32(at(184), guest.prefix);
  view.setUint32(at(188), guest.fpc);
  view.setUint32(at(196), guest.todProgrammable);
  view.setBigUint64(at(200), guest.cpuTimer);
  view.setBigUint64(at(208), guest.clockComparator);
  for (const [n, value] of guest.ar.entries()) view.setUint32(at(224 + 4 * n), value);
  for (const [n, value] of guest.cr.entries()) view.setBigUint64(at(288 + 8 * n), value);
  // The floating point registers are the high halves of the low vector registers.
  for (const [n, value] of guest.fpr.entries()) view.setBigUint64(at(416 + 16 * n), value);
  view.setUint16(CPU_DUMP.FLAGS, pending === null ? 0 : CPU_DUMP.PARTIAL);
  return bytes;
}

/** Puts output where the host wants it, all of it or nothing. It is made only if it can be given: no IV is spent in vain. */
function give({ host, block }: Command, size: number, make: () => Uint8Array): number {
  const area = block.u64(UVCB.DUMP.AREA);
  if (!host.reaches('home', area, size, 'store')) return DUMP_RC.ACCESS;
  if (!host.write('home', area, make())) throw new Error('an area that could be reached is not written');
  return UV_RC.EXECUTED;
}
