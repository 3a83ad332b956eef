import { CPUFLAG, CR0, EXTERNAL, ICTL, IIC, LOWCORE, PGM, PSW, SD } from '../abi.ts';
import type { FloatingInterruption, FloatingInterruptions, InterruptionMasks } from '../cpu/port.ts';
import type { GuestStorage } from './guest-storage.ts';
import type { Vcpu } from './vm.ts';

/** What is to be presented to a CPU. */
export type Deliverable = FloatingInterruption | { readonly kind: 'restart' };

const NO_MASKS: InterruptionMasks = { machineCheck: 0, external: 0, io: 0 };

/** What a guest is open for, as its state description says: a protected one shows just these bits (4.2, 4.8). */
export function masksOf({ sie, inBetween, secure }: Vcpu): InterruptionMasks {
  if (secure !== null && (inBetween || sie.u8(SD.IIC + 1) !== IIC.NONE)) return NO_MASKS;
  const psw = sie.pswMask;
  const cr = (n: number): number => Number(sie.u64(SD.CR + 8 * n) & 0xffffffffn);
  return {
    machineCheck: (psw & PSW.MACHINE_CHECK) === 0n ? 0 : cr(14),
    external: (psw & PSW.EXTERNAL) === 0n ? 0 : cr(0),
    io: (psw & PSW.IO) === 0n ? 0 : (cr(6) >>> 24) & 0xff,
  };
}

/** Masks that leave out service signals with an SCCB while a protected guest's SERVC is not complete (4.9). */
function floatingMasks(vcpu: Vcpu): InterruptionMasks {
  const masks = masksOf(vcpu);
  const hidden = vcpu.secure !== null && vcpu.vm.serviceMasked;
  return hidden ? { ...masks, external: masks.external & ~Number(CR0.SERVICE_SIGNAL) } : masks;
}

/** Whether something would be presented to the CPU now. */
export function isDue(vcpu: Vcpu, floating: FloatingInterruptions): boolean {
  return vcpu.pending.restart || localExternal(vcpu) !== null || floating.due(floatingMasks(vcpu));
}

/** Takes off what is presented first: machine checks, external interruptions, restart, I/O. */
export function takeDue(vcpu: Vcpu, floating: FloatingInterruptions): Deliverable | null {
  if (vcpu.secure !== null && masksOf(vcpu) === NO_MASKS) return null;
  const masks = floatingMasks(vcpu);
  const check = floating.take({ ...NO_MASKS, machineCheck: masks.machineCheck });
  if (check !== null) return check;
  const local = localExternal(vcpu);
  if (local !== null) {
    local.take();
    return local.interruption;
  }
  const external = floating.take({ ...NO_MASKS, external: masks.external });
  if (external !== null) return external;
  if (vcpu.pending.restart) {
    vcpu.pending.restart = false;
    return { kind: 'restart' };
  }
  return floating.take({ ...NO_MASKS, io: masks.io });
}

/** Control registers whose load SIE is to leave to us, in `SD.LCTL`. */
const LCTL = { cr0: 0x8000, cr6: 0x0200, cr14: 0x0002 } as const;

/**
 * Asks SIE to end when the guest opens itself for what is pending and cannot be presented yet: where the PSW is closed by a flag (4.3), where a control
 * register is by having its load intercepted. Of a protected guest the latter is told without being asked for (4.4, code 0x64).
 */
export function setRequests(vcpu: Vcpu, floating: FloatingInterruptions): void {
  const { sie, pending } = vcpu;
  const hidden = vcpu.secure !== null && vcpu.vm.serviceMasked ? Number(CR0.SERVICE_SIGNAL) : 0;
  const external =
    pending.emergency.size > 0 ||
    pending.externalCall !== null ||
    floating.due({ ...NO_MASKS, external: ~hidden >>> 0 });
  const io = floating.due({ ...NO_MASKS, io: 0xff });
  const check = floating.due({ ...NO_MASKS, machineCheck: 0xffffffff });
  const isOpen = (bit: bigint): boolean => (sie.pswMask & bit) !== 0n;
  const flags =
    (pending.stop ? CPUFLAG.STOP_INT : 0) |
    (external && !isOpen(PSW.EXTERNAL) ? CPUFLAG.EXT_INT : 0) |
    (io && !isOpen(PSW.IO) ? CPUFLAG.IO_INT : 0);
  const rest = sie.u32(SD.CPUFLAGS) & ~(CPUFLAG.STOP_INT | CPUFLAG.IO_INT | CPUFLAG.EXT_INT);
  sie.setU32(SD.CPUFLAGS, rest | flags);
  const external0 = external && isOpen(PSW.EXTERNAL) ? LCTL.cr0 : 0;
  const io6 = io && isOpen(PSW.IO) ? LCTL.cr6 : 0;
  const check14 = check && isOpen(PSW.MACHINE_CHECK) ? LCTL.cr14 : 0;
  sie.setU16(SD.LCTL, external0 | io6 | check14);
  // No flag asks for the machine-check mask: the loads that may set it are.
  const other = sie.u32(SD.ICTL) & ~ICTL.LPSW;
  sie.setU32(SD.ICTL, check && !isOpen(PSW.MACHINE_CHECK) ? other | ICTL.LPSW : other);
}

interface Local {
  readonly interruption: Extract<FloatingInterruption, { kind: 'external' }>;
  take(): void;
}

function localExternal(vcpu: Vcpu): Local | null {
  const { external } = masksOf(vcpu);
  const { pending } = vcpu;
  const [source] = pending.emergency;
  if (source !== undefined && (external & Number(CR0.EMERGENCY_SIGNAL)) !== 0) {
    return {
      interruption: { kind: 'external', code: EXTERNAL.EMERGENCY_SIGNAL, cpuAddress: source },
      take: () => pending.emergency.delete(source),
    };
  }
  if (pending.externalCall !== null && (external & Number(CR0.EXTERNAL_CALL)) !== 0) {
    return {
      interruption: { kind: 'external', code: EXTERNAL.EXTERNAL_CALL, cpuAddress: pending.externalCall },
      take: () => {
        pending.externalCall = null;
      },
    };
  }
  return null;
}

/** Presents an interruption: a protected guest's through the injection fields (4.8), another one's by swapping PSWs in its prefix area. */
export function deliver(storage: GuestStorage, vcpu: Vcpu, interruption: Deliverable): void {
  if (vcpu.secure !== null) inject(vcpu, interruption);
  else present(storage, vcpu, interruption);
}

function inject({ sie, vm }: Vcpu, interruption: Deliverable): void {
  switch (interruption.kind) {
    case 'machine-check':
      sie.setU64(SD.MACHINE_CHECK_CODE, interruption.code);
      sie.setU64(SD.FAILING_STORAGE_ADDRESS, interruption.failingAddress);
      sie.setU32(SD.EXTERNAL_DAMAGE_CODE, interruption.damage);
      break;
    case 'external':
      sie.setU16(SD.EXTERNAL_CODE, interruption.code);
      sie.setU16(SD.EXTERNAL_CPU_ADDRESS, interruption.cpuAddress ?? 0);
      sie.setU32(SD.EXTERNAL_PARAMETER, interruption.parameter ?? 0);
      if (interruption.code === EXTERNAL.SERVICE_SIGNAL) vm.serviceMasked = true;
      break;
    case 'io':
      sie.setU16(SD.SUBCHANNEL_ID, interruption.subchannelId);
      sie.setU16(SD.SUBCHANNEL_NUMBER, interruption.subchannel);
      sie.setU32(SD.IO_PARAMETER, interruption.parameter);
      sie.setU32(SD.IO_WORD, interruption.word);
      break;
  }
  const code = { 'machine-check': IIC.MACHINE_CHECK, external: IIC.EXTERNAL, io: IIC.IO, restart: IIC.RESTART };
  sie.setU16(SD.IIC, code[interruption.kind]);
}

/** Old and new PSW by class. */
const PSWS = {
  'machine-check': [LOWCORE.MACHINE_CHECK_OLD, LOWCORE.MACHINE_CHECK_NEW],
  external: [LOWCORE.EXTERNAL_OLD, LOWCORE.EXTERNAL_NEW],
  io: [LOWCORE.IO_OLD, LOWCORE.IO_NEW],
  restart: [LOWCORE.RESTART_OLD, LOWCORE.RESTART_NEW],
} as const;

function present(storage: GuestStorage, vcpu: Vcpu, interruption: Deliverable): void {
  const { sie, vm } = vcpu;
  const lowcore = sie.prefix;
  const put = (offset: number, length: 2 | 4 | 8, value: number | bigint): void => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)));
    storage.write(vm, lowcore + offset, bytes.subarray(8 - length));
  };
  switch (interruption.kind) {
    case 'machine-check':
      saveRegisters(vcpu, put);
      put(LOWCORE.MACHINE_CHECK_CODE, 8, interruption.code);
      put(LOWCORE.FAILING_STORAGE_ADDRESS, 8, interruption.failingAddress);
      put(LOWCORE.EXTERNAL_DAMAGE_CODE, 4, interruption.damage);
      break;
    case 'external':
      put(LOWCORE.EXTERNAL_CODE, 2, interruption.code);
      if (interruption.cpuAddress !== undefined) put(LOWCORE.EXTERNAL_CPU_ADDRESS, 2, interruption.cpuAddress);
      if (interruption.parameter !== undefined) put(LOWCORE.EXTERNAL_PARAMETER, 4, interruption.parameter);
      break;
    case 'io':
      put(LOWCORE.SUBCHANNEL_ID, 2, interruption.subchannelId);
      put(LOWCORE.SUBCHANNEL_NUMBER, 2, interruption.subchannel);
      put(LOWCORE.IO_PARAMETER, 4, interruption.parameter);
      put(LOWCORE.IO_WORD, 4, interruption.word);
      break;
  }
  const [old, next] = PSWS[interruption.kind];
  swap(storage, vcpu, old, next);
}

/** Registers of a normal guest into its prefix area, as a machine check has it. */
function saveRegisters(
  { sie, gr, fpr, ar, fpc }: Vcpu,
  put: (offset: number, length: 4 | 8, value: number | bigint) => void,
): void {
  for (let n = 0; n < 16; n++) {
    put(LOWCORE.SAVE_FPR + 8 * n, 8, fpr[n] as bigint);
    put(LOWCORE.SAVE_GPR + 8 * n, 8, gr[n] as bigint);
    put(LOWCORE.SAVE_AR + 4 * n, 4, ar[n] as number);
    put(LOWCORE.SAVE_CR + 8 * n, 8, sie.u64(SD.CR + 8 * n));
  }
  put(LOWCORE.SAVE_FPC, 4, fpc);
  put(LOWCORE.SAVE_TOD_PROGRAMMABLE, 4, sie.u32(SD.TOD_PROGRAMMABLE));
  put(LOWCORE.SAVE_CPU_TIMER, 8, sie.u64(SD.CPU_TIMER));
  put(LOWCORE.SAVE_CLOCK_COMPARATOR, 8, sie.u64(SD.CLOCK_COMPARATOR) >> 8n);
}

/** Program interruptions that nullify: the guest tries the instruction again. */
const NULLIFYING: ReadonlySet<number> = new Set([
  PGM.SEGMENT_TRANSLATION,
  PGM.PAGE_TRANSLATION,
  PGM.ASCE_TYPE,
  PGM.REGION_FIRST,
  PGM.REGION_SECOND,
  PGM.REGION_THIRD,
]);

/**
 * A program interruption that KVM gives a normal guest for an instruction of this length, behind which the PSW is.
 * @param address that could not be translated
 */
export function presentProgram(storage: GuestStorage, vcpu: Vcpu, code: number, length: number, address = 0n): void {
  const { sie, vm } = vcpu;
  storage.write(vm, sie.prefix + LOWCORE.PROGRAM_ILC, Uint8Array.of(0, length, code >> 8, code & 0xff));
  if (NULLIFYING.has(code)) {
    const teid = new Uint8Array(8);
    new DataView(teid.buffer).setBigUint64(0, address & ~0xfffn);
    storage.write(vm, sie.prefix + LOWCORE.TRANSLATION_EXCEPTION_ID, teid);
    sie.setPsw(sie.pswMask, BigInt.asUintN(64, sie.pswAddress - BigInt(length)));
  }
  swap(storage, vcpu, LOWCORE.PROGRAM_OLD, LOWCORE.PROGRAM_NEW);
}

function swap(storage: GuestStorage, vcpu: Vcpu, old: number, next: number): void {
  const { sie, vm } = vcpu;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, sie.pswMask);
  view.setBigUint64(8, sie.pswAddress);
  storage.write(vm, sie.prefix + old, bytes);
  const psw = storage.read(vm, sie.prefix + next, 16);
  if (!(psw instanceof Uint8Array)) throw new Error('the prefix area is in guest storage');
  const loaded = new DataView(psw.buffer);
  sie.setPsw(loaded.getBigUint64(0), loaded.getBigUint64(8));
}
