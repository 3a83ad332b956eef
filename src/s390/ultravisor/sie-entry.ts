import type { RealAddress } from '../../machine/types.ts';
import { ECB2, EXTERNAL, ICPT, IIC, PGM, PSW, PSW_CC_SHIFT, SD, VALIDITY } from '../abi.ts';
import type { StateDescription } from '../cpu/sie-description.ts';
import type { GuestInterruption, GuestPort, SieAnswer, SieRequest } from '../cpu/ultravisor-port.ts';
import type { UvContext } from './context.ts';
import { descriptionOf, readSida, show, sidaOf } from './description.ts';
import { INTERCEPTS, textOf } from './intercepts.ts';
import { PAGE } from './limits.ts';
import type { PendingInstruction } from './pending.ts';
import type { SecureCpuRecord } from './state.ts';

const CC = 3n;

/**
 * SIE with a format-4 state description: the checks before a secure CPU runs (4.12, E1 to E5). What is refused is a validity interception, and nothing else has changed;
 * a prefix page that is not the guest's is interception 0x70, and what is pending stays so.
 */
export function enterSie(uv: UvContext, request: SieRequest): SieAnswer {
  const { state } = uv;
  const address = request.stateDescription;
  const sd = rawDescription(uv, address);
  const cpu = state.cpus.get(sd.u64(SD.CPU_HANDLE));
  const config = state.configs.get(sd.u64(SD.CONFIG_HANDLE));
  if (cpu === undefined || config === undefined || cpu.config !== config) return refuse(sd, VALIDITY.HANDLE);
  if (cpu.description !== address) return refuse(sd, VALIDITY.HANDLE);
  const sida = sidaOf(uv, sd);
  if ((sd.u8(SD.ECB2) & ECB2.ESCA) === 0 || sd.u16(SD.CPU_ADDRESS) !== cpu.number || sida === null) {
    return refuse(sd, VALIDITY.DESCRIPTION);
  }
  if (request.asce !== config.asce) return refuse(sd, VALIDITY.ASCE);
  if (cpu.runsOn !== null) return refuse(sd, VALIDITY.RUNNING);
  if (config.state !== 'VERIFIED' || (cpu.state !== 'OPERATING' && cpu.state !== 'LOAD'))
    return refuse(sd, VALIDITY.STATE);
  const timer = sd.u64(SD.CPU_TIMER);
  if (!isTimerPossible(cpu, timer, request.tod)) return refuse(sd, VALIDITY.TIMER);

  const { guest } = cpu;
  guest.cpuTimer = timer;
  if (cpu.state === 'LOAD') {
    const psw = startPsw(uv, cpu);
    if (psw === null) return prefixNotSecure(uv, cpu, sd);
    guest.pswMask = psw.mask;
    guest.pswAddress = psw.address;
    cpu.loadFrom = null;
    cpu.state = 'OPERATING';
  }
  if (!isPrefixThere(cpu)) return prefixNotSecure(uv, cpu, sd);
  cpu.runsOn = request.cpu;
  cpu.sida = sida;
  return {
    configuration: config,
    state: guest,
    origin: config.origin,
    limit: config.length - 1n,
    epoch: sd.u64(SD.EPOCH),
    facilities: uv.facilities,
  };
}

function rawDescription(uv: UvContext, address: RealAddress): StateDescription {
  return descriptionOf(uv, { description: address } as SecureCpuRecord);
}

function refuse(sd: StateDescription, reason: number): 'leave' {
  sd.setU8(SD.ICPTCODE, ICPT.VALIDITY);
  sd.setU32(SD.IPB, reason << 16);
  return 'leave';
}

/** The host may let the CPU timer run on for as long as the CPU was out, and not more; it may not turn it back (E3). */
function isTimerPossible({ left }: SecureCpuRecord, timer: bigint, tod: bigint): boolean {
  const elapsed = BigInt.asUintN(64, tod - left.tod);
  const gone = BigInt.asIntN(64, left.timer - timer);
  return gone >= 0n && gone <= elapsed;
}

/** The PSW of a load: the header's after VERIFY, after a reset the short one at guest absolute 0 (1.5). @returns null if that page is not there */
function startPsw(uv: UvContext, cpu: SecureCpuRecord): { readonly mask: bigint; readonly address: bigint } | null {
  const { config, loadFrom } = cpu;
  if (loadFrom === 'header') {
    if (config.image === null) throw new Error('a verified configuration has an image');
    const { pswMask, pswAddress } = config.image.secrets;
    return { mask: pswMask, address: pswAddress };
  }
  const first = config.pages.get(0);
  if (first === undefined || !('at' in first) || first.at === null) return null;
  const short = uv.view.readU64(first.at);
  return { mask: (short & ~0x7fffffffn) ^ PSW.SHORT, address: short & 0x7fffffffn };
}

/** Whether both pages of the guest's prefix area are its own, shared or not (E5). */
function isPrefixThere({ guest, config }: SecureCpuRecord): boolean {
  return [guest.prefix, guest.prefix + PAGE].every((address) => {
    const page = config.pages.get(address);
    return page !== undefined && 'at' in page && page.at !== null;
  });
}

function prefixNotSecure(uv: UvContext, cpu: SecureCpuRecord, sd: StateDescription): 'leave' {
  show(uv, cpu, cpu.guest, { code: ICPT.SECURE_PREFIX });
  sd.setU32(SD.PREFIX, (sd.u32(SD.PREFIX) & ~0x7fffe000) | cpu.guest.prefix);
  return 'leave';
}

/** What becomes of an entry once the guest's registers are live. */
export type Entry = 'continue' | 'fault' | { readonly validity: number } | { readonly program: number };

/**
 * Completes what was pending and injects what the state description asks for (4.12, E6 to E8). A validity interception here leaves everything as it was before.
 */
export function resumeCpu(uv: UvContext, cpu: SecureCpuRecord, port: GuestPort): Entry {
  const sd = descriptionOf(uv, cpu);
  const code = sd.u16(SD.IIC) & 0xff;
  const { pending } = cpu;
  if (pending !== null) {
    if (!pending.notified && code >= IIC.MACHINE_CHECK && code <= IIC.RESTART) return { validity: VALIDITY.INJECTION };
    const program = programOf(code);
    if (program !== null) return endWithProgram(cpu, sd, pending, program);
    const completed = complete(uv, cpu, sd, port, pending);
    if (completed !== 'continue') return completed;
  } else if (programOf(code) !== null) return { validity: VALIDITY.INJECTION };
  if (code === IIC.NONE) return 'continue';
  return inject(cpu, sd, port, code);
}

/** Program interruptions that the host can ask for. */
function programOf(code: number): number | null {
  if (code === IIC.SPECIFICATION) return PGM.SPECIFICATION;
  return code === IIC.OPERAND ? PGM.OPERAND : null;
}

function endWithProgram(
  cpu: SecureCpuRecord,
  sd: StateDescription,
  pending: PendingInstruction,
  program: number,
): Entry {
  const row = INTERCEPTS[pending.name];
  if (row?.programs.has(program) !== true) return { validity: VALIDITY.INJECTION };
  cpu.pending = null;
  sd.setU16(SD.IIC, IIC.NONE);
  return { program };
}

/** Takes what may come back of the host's answer: listed registers, the operand, the condition code (4.7). */
function complete(
  uv: UvContext,
  cpu: SecureCpuRecord,
  sd: StateDescription,
  port: GuestPort,
  pending: PendingInstruction,
): Entry {
  const row = INTERCEPTS[pending.name];
  if (row === undefined) throw new Error(`nothing completes ${pending.name}`);
  const cc = Number((sd.u64(SD.PSW) >> PSW_CC_SHIFT) & CC);
  if (pending.operand !== null && pending.answer > 0 && row.answers(cc)) {
    const bytes = readSida(uv, cpu, pending.answer);
    if (!port.write(row.kind, pending.operand, bytes)) {
      // Another CPU of the guest's has changed its tables meanwhile: the instruction ends with the exception.
      if (!port.refusedByHost) cpu.pending = null;
      return 'fault';
    }
  }
  const text = textOf(pending.head);
  for (const [theirs, ours] of Object.entries(row.registers(text))) {
    const value = sd.u64(SD.SECURE_GR + 8 * Number(theirs));
    // SIGP and STSI change the low half only, the former if there is status.
    if (pending.name === 'sigp' || pending.name === 'stsi') {
      if (pending.name === 'sigp' && cc !== 1) continue;
      port.setGr(ours, (port.gr(ours) & 0xffffffff00000000n) | (value & 0xffffffffn));
    } else port.setGr(ours, value);
  }
  if (!pending.name.startsWith('diag')) port.setCc(cc);
  port.advance(pending.length);
  cpu.pending = null;
  if (pending.name === 'servc' && cc === 0) {
    cpu.servcDone = true;
    cpu.config.sccb = Number(pending.operand);
  }
  return 'continue';
}

/** An interruption of the host's choice: only one that the guest is open for (4.8). */
function inject(cpu: SecureCpuRecord, sd: StateDescription, port: GuestPort, code: number): Entry {
  const interruption = interruptionOf(cpu, sd, code);
  if (interruption === null || !port.enabledFor(interruption)) return { validity: VALIDITY.INJECTION };
  if (!port.interrupt(interruption)) return 'fault';
  sd.setU16(SD.IIC, IIC.NONE);
  if (interruption.kind === 'external' && interruption.code === EXTERNAL.SERVICE_SIGNAL) cpu.config.sccb = null;
  return 'continue';
}

/** Event bits of a service signal's parameter. */
const SERVICE_EVENTS = 0x3;

function interruptionOf(cpu: SecureCpuRecord, sd: StateDescription, code: number): GuestInterruption | null {
  switch (code) {
    case IIC.MACHINE_CHECK:
      return {
        kind: 'machine-check',
        code: sd.u64(SD.MACHINE_CHECK_CODE),
        failingAddress: sd.u64(SD.FAILING_STORAGE_ADDRESS),
        damage: sd.u32(SD.EXTERNAL_DAMAGE_CODE),
      };
    case IIC.EXTERNAL:
      return externalOf(cpu, sd);
    case IIC.IO:
      return {
        kind: 'io',
        subchannelId: sd.u16(SD.SUBCHANNEL_ID),
        subchannel: sd.u16(SD.SUBCHANNEL_NUMBER),
        parameter: sd.u32(SD.IO_PARAMETER),
        word: sd.u32(SD.IO_WORD),
      };
    case IIC.RESTART:
      return { kind: 'restart' };
    default:
      return null;
  }
}

/** External codes that the host may inject (4.8). */
const EXTERNAL_CODES: ReadonlySet<number> = new Set([
  EXTERNAL.CLOCK_COMPARATOR,
  EXTERNAL.CPU_TIMER,
  EXTERNAL.EMERGENCY_SIGNAL,
  EXTERNAL.EXTERNAL_CALL,
  EXTERNAL.SERVICE_SIGNAL,
]);

/** The parameter of a service signal is the guest's own SCCB, if one waits for it, and event bits: not what the host says (4.9, case 27). */
function externalOf({ config }: SecureCpuRecord, sd: StateDescription): GuestInterruption | null {
  const code = sd.u16(SD.EXTERNAL_CODE);
  if (!EXTERNAL_CODES.has(code)) return null;
  switch (code) {
    case EXTERNAL.SERVICE_SIGNAL: {
      const given = sd.u32(SD.EXTERNAL_PARAMETER);
      const answers = (given & ~SERVICE_EVENTS) !== 0;
      if (answers && config.sccb === null) return null;
      const parameter = ((answers ? (config.sccb ?? 0) : 0) | (given & SERVICE_EVENTS)) >>> 0;
      return { kind: 'external', code, parameter };
    }
    case EXTERNAL.EMERGENCY_SIGNAL:
    case EXTERNAL.EXTERNAL_CALL:
      return { kind: 'external', code, cpuAddress: sd.u16(SD.EXTERNAL_CPU_ADDRESS) };
    default:
      return { kind: 'external', code };
  }
}
