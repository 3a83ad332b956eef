import { UV_RC, UVCB } from '../abi.ts';
import type { Command, CommandResult } from './context.ts';
import { LIMITS } from './limits.ts';
import { configOf } from './lookup.ts';
import { SUPPORTED_PCF } from './query.ts';
import type { SeHeaderRefusal } from './se-crypto.ts';
import { setConfigState } from './trace.ts';

/** Response and reason codes for a header that is refused (2.11). No source has one for a wrong tag: reason 2 is ours (10). */
export const HEADER_RC: Readonly<
  Record<SeHeaderRefusal | 'access' | 'plaintext-flags' | 'secret-flags', { readonly rc: number; readonly rrc: number }>
> = {
  access: { rc: 0x0103, rrc: 0 },
  version: { rc: 0x0104, rrc: 0x0001 },
  'plaintext-flags': { rc: 0x0106, rrc: 0x0030 },
  'host-key': { rc: 0x0108, rrc: 0x0005 },
  'customer-key': { rc: 0x0108, rrc: 0x000b },
  tag: { rc: 0x0108, rrc: 0x0002 },
  'secret-flags': { rc: 0x0109, rrc: 0x0000 },
  length: { rc: 0x010a, rrc: 0x0031 },
  'encrypted-area': { rc: 0x010a, rrc: 0x0039 },
  'no-key-slots': { rc: 0x010a, rrc: 0x0040 },
};

/** Secret control flags that a header may have: they are about secrets that a guest adds. */
const SUPPORTED_SCF = 0n;

/**
 * UVC.SET_PARAMETERS: the image's header (2.11). It is read once. Order of checks: handle, state, length, access, what is in the clear, plaintext flags, key slots,
 * tag, secret flags.
 */
export function setParameters({ uv, host, block }: Command): CommandResult {
  const F = UVCB.SET_PARAMETERS;
  const config = configOf(uv, block.u64(F.CONFIG));
  if (typeof config === 'number') return config;
  if (config.state !== 'CREATED') return UV_RC.INVALID_STATE;
  const length = block.u32(F.LENGTH);
  if (length === 0 || length > LIMITS.maxHeader) return HEADER_RC.length;
  const header = host.read('home', block.u64(F.HEADER), length);
  if (header === null) return HEADER_RC.access;
  const plain = uv.se.parseHeader(header);
  if (typeof plain === 'string') return HEADER_RC[plain];
  if ((plain.plaintextFlags & ~SUPPORTED_PCF) !== 0n) return HEADER_RC['plaintext-flags'];
  const secrets = uv.se.openHeader(header);
  if (typeof secrets === 'string') return HEADER_RC[secrets];
  if ((secrets.secretFlags & ~SUPPORTED_SCF) !== 0n) return HEADER_RC['secret-flags'];

  config.image = {
    plain,
    secrets,
    lists: { page: uv.se.sha512(), address: uv.se.sha512(), tweak: uv.se.sha512() },
    measured: null,
    pages: 0n,
  };
  setConfigState(uv, config, 'PARAMS');
  return UV_RC.EXECUTED;
}
