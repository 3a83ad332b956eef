import { ICPT, UV_RC, UVC, UVCB, type UvcName } from '../abi.ts';
import type { GuestPort } from '../cpu/ultravisor-port.ts';
import type { UvContext } from './context.ts';
import { ControlBlock } from './control-block.ts';
import { query } from './query.ts';
import { changeSharing, type GuestResult } from './share.ts';
import type { Configuration } from './state.ts';

/** Commands that a guest may issue and that are served (2.3). Attestation and the secret store are not: their bits are 0. */
export const GUEST_COMMANDS: ReadonlySet<UvcName> = new Set(['QUERY', 'SET_SHARED', 'REMOVE_SHARED']);

/** How UVC of a guest's ended. */
export type GuestCall =
  | { readonly cc: 0 | 1 }
  | 'fault'
  /** The host holds on to the page: the guest tries again when it has let go. */
  | { readonly pinned: Uint8Array };

/**
 * UVC of a secure guest's, with its control block at a logical address. Order as for the host: access, command and role, length, then the command's own.
 * @param isLength whether a block of this length is one of the command's
 * @param offered numbers of the commands that are served
 */
export function guestCall(
  uv: UvContext,
  port: GuestPort,
  config: Configuration,
  address: bigint,
  { isLength, offered }: { isLength: (name: UvcName, length: number) => boolean; offered: ReadonlySet<number> },
): GuestCall {
  const header = port.read('operand', address, UVCB.HEADER_SIZE);
  if (header === null) return 'fault';
  const length = Math.max(UVCB.HEADER_SIZE, new ControlBlock(header).u16(UVCB.LENGTH));
  if (!port.reaches('operand', address, length, 'store')) return 'fault';
  const bytes = port.read('operand', address, length);
  if (bytes === null) return 'fault';
  const block = new ControlBlock(bytes);
  const name = [...GUEST_COMMANDS].find((one) => UVC[one].number === block.command);
  const result = name === undefined ? UV_RC.INVALID_COMMAND : serve(uv, port, config, name, block, isLength, offered);
  if (result === 'fault') return 'fault';
  if (result === 'pinned') return { pinned: bytes };
  if (!port.write('operand', address, block.answered(result, 0))) return 'fault';
  return { cc: result === UV_RC.EXECUTED ? 0 : 1 };
}

function serve(
  uv: UvContext,
  port: GuestPort,
  config: Configuration,
  name: UvcName,
  block: ControlBlock,
  isLength: (name: UvcName, length: number) => boolean,
  offered: ReadonlySet<number>,
): GuestResult {
  if (!isLength(name, block.length)) return UV_RC.INVALID_LENGTH;
  if (name !== 'QUERY') return changeSharing(uv, port, config, block);
  const result = query(block, 'guest', offered);
  return typeof result === 'number' ? result : result.rc;
}

/** What the host is told of an unshare that its pin stands in the way of (2.16). */
export const PINNED_TEXT = { code: ICPT.SECURE_NOTIFICATION, ipa: 0xb9a4, ipb: 0 } as const;
