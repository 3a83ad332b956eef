import { EC, ERRNO, ESR, EXIT_CODE, FSC, GUEST_CALL, HCR, IFLAG, ipaOfHpfar, PSTATE } from '../abi.ts';
import { vcpuWith } from './guest-calls.ts';
import { injectExternalAbort, injectUndefined } from './guest-inject.ts';
import type { HypVcpu, HypVm } from './hyp-vm.ts';
import { guestStateOf } from './ownership.ts';
import { leafAt } from './pgtable-walk.ts';
import type { CpuContextState, VcpuHypState } from './vcpu-state.ts';

/** The host's side of a vCPU: the same two structures, in its own pages. */
export interface HostSide {
  readonly context: CpuContextState;
  readonly state: VcpuHypState;
}

/** What the host may see of an exit, and how it may answer (arm64-pkvm.md 6.6). All else of a protected vCPU stays at EL2. */
interface Slot {
  /** Bits of ESR_EL2 that are shown. */
  readonly esr: bigint;
  readonly hpfar?: boolean;
  /** Bits of FAR_EL2. */
  readonly far?: bigint;
  /** PSTATE's mode bits are shown. */
  readonly mode?: boolean;
  /** Registers from x0 that are shown. */
  readonly registers?: (vcpu: HypVcpu) => number;
  /** x0 is shown, as the value that the instruction would store. */
  readonly stores?: (esr: bigint) => bigint | null;
  /** Flags that the host may set. */
  readonly flags: bigint;
  /** Takes the host's answer before the vCPU goes on. */
  readonly admit: (vcpu: HypVcpu, host: HostSide) => void;
}

const EC_BITS = 0x3fn << ESR.ecShift;
const HEAD = EC_BITS | ESR.IL;
/** Data aborts: status, WnR, S1PTW, CM; and what a device access tells, but never the register. */
const ABORT = HEAD | 0x1ffn;
const DEVICE = ABORT | ESR.ISV | (3n << ESR.sasShift) | ESR.SSE | ESR.SF;

const registerOf = (esr: bigint, shift: bigint): number => Number((esr >> shift) & 31n);
const sizeOf = (esr: bigint): bigint => 8n << ((esr >> ESR.sasShift) & 3n);

const nothing = (): void => {};

const step: Slot['admit'] = (vcpu, host) => {
  if ((host.state.get('flags') & IFLAG.incrementPc) !== 0n) vcpu.context.pc += 4n;
};

/** The host may make an abort an external one. */
const abortOnly =
  (fetch: boolean): Slot['admit'] =>
  ({ context, state }, host) => {
    if ((host.state.get('flags') & IFLAG.pendingException) !== 0n)
      injectExternalAbort(context, fetch, state.get('far'));
  };

/** The host completes a load from a device, or says that there is none. */
const device: Slot['admit'] = (vcpu, host) => {
  const { context, state } = vcpu;
  const flags = host.state.get('flags');
  if ((flags & IFLAG.pendingException) !== 0n) return injectExternalAbort(context, false, state.get('far'));
  if ((flags & IFLAG.incrementPc) === 0n) return;
  const esr = state.get('esr');
  context.pc += 4n;
  const register = registerOf(esr, ESR.srtShift);
  if ((esr & ESR.WnR) !== 0n || register === 31) return;
  const bits = Number(sizeOf(esr));
  const value = BigInt.asUintN(bits, host.context.x(0));
  const extended = (esr & ESR.SSE) !== 0n ? BigInt.asIntN(bits, value) : value;
  context.setX(register, BigInt.asUintN((esr & ESR.SF) !== 0n ? 64 : 32, extended));
};

const SYSTEM_RT = 5n;
const system: Slot['admit'] = (vcpu, host) => {
  const { context, state } = vcpu;
  const flags = host.state.get('flags');
  if ((flags & IFLAG.pendingException) !== 0n) return injectUndefined(context);
  if ((flags & IFLAG.incrementPc) === 0n) return;
  const esr = state.get('esr');
  const register = registerOf(esr, SYSTEM_RT);
  context.pc += 4n;
  if ((esr & 1n) !== 0n && register !== 31) context.setX(register, host.context.x(0));
};

/** Registers that a guest's call shows to the host, by function; none of those that are not here. */
const CALL_REGISTERS: ReadonlyMap<bigint, number> = new Map([
  [0x8400_0001n, 1],
  [0xc400_0001n, 1],
  [0x8400_0002n, 1],
  [0x8400_0003n, 2],
  [0xc400_0003n, 2],
  [0x8400_0008n, 1],
  [0x8400_0009n, 1],
  [0x8400_0012n, 3],
  [0xc400_0012n, 3],
  [GUEST_CALL.MMIO_GUARD_MAP, 3],
  [GUEST_CALL.MEM_RELINQUISH, 4],
]);

const call: Slot['admit'] = (vcpu, host) => {
  const { context } = vcpu;
  const id = context.x(0);
  const answer = host.context.x(0);
  // The guest makes the call again; and what became of its page the host cannot say.
  if (id === GUEST_CALL.MMIO_GUARD_MAP) return;
  if (id === GUEST_CALL.MEM_RELINQUISH) return context.setX(0, 0n);
  if (id !== 0x8400_0003n && id !== 0xc400_0003n) return context.setX(0, answer);
  // CPU_ON: a host that did not start the other one does not leave it pending.
  const target = vcpuWith(vcpu, context.x(1));
  const failed = answer !== 0n;
  if (failed && target?.power === 'on-pending') target.power = 'off';
  context.setX(0, failed ? BigInt.asUintN(64, -6n) : 0n);
};

const SLOTS = {
  interrupt: { esr: 0n, flags: 0n, admit: nothing },
  serror: { esr: HEAD, flags: 0n, admit: nothing },
  wait: { esr: HEAD | 3n, mode: true, flags: IFLAG.incrementPc, admit: step },
  system: {
    esr: HEAD | (0x1ffffffn & ~(31n << SYSTEM_RT)),
    mode: true,
    flags: IFLAG.pendingException | IFLAG.incrementPc,
    stores: (esr) => ((esr & 1n) === 0n ? 64n : null),
    admit: system,
  },
  fetch: { esr: ABORT, hpfar: true, flags: IFLAG.pendingException, admit: abortOnly(true) },
  memory: { esr: ABORT, hpfar: true, flags: IFLAG.pendingException, admit: abortOnly(false) },
  device: {
    esr: DEVICE,
    hpfar: true,
    far: 0xfffn,
    mode: true,
    flags: IFLAG.pendingException | IFLAG.incrementPc,
    stores: (esr) => ((esr & ESR.WnR) !== 0n ? sizeOf(esr) : null),
    admit: device,
  },
  call: {
    esr: HEAD | 0xffffn,
    flags: 0n,
    registers: ({ context }) => CALL_REGISTERS.get(context.x(0)) ?? 0,
    admit: call,
  },
  other: { esr: HEAD, flags: 0n, admit: nothing },
} as const satisfies Record<string, Slot>;

function slotOf(vcpu: HypVcpu): Slot {
  if (vcpu.exit === EXIT_CODE.irq) return SLOTS.interrupt;
  if (vcpu.exit === EXIT_CODE.serror) return SLOTS.serror;
  switch (Number(vcpu.state.get('esr') >> ESR.ecShift)) {
    case EC.wfx:
      return SLOTS.wait;
    case EC.sys64:
      return SLOTS.system;
    case EC.hvc64:
      return SLOTS.call;
    case EC.instructionAbortLower:
      return SLOTS.fetch;
    case EC.dataAbortLower:
      return vcpu.mmio ? SLOTS.device : SLOTS.memory;
    default:
      return SLOTS.other;
  }
}

/** An access that the host may complete: a translation fault of a single register's load or store, on a page that the guest said is a device's (7.5). */
export function isDeviceAccess(esr: bigint): boolean {
  const status = esr & 0x3cn;
  const described = (esr & ESR.ISV) !== 0n && (esr & ESR.S1PTW) === 0n;
  return Number(esr >> ESR.ecShift) === EC.dataAbortLower && described && status === BigInt(FSC.translation);
}

/** Whether the host may answer for what lies at an address: the guest has said so of the page, or it never asked for that to matter (5.4). */
export function isDevicePage({ mmioGuard, table }: HypVm, hpfar: bigint): boolean {
  if (!mmioGuard) return true;
  const found = leafAt(table, ipaOfHpfar(hpfar));
  return found !== ERRNO.ERANGE && guestStateOf(found.pte) === 'mmio';
}

/** Shows the host what its slot has; every other register of its copy is 0. */
export function expose(vcpu: HypVcpu, host: HostSide): void {
  const slot = slotOf(vcpu);
  const { context, state } = vcpu;
  const esr = state.get('esr');
  const shown = slot.registers?.(vcpu) ?? 0;
  for (let n = 0; n < 31; n++) host.context.setX(n, n < shown ? context.x(n) : 0n);
  const bits = slot.stores?.(esr) ?? null;
  if (bits !== null) {
    const register = registerOf(esr, slot === SLOTS.system ? SYSTEM_RT : ESR.srtShift);
    host.context.setX(0, register === 31 ? 0n : BigInt.asUintN(Number(bits), context.x(register)));
  }
  host.context.pc = 0n;
  host.context.pstate = slot.mode === true ? context.pstate & (PSTATE.EL | PSTATE.SP | PSTATE.nRW) : 0n;
  host.state.set('esr', esr & slot.esr);
  host.state.set('hpfar', slot.hpfar === true ? state.get('hpfar') : 0n);
  host.state.set('far', state.get('far') & (slot.far ?? 0n));
  host.state.set('flags', 0n);
  host.state.set('hcr', (host.state.get('hcr') & ~HCR.VSE) | (state.get('hcr') & HCR.VSE));
  showDeadline(context, host.context);
}

/** The host has to wake the vCPU up in time: it learns when the guest's virtual timer is due, if it is on, and no more of it. */
function showDeadline(context: CpuContextState, host: CpuContextState): void {
  const control = context.register('CNTV_CTL_EL0') & 7n;
  host.setRegister('CNTV_CTL_EL0', control);
  host.setRegister('CNTV_CVAL_EL0', (control & 1n) === 0n ? 0n : context.register('CNTV_CVAL_EL0'));
}

/** Takes what the host may say to the last exit, once. @returns what it said beside, which counts for nothing (`IFLAG`) */
export function admit(vcpu: HypVcpu, host: HostSide): bigint {
  if (vcpu.exit === null) return 0n;
  const slot = slotOf(vcpu);
  const ignored = host.state.get('flags') & (IFLAG.pendingException | IFLAG.incrementPc) & ~slot.flags;
  slot.admit(vcpu, host);
  vcpu.exit = null;
  return ignored;
}
