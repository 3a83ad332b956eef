import { ICPT, PGM, SD, SIGP, SIGP_STATUS } from '../abi.ts';
import type { GuestAnswer, GuestEvent, GuestPort } from '../cpu/ultravisor-port.ts';
import { isLength, OFFERED } from './calls.ts';
import type { UvContext } from './context.ts';
import { descriptionOf, type Shown, show } from './description.ts';
import { guestCall, PINNED_TEXT } from './guest-calls.ts';
import { DIAGNOSE, INTERCEPTS, IPL_SUBCODE, operandAddress, SIGP_STARTS, textOf } from './intercepts.ts';
import { PAGE } from './limits.ts';
import type { SecureCpuRecord } from './state.ts';
import { setConfigState } from './trace.ts';

type Instruction = Extract<GuestEvent, { kind: 'instruction' }>;

const SPECIFICATION = { program: PGM.SPECIFICATION } as const;

/** What a secure guest did that SIE does not interpret (4.3 to 4.6). */
export function guestEvent(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, event: GuestEvent): GuestAnswer {
  switch (event.kind) {
    case 'instruction':
      return instruction(uv, cpu, port, event);
    case 'mask':
      return leave(uv, cpu, port, { code: event.psw ? ICPT.MACHINE_CHECK_MASK : ICPT.INTERRUPT_ENABLE });
    case 'wait':
      return leave(uv, cpu, port, { code: ICPT.WAIT });
    case 'request':
      return leave(uv, cpu, port, {
        code: { stop: ICPT.STOP, external: ICPT.EXTERNAL_REQUEST, io: ICPT.IO_REQUEST }[event.request],
      });
    case 'program-loop':
      return leave(uv, cpu, port, { code: ICPT.PROGRAM });
    case 'external-loop':
      descriptionOf(uv, cpu).setU16(SD.EXTERNAL_CODE, event.code);
      return leave(uv, cpu, port, { code: ICPT.EXTERNAL });
  }
}

/** The host sees this much and goes on behind SIE. */
export function leave(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, shown: Shown): 'leave' {
  leaveCpu(uv, cpu, port);
  show(
    uv,
    cpu,
    {
      ...cpu.guest,
      pswMask: port.pswMask,
      pswAddress: port.pswAddress,
      cr: Array.from({ length: 16 }, (_, n) => port.cr(n)),
      cpuTimer: port.cpuTimer(),
      clockComparator: port.clockComparator(),
    },
    shown,
  );
  return 'leave';
}

/** The CPU is out of SIE: its timer may go on from here (4.12, X4). */
export function leaveCpu(_uv: UvContext, cpu: SecureCpuRecord, port: GuestPort): void {
  cpu.runsOn = null;
  cpu.left = { timer: port.cpuTimer(), tod: port.tod };
}

function instruction(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, event: Instruction): GuestAnswer {
  switch (event.name) {
    case 'uvc':
      return uvc(uv, cpu, port, event);
    case 'diag':
      return diagnose(uv, cpu, port, event);
    case 'spx':
      return setPrefix(uv, cpu, port, event);
    case 'sigp':
      return signal(uv, cpu, port, event);
    case 'sck':
      // The clock of a protected guest is not its to set.
      port.setCc(1);
      port.advance(event.length);
      return 'continue';
    default:
      return hand(uv, cpu, port, event, event.name, ICPT.SECURE_INSTRUCTION);
  }
}

/** The host is to do it: it sees the row's part of the guest, and the guest stays in between (4.5). */
function hand(
  uv: UvContext,
  cpu: SecureCpuRecord,
  port: GuestPort,
  { head, length }: Instruction,
  name: string,
  code: number,
): GuestAnswer {
  const row = INTERCEPTS[name];
  if (row === undefined) return { program: PGM.OPERATION };
  const presented = row.present(port, textOf(head));
  if (presented === 'fault' || 'program' in presented) return presented;
  const { operand, answer, ipa, ipb, gr, sida } = presented;
  cpu.pending = { name, length, head, operand, answer, notified: code === ICPT.SECURE_NOTIFICATION };
  return leave(uv, cpu, port, { code, ipa, ipb, gr, ...(sida && { sida }) });
}

function uvc(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, { head, length }: Instruction): GuestAnswer {
  const address = port.gr(head & 15);
  const result = guestCall(uv, port, cpu.config, address, { isLength, offered: OFFERED });
  if (result === 'fault') return 'fault';
  // The PSW stays at the instruction: it is tried again.
  if ('pinned' in result) return leave(uv, cpu, port, { ...PINNED_TEXT, sida: result.pinned });
  port.setCc(result.cc);
  port.advance(length);
  return 'continue';
}

const YIELD_TEXT = { ipa: 0x8302, ipb: 0x50000000 } as const;
const RESETS: ReadonlySet<number> = new Set([0, 1]);
const LOAD_CLEAR = 3;

/** DIAGNOSE by function code (4.6, 5.3). */
function diagnose(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, event: Instruction): GuestAnswer {
  const { head, length } = event;
  const { r1, r3 } = textOf(head);
  const code = Number(operandAddress(port, head) & 0xffffn);
  const notify = (gr: Readonly<Record<number, bigint>>): GuestAnswer => {
    port.advance(length);
    return leave(uv, cpu, port, { code: ICPT.SECURE_NOTIFICATION, ...YIELD_TEXT, gr });
  };
  switch (code) {
    case DIAGNOSE.YIELD:
      return notify({ 5: BigInt(code) });
    case DIAGNOSE.DIRECTED_YIELD:
      return notify({ 0: port.gr(r1), 5: BigInt(code) });
    case DIAGNOSE.WATCHDOG:
    case DIAGNOSE.VIRTIO:
      return hand(uv, cpu, port, event, `diag 0x${code.toString(16)}`, ICPT.SECURE_INSTRUCTION);
    case DIAGNOSE.IPL: {
      const subcode = port.gr(r3);
      if (subcode === BigInt(IPL_SUBCODE.SET) || subcode === BigInt(IPL_SUBCODE.STORE)) {
        return hand(uv, cpu, port, event, `diag 0x308/${subcode}`, ICPT.SECURE_INSTRUCTION);
      }
      if (!RESETS.has(Number(subcode)) && subcode !== BigInt(LOAD_CLEAR)) return SPECIFICATION;
      // From here on nothing of this guest runs before the host has gone through the chain of resets.
      setConfigState(uv, cpu.config, 'RESET-PENDING');
      return notify({ 0: 0n, 1: 0n, 2: subcode, 5: BigInt(code) });
    }
    default:
      return SPECIFICATION;
  }
}

/** SET PREFIX is done here, and the host's copy follows (4.6). */
function setPrefix(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, { head, length }: Instruction): GuestAnswer {
  const address = operandAddress(port, head);
  if ((address & 3n) !== 0n) return SPECIFICATION;
  const bytes = port.read('operand', address, 4);
  if (bytes === null) return 'fault';
  const prefix = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) & 0x7fffe000;
  if (BigInt(prefix + 2 * PAGE) > cpu.config.length) return { program: PGM.ADDRESSING };
  port.setPrefix(prefix);
  port.advance(length);
  const sida = new Uint8Array(4);
  new DataView(sida.buffer).setUint32(0, prefix);
  return leave(uv, cpu, port, { code: ICPT.SECURE_NOTIFICATION, ipa: 0xb210, ipb: 0, sida });
}

/** SIGP: the Ultravisor knows which CPUs their guest has started; orders that are about registers it does itself, the others are KVM's (4.10). */
function signal(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort, event: Instruction): GuestAnswer {
  const { head, length } = event;
  const { r1, r3 } = textOf(head);
  const order = Number(operandAddress(port, head) & 0xffn);
  const target = cpu.config.cpus.get(Number(port.gr(r3) & 0xffffn));
  const end = (status: number): GuestAnswer => {
    if (status !== 0) port.setGr(r1, (port.gr(r1) & 0xffffffff00000000n) | BigInt(status));
    port.setCc(status === 0 ? 0 : 1);
    port.advance(length);
    return 'continue';
  };
  if (target !== undefined && SIGP_STARTS.has(order)) target.startable = true;
  if (order === SIGP.SET_ARCHITECTURE) return end(SIGP_STATUS.INVALID_PARAMETER);
  if (order === SIGP.SET_PREFIX && target !== undefined) {
    const prefix = Number(port.gr(r1 | 1) & 0x7fffe000n);
    if (BigInt(prefix + 2 * PAGE) > cpu.config.length) return end(SIGP_STATUS.INVALID_PARAMETER);
    if (target === cpu || target.state !== 'STOPPED') return end(SIGP_STATUS.INCORRECT_STATE);
    target.guest.prefix = prefix;
    return end(0);
  }
  return hand(uv, cpu, port, event, 'sigp', ICPT.SECURE_NOTIFICATION);
}
