import type { RealAddress } from '../../machine/types.ts';
import { UV_RC, UVC, UVCB, type UvCommand, type UvcName } from '../abi.ts';
import type { HostCall, HostCallAnswer } from '../cpu/ultravisor-port.ts';
import type { Command, CommandResult, UvContext } from './context.ts';
import { ControlBlock } from './control-block.ts';
import { convertFrom, convertTo, destroyStorage, pin, unpin } from './convert.ts';
import { cpuReset } from './cpu-reset.ts';
import { cpuSetState } from './cpu-state.ts';
import { createConfig } from './create-config.ts';
import { createCpu } from './create-cpu.ts';
import { destroyConfig, destroyConfigFast } from './destroy-config.ts';
import { destroyCpu } from './destroy-cpu.ts';
import { dumpComplete, dumpCpu, dumpInit, dumpStorageState } from './dump.ts';
import { GUEST_COMMANDS } from './guest-calls.ts';
import { pagesOf } from './host-storage.ts';
import { init } from './init.ts';
import { PAGE } from './limits.ts';
import { prepareReset } from './prepare-reset.ts';
import { query, queryKeys } from './query.ts';
import { setParameters } from './set-parameters.ts';
import { unpack } from './unpack.ts';
import { unshareAll } from './unshare-all.ts';
import { verify } from './verify.ts';

type Handler = (command: Command) => CommandResult;

/** Who serves which command of the host's. */
const HANDLERS: Partial<Readonly<Record<UvcName, Handler>>> = {
  QUERY: ({ block }) => query(block, 'host', OFFERED),
  QUERY_KEYS: ({ uv, block }) => queryKeys(uv, block),
  INIT: init,
  CREATE_CONFIG: createConfig,
  DESTROY_CONFIG: destroyConfig,
  DESTROY_CONFIG_FAST: destroyConfigFast,
  CREATE_CPU: createCpu,
  DESTROY_CPU: destroyCpu,
  CONVERT_TO: convertTo,
  CONVERT_FROM: convertFrom,
  DESTROY_STORAGE: destroyStorage,
  SET_PARAMETERS: setParameters,
  UNPACK: unpack,
  VERIFY: verify,
  CPU_RESET: cpuReset('cpu'),
  CPU_RESET_INITIAL: cpuReset('initial'),
  CPU_RESET_CLEAR: cpuReset('clear'),
  PREPARE_RESET: prepareReset,
  CPU_SET_STATE: cpuSetState,
  UNSHARE_ALL: unshareAll,
  PIN: pin,
  UNPIN: unpin,
  DUMP_INIT: dumpInit,
  DUMP_STORAGE_STATE: dumpStorageState,
  DUMP_CPU: dumpCpu,
  DUMP_COMPLETE: dumpComplete,
};

/** Commands that are served, the host's and guests', by number. */
export const OFFERED: ReadonlySet<number> = new Set(
  (Object.keys(UVC) as UvcName[])
    .filter((name) => HANDLERS[name] !== undefined || GUEST_COMMANDS.has(name))
    .map((name) => UVC[name].number),
);

/** Commands that need no initialized Ultravisor (1.3). */
const ALWAYS: ReadonlySet<UvcName> = new Set(['QUERY', 'QUERY_KEYS', 'INIT']);
/** Commands whose length is the least, not the only one (2.2). */
export const ANY_LENGTH: ReadonlySet<UvcName> = new Set(['QUERY', 'QUERY_KEYS']);

const BY_NUMBER: ReadonlyMap<number, UvcName> = new Map(
  (Object.keys(UVC) as UvcName[]).map((name) => [UVC[name].number, name]),
);

/** Name of a command, undefined if there is none of that number. */
export function commandName(number: number): UvcName | undefined {
  return BY_NUMBER.get(number);
}

/** Whether a control block is as long as its command wants it. */
export function isLength(name: UvcName, length: number): boolean {
  const { length: wanted }: UvCommand = UVC[name];
  return ANY_LENGTH.has(name) ? length >= wanted : length === wanted;
}

/**
 * UVC of the host's. Order (2.2): control block accessible, command known and the host's, state of the Ultravisor, length, then the command's own checks, of which the
 * handle is the first. The block is read once, and answered even where the command is refused.
 */
export function hostCall(uv: UvContext, host: HostCall): HostCallAnswer {
  const header = host.read('home', host.controlBlock, UVCB.HEADER_SIZE);
  if (header === null) return 'fault';
  const length = Math.max(UVCB.HEADER_SIZE, new ControlBlock(header).u16(UVCB.LENGTH));
  if (!host.reaches('home', host.controlBlock, length, 'store')) return 'fault';
  const bytes = host.read('home', host.controlBlock, length);
  if (bytes === null) return 'fault';
  const block = new ControlBlock(bytes);
  const pieces = piecesOf(host, length);
  const number = block.command;
  const name = commandName(number);
  uv.trace?.emit({
    type: 'call',
    at: uv.clock(),
    cpu: host.cpu,
    kind: 'ultracall',
    number,
    name: name ?? `0x${number.toString(16)}`,
    args: [host.controlBlock],
    from: 'hypervisor',
  });
  const result = serve(uv, host, name, block, pieces);
  const { rc, rrc } = typeof result === 'number' ? { rc: result, rrc: 0 } : result;
  uv.trace?.emit({ type: 'call-return', at: uv.clock(), cpu: host.cpu, kind: 'ultracall', number, result: BigInt(rc) });
  const answer = block.answered(rc, rrc);
  for (const { at, offset, size } of pieces) uv.view.write(at, answer.subarray(offset, offset + size));
  return rc === UV_RC.EXECUTED ? 0 : 1;
}

function serve(
  uv: UvContext,
  host: HostCall,
  name: UvcName | undefined,
  block: ControlBlock,
  pieces: readonly Piece[],
): CommandResult {
  const handler = name === undefined ? undefined : HANDLERS[name];
  if (name === undefined || handler === undefined) return UV_RC.INVALID_COMMAND;
  if (!uv.state.initialized && !ALWAYS.has(name)) return UV_RC.INVALID_STATE;
  // Real hardware takes a header without the length it needs; so `block` may be shorter than its fields.
  if (!isLength(name, block.length)) return UV_RC.INVALID_LENGTH;
  return handler({ uv, host, block, blockPages: new Set(pieces.flatMap(({ at, size }) => pagesOf(at, size))) });
}

/** A part of the control block that lies on one page. */
interface Piece {
  readonly at: RealAddress;
  readonly offset: number;
  readonly size: number;
}

/** Where the control block lies. The answer goes there even if the command takes tables away by which the host reaches it. */
function piecesOf(host: HostCall, length: number): Piece[] {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < length; ) {
    const address = BigInt.asUintN(64, host.controlBlock + BigInt(offset));
    const found = host.translate('home', address);
    if ('code' in found) throw new Error('a control block that was read leads nowhere');
    const size = Math.min(length - offset, PAGE - (found.absolute % PAGE));
    pieces.push({ at: found.absolute, offset, size });
    offset += size;
  }
  return pieces;
}
