import type { MmioSize } from '../../devices/mmio.ts';
import { ARM_PAGE_SIZE, EC, ESR, EXIT_CODE, FSC, IFLAG, ipaOfHpfar, PSTATE } from '../abi.ts';
import { guestCall } from './guest-calls.ts';
import { takeHostInterrupt } from './host-gic.ts';
import type { Job } from './job.ts';
import { topUp } from './map-page.ts';
import { type Ctx, count } from './state.ts';
import { accessRegister } from './sys-regs.ts';
import { notifyVcpus } from './vgic.ts';
import { endVm, type Vcpu } from './vm.ts';

/** How often the same page may be missing before the guest is given up. */
const MOST_FAULTS = 6;

/** What comes of an exit: another job first, a call of firmware for the guest, or nothing. */
export type ExitResult = Job | 'firmware' | null;

/** The instruction that left the guest is done. */
const advance = ({ struct }: Vcpu): void => struct.setState('flags', IFLAG.incrementPc);

const registerOf = (esr: bigint, shift: bigint): number => Number((esr >> shift) & 31n);

/** What the instruction stores: of an isolated guest it stands in x0, and the register's number is hidden (arm64-pkvm.md 6.6). */
function stored({ vm, struct }: Vcpu, register: number): bigint {
  if (vm.isolated) return struct.x(0);
  return register === 31 ? 0n : struct.x(register);
}

/** Gives the instruction what it loads: where it goes, and how it is extended, is the hyp's to know of an isolated guest. */
function load({ vm, struct }: Vcpu, register: number, value: bigint): void {
  if (vm.isolated) struct.setX(0, value);
  else if (register !== 31) struct.setX(register, value);
}

/** An exception that the guest takes instead: the hyp makes it, of an isolated guest with a syndrome of its own. */
function raise({ vm, struct }: Vcpu, esr: bigint, far: bigint | null): void {
  struct.setState('flags', IFLAG.pendingException);
  if (vm.isolated) return;
  struct.setRegister('ESR_EL1', esr);
  if (far !== null) struct.setRegister('FAR_EL1', far);
}

export function raiseUndefined(vcpu: Vcpu): void {
  raise(vcpu, ESR.IL, null);
}

function raiseExternalAbort(vcpu: Vcpu, fetch: boolean): void {
  const user = (vcpu.struct.pstate & PSTATE.EL) === 0n;
  const lower = fetch ? EC.instructionAbortLower : EC.dataAbortLower;
  const esr = (BigInt(user ? lower : lower + 1) << ESR.ecShift) | ESR.IL | BigInt(FSC.externalAbort);
  raise(vcpu, esr, vcpu.struct.state('far'));
}

function wait({ cpu }: Ctx, vcpu: Vcpu, esr: bigint): void {
  // WFE: the other vCPUs' turn; WFI: until there is an interrupt.
  if ((esr & 1n) === 0n) vcpu.state = 'blocked';
  else cpu.sliceEnd = 0n;
  advance(vcpu);
}

const SYSTEM_RT = 5n;

function systemRegister(ctx: Ctx, vcpu: Vcpu, esr: bigint): void {
  const register = registerOf(esr, SYSTEM_RT);
  const read = (esr & 1n) !== 0n;
  const value = accessRegister(ctx, vcpu, Number(esr & 0x1ff_ffffn), read ? null : stored(vcpu, register));
  if (value === undefined) return raiseUndefined(vcpu);
  if (read) load(vcpu, register, value);
  advance(vcpu);
}

function hypervisorCall(ctx: Ctx, vcpu: Vcpu): ExitResult {
  topUp(ctx, vcpu);
  const answer = guestCall(ctx, vcpu);
  if (answer === 'firmware') return 'firmware';
  if (answer !== 'none') for (const [n, value] of answer.entries()) vcpu.struct.setX(n, BigInt.asUintN(64, value));
  return null;
}

/** Loads and stores of devices (arm64-pkvm.md 7.4). @returns whether some device answered */
function device(ctx: Ctx, vcpu: Vcpu, esr: bigint, address: number): boolean {
  const { userSpace, vcpus } = vcpu.vm;
  const size = (1 << Number((esr >> ESR.sasShift) & 3n)) as MmioSize;
  const register = registerOf(esr, ESR.srtShift);
  if ((esr & ESR.WnR) !== 0n) {
    const written = userSpace.write(address, size, BigInt.asUintN(8 * size, stored(vcpu, register)));
    if (written) notifyVcpus(ctx, vcpus);
    return written;
  }
  const value = userSpace.read(address, size);
  if (value === null) return false;
  const extended = (esr & ESR.SSE) !== 0n ? BigInt.asIntN(8 * size, value) : value;
  load(vcpu, register, vcpu.vm.isolated ? value : BigInt.asUintN((esr & ESR.SF) !== 0n ? 64 : 32, extended));
  return true;
}

function abort(ctx: Ctx, vcpu: Vcpu, esr: bigint, fetch: boolean): ExitResult {
  const { vm, struct } = vcpu;
  const ipa = ipaOfHpfar(struct.state('hpfar'));
  const frame = (ipa - vm.base) / ARM_PAGE_SIZE;
  if (frame >= 0 && frame < vm.frames.length) return missing(ctx, vcpu, frame);
  if (!fetch && (esr & ESR.CM) !== 0n) advance(vcpu);
  else if (fetch || (esr & ESR.ISV) === 0n || (esr & ESR.S1PTW) !== 0n) raiseExternalAbort(vcpu, fetch);
  else if (device(ctx, vcpu, esr, ipa + Number(struct.state('far') & 0xfffn))) advance(vcpu);
  else raiseExternalAbort(vcpu, fetch);
  return null;
}

/** A page of memory that the guest's stage 2 does not have. */
function missing(ctx: Ctx, vcpu: Vcpu, gfn: number): ExitResult {
  const again = vcpu.fault.gfn === gfn;
  vcpu.fault = { gfn, count: again ? vcpu.fault.count + 1 : 1 };
  if (vcpu.fault.count > MOST_FAULTS) {
    endVm(vcpu.vm, {
      kind: 'terminated',
      detail: `the hypervisor gives it up: frame 0x${gfn.toString(16)} stays missing`,
    });
    return null;
  }
  count(ctx.kvm.statistics.exits, 'memory fault');
  return { kind: 'map', vcpu, gfn, step: 'start' };
}

const REASONS: ReadonlyMap<number, string> = new Map([
  [EC.wfx, 'WFx'],
  [EC.hvc64, 'HVC64'],
  [EC.smc64, 'SMC64'],
  [EC.sys64, 'SYS64'],
  [EC.instructionAbortLower, 'IABT_LOW'],
  [EC.dataAbortLower, 'DABT_LOW'],
  [EC.fpAccess, 'FP_ASIMD'],
]);

/** The name of an exit, for report and trace. */
export function exitReason(code: number, esr: bigint): string {
  if (code === EXIT_CODE.irq) return 'IRQ';
  if (code === EXIT_CODE.serror) return 'EL1_SERROR';
  if (code === EXIT_CODE.illegal) return 'IL';
  const ec = Number(esr >> ESR.ecShift);
  return REASONS.get(ec) ?? `EC 0x${ec.toString(16)}`;
}

/** Does what an exit asks for (arm64-pkvm.md 6.4, 6.6). @param code what `__kvm_vcpu_run` said */
export function handleExit(ctx: Ctx, vcpu: Vcpu, code: number): ExitResult {
  if (code === EXIT_CODE.irq) {
    takeHostInterrupt(ctx.port);
    return null;
  }
  if (code === EXIT_CODE.serror) return null;
  if (code !== EXIT_CODE.trap) {
    const detail = code === EXIT_CODE.illegal ? 'it returned to a state that a guest cannot have' : `run: ${code}`;
    endVm(vcpu.vm, { kind: 'crashed', detail });
    return null;
  }
  const esr = vcpu.struct.state('esr');
  switch (Number(esr >> ESR.ecShift)) {
    case EC.wfx:
      wait(ctx, vcpu, esr);
      return null;
    case EC.hvc64:
      return hypervisorCall(ctx, vcpu);
    case EC.sys64:
      systemRegister(ctx, vcpu, esr);
      return null;
    case EC.instructionAbortLower:
      return abort(ctx, vcpu, esr, true);
    case EC.dataAbortLower:
      return abort(ctx, vcpu, esr, false);
    case EC.smc64:
    case EC.fpAccess:
      raiseUndefined(vcpu);
      return null;
    default:
      endVm(vcpu.vm, { kind: 'crashed', detail: `exception class 0x${(esr >> ESR.ecShift).toString(16)}` });
      return null;
  }
}
