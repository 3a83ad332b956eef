import { IIC, PGM, SD } from '../abi.ts';
import { expandPsw, isPswValid, type ServiceAnswer } from '../cpu/port.ts';
import { decodeIntercepted } from './intercepted.ts';
import { presentProgram } from './interrupts.ts';
import type { ExitJob, Job } from './job.ts';
import { type InterceptedCall, NormalCall, SecureCall } from './service-call.ts';
import { sigp } from './sigp.ts';
import { type Ctx, count } from './state.ts';
import { storeSystemInformation } from './stsi.ts';
import type { Vcpu } from './vm.ts';

const NONE: readonly Job[] = [];

/** Subcodes of DIAG 308 that reset the machine, and the one that makes it a protected one (5.3). */
const PROTECT = 10;
const RESETS: ReadonlySet<number> = new Set([0, 1, 3]);

const DIAGNOSE = { YIELD: 0x44, DIRECTED_YIELD: 0x9c, IPL: 0x308 } as const;

/**
 * An instruction that SIE left to the host: of a normal guest, of a protected one to be done, or, as a notification, already done by it (4.5).
 * @returns jobs to be run before the guest goes on
 */
export function interceptInstruction(ctx: Ctx, job: ExitJob, vcpu: Vcpu, notified: boolean): readonly Job[] {
  const { kvm } = ctx;
  const { sie, vm, secure } = vcpu;
  const text = decodeIntercepted(sie.u16(SD.IPA), sie.u32(SD.IPB));
  if (text === null)
    throw new Error(`SIE intercepted 0x${sie.u16(SD.IPA).toString(16)}, which it does not leave to KVM`);
  count(kvm.statistics.calls, text.name);
  const call = secure === null ? new NormalCall(vcpu, text, kvm.guests) : new SecureCall(vcpu, text, kvm.view);
  switch (text.name) {
    case 'sigp':
      return sigp(call);
    case 'diag':
      return diagnose(ctx, job, call);
    case 'spx':
      return setPrefix(ctx, call);
    case 'lpsw':
      return loadPsw(ctx, call, 8);
    case 'lpswe':
      return loadPsw(ctx, call, 16);
    case 'lctl':
    case 'lctlg':
      return loadControl(ctx, call);
    case 'stsi':
      return answer(ctx, call, storeSystemInformation(call, kvm.userSpace.get(vm.id)?.services.virtualMachine ?? null));
    case 'servc':
      if (notified) {
        // SERVC is complete: its interruption may come (4.9).
        vm.serviceMasked = false;
        return NONE;
      }
      return byUserSpace(ctx, call);
    case 'uvc':
      return uvcOfGuest(call);
    default:
      return byUserSpace(ctx, call);
  }
}

function byUserSpace(ctx: Ctx, call: InterceptedCall): readonly Job[] {
  const handler = ctx.kvm.userSpace.get(call.vcpu.vm.id)?.services.instructions.get(call.name);
  return answer(ctx, call, handler === undefined ? { program: PGM.OPERATION } : handler(call));
}

function diagnose(ctx: Ctx, job: ExitJob, call: InterceptedCall): readonly Job[] {
  const { vcpu } = call;
  const code = Number(call.address & 0xffffn);
  if (code === DIAGNOSE.YIELD || code === DIAGNOSE.DIRECTED_YIELD) {
    job.yields = true;
    return NONE;
  }
  const subcode = Number(call.gr(call.r3) & 0xffffn);
  const user = ctx.kvm.userSpace.get(vcpu.vm.id);
  if (code === DIAGNOSE.IPL && vcpu.secure !== null && RESETS.has(subcode)) {
    return [{ kind: 'secure-reset', vcpu, subcode, step: 'stop', index: -1 }];
  }
  const block = user?.protectedBlock ?? null;
  if (code === DIAGNOSE.IPL && vcpu.secure === null && subcode === PROTECT && block !== null && ctx.kvm.uv !== null) {
    return [{ kind: 'protect', vcpu, register: call.r1 | 1, block, step: 'enable', component: -1, command: null }];
  }
  const handler = user?.services.diagnose.get(code);
  return answer(ctx, call, handler === undefined ? { program: PGM.SPECIFICATION } : handler(call));
}

/** A protected guest's has been done, and the host's copy follows (4.6). */
function setPrefix(ctx: Ctx, call: InterceptedCall): readonly Job[] {
  const { vcpu } = call;
  if (vcpu.secure === null && (call.address & 3n) !== 0n) return program(ctx, call, PGM.SPECIFICATION);
  const bytes = call.read('operand', call.address, 4);
  if (bytes === null) return answer(ctx, call, 'fault');
  const prefix = new DataView(bytes.buffer).getUint32(0) & 0x7fffe000;
  if (prefix + 0x2000 > vcpu.vm.size) return vcpu.secure === null ? program(ctx, call, PGM.ADDRESSING) : NONE;
  vcpu.sie.setPrefix(prefix);
  return NONE;
}

/** LCTL and LCTLG of a normal guest, whose loads are intercepted while an interruption waits for them. */
function loadControl(ctx: Ctx, call: InterceptedCall): readonly Job[] {
  const bytes = call.name === 'lctl' ? 4 : 8;
  const count = ((call.r3 - call.r1) & 15) + 1;
  if ((call.address & BigInt(bytes - 1)) !== 0n) return program(ctx, call, PGM.SPECIFICATION);
  const values = call.read('operand', call.address, count * bytes);
  if (values === null) return answer(ctx, call, 'fault');
  const view = new DataView(values.buffer);
  for (let n = 0; n < count; n++) {
    const register = (call.r1 + n) & 15;
    const low = BigInt(view.getUint32(n * bytes + bytes - 4));
    const high = bytes === 8 ? BigInt(view.getUint32(n * 8)) : call.cr(register) >> 32n;
    call.setCr(register, (high << 32n) | low);
  }
  return NONE;
}

/** LPSW and LPSWE of a normal guest, intercepted while a machine check waits for them. An invalid PSW is loaded, and is the old one of the interruption. */
function loadPsw(ctx: Ctx, call: InterceptedCall, length: 8 | 16): readonly Job[] {
  if ((call.address & 7n) !== 0n) return program(ctx, call, PGM.SPECIFICATION);
  const bytes = call.read('operand', call.address, length);
  if (bytes === null) return answer(ctx, call, 'fault');
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const first = view.getBigUint64(0);
  const psw = length === 8 ? expandPsw(first) : { mask: first, address: view.getBigUint64(8) };
  if (psw === null) return program(ctx, call, PGM.SPECIFICATION);
  call.setPsw(psw.mask, psw.address);
  return isPswValid(psw) ? NONE : program(ctx, call, PGM.SPECIFICATION);
}

/** A guest gives a page back that the host has pinned: the host lets go, and the guest tries again (5.8). */
function uvcOfGuest(call: InterceptedCall): readonly Job[] {
  const { vcpu } = call;
  if (vcpu.secure === null) return NONE;
  const block = call.read('operand', 0n, 0x30);
  if (block === null) return NONE;
  const address = Number(new DataView(block.buffer).getBigUint64(0x20));
  return [{ kind: 'page', action: 'unpin', vm: vcpu.vm, address, step: 'start' }];
}

/** Gives the guest what a handler answered. */
function answer(ctx: Ctx, call: InterceptedCall, given: ServiceAnswer): readonly Job[] {
  if (typeof given === 'number') call.setCc(given);
  else if (given === 'fault') return program(ctx, call, call.refused);
  else if (typeof given === 'object') return program(ctx, call, given.program);
  return NONE;
}

/** A protected guest gets the two codes that can be injected (4.7); what else there is for it, its instruction just ends. */
function program({ kvm }: Ctx, call: InterceptedCall, code: number): readonly Job[] {
  const { vcpu } = call;
  const { sie } = vcpu;
  if (vcpu.secure === null) presentProgram(kvm.guests, vcpu, code, call.length, call.refusedAt);
  else if (code === PGM.SPECIFICATION) sie.setU16(SD.IIC, IIC.SPECIFICATION);
  else if (code === PGM.OPERAND) sie.setU16(SD.IIC, IIC.OPERAND);
  return NONE;
}
