import { CONTEXT_REGISTERS, HCR, LIST_REGISTERS, SPSR_MODE } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { CpuContextState, VcpuHypState, VgicState } from './vcpu-state.ts';

/**
 * The world switch (arm64-pkvm.md 6.3, 6.7; seed 003): each function takes a context or a hyp state, never the vCPU around them. V registers change
 * hands at once and not when they are first used, so that none of a guest's is ever in the PE while the host runs.
 */

/** Takes what EL1 and EL0 have in the PE, and where EL2 was entered from, into a context. */
export function saveContext(port: RegisterPort, context: CpuContextState): void {
  for (let n = 0; n < 31; n++) context.setX(n, port.x(n));
  context.sp = port.sp(0);
  context.pc = port.register('ELR_EL2');
  context.pstate = port.register('SPSR_EL2');
  for (let n = 0; n < 32; n++) context.setV(n, ...port.v(n));
  context.fpControl = (port.fpcr() << 32n) | (port.fpsr() & 0xffffffffn);
  for (const name of CONTEXT_REGISTERS) context.setRegister(name, port.register(name));
}

/** Puts a context into the PE, for the ERET that follows. */
export function restoreContext(port: RegisterPort, context: CpuContextState): void {
  for (let n = 0; n < 31; n++) port.setX(n, context.x(n));
  port.setSp(0, context.sp);
  port.setRegister('ELR_EL2', context.pc);
  port.setRegister('SPSR_EL2', context.pstate);
  for (let n = 0; n < 32; n++) port.setV(n, ...context.v(n));
  port.setFpcr(context.fpControl >> 32n);
  port.setFpsr(context.fpControl & 0xffffffffn);
  for (const name of CONTEXT_REGISTERS) port.setRegister(name, context.register(name));
}

/**
 * Whether ERET with this PSTATE ends below EL2 in AArch64. One of EL2 would have its owner return there, and one that is no state would leave the PE at
 * EL2: neither is entered (10.3 #55).
 */
export function isGuestState(pstate: bigint): boolean {
  const mode = pstate & 0x1fn;
  return mode === SPSR_MODE.EL0t || mode === SPSR_MODE.EL1t || mode === SPSR_MODE.EL1h;
}

/** HCR_EL2 of every guest but for TWI and TWE, and what a protected guest's features add (6.7). */
const GUEST_HCR = 0x8_807d_663fn & ~(HCR.TWI | HCR.TWE);
const PROTECTED_HCR = HCR.TACR | HCR.TIDCP | HCR.TID3 | HCR.TID1 | HCR.TID2 | HCR.TERR | HCR.TEA | HCR.TLOR;
/** MDCR_EL2 of a protected guest: no debug, no PMU (TPMCR, TPM, TDA, TDOSA, TDRA). */
const PROTECTED_MDCR = (1n << 5n) | (1n << 6n) | (1n << 9n) | (1n << 10n) | (1n << 11n);
/** CNTHCTL_EL2: guests read the counter; the physical timer is the host's. */
const GUEST_CNTHCTL = 1n;

/** Trap configuration of a protected vCPU: nothing of it comes from the host but whether WFI and WFE trap. */
export function configureProtected(state: VcpuHypState): void {
  state.set('hcr', GUEST_HCR | PROTECTED_HCR | (state.get('hcr') & (HCR.TWI | HCR.TWE | HCR.VSE)));
  state.set('mdcr', PROTECTED_MDCR);
}

/** Of a plain one: as the host says, within what every guest must have. */
export function configurePlain(state: VcpuHypState): void {
  state.set('hcr', GUEST_HCR | (state.get('hcr') & (HCR.TWI | HCR.TWE | HCR.VSE)));
}

/** What identifies a guest to the MMU and to itself. */
export interface GuestIdentity {
  readonly root: number;
  readonly vmid: number;
  readonly vcpuId: number;
}

/** Activates a guest's stage 2 and traps. */
export function activateTraps(port: RegisterPort, state: VcpuHypState, { root, vmid, vcpuId }: GuestIdentity): void {
  const id = BigInt(vcpuId);
  port.setRegister('VTTBR_EL2', (BigInt(vmid) << 48n) | BigInt(root));
  port.setRegister(
    'VMPIDR_EL2',
    (1n << 31n) | (id & 0xfn) | (((id >> 4n) & 0xffn) << 8n) | (((id >> 12n) & 0xffn) << 16n),
  );
  port.setRegister('HCR_EL2', state.get('hcr'));
  port.setRegister('MDCR_EL2', state.get('mdcr'));
  port.setRegister('CNTHCTL_EL2', GUEST_CNTHCTL);
}

/** Turns a guest's virtual CPU interface on: list registers beyond those in use are empty. */
export function restoreVgic(port: RegisterPort, vgic: VgicState): void {
  const used = Number(vgic.get('usedLrs'));
  port.setRegister('ICH_VMCR_EL2', vgic.get('vmcr'));
  port.setRegister('ICH_AP0R0_EL2', vgic.get('ap0r'));
  port.setRegister('ICH_AP1R0_EL2', vgic.get('ap1r'));
  for (let n = 0; n < LIST_REGISTERS; n++) port.setRegister(`ICH_LR${n}_EL2`, n < used ? vgic.list(n) : 0n);
  port.setRegister('ICH_HCR_EL2', vgic.get('hcr'));
}

/** Takes what the guest left in it, and turns it off. */
export function saveVgic(port: RegisterPort, vgic: VgicState): void {
  const used = Number(vgic.get('usedLrs'));
  vgic.set('hcr', port.register('ICH_HCR_EL2'));
  vgic.set('vmcr', port.register('ICH_VMCR_EL2'));
  vgic.set('ap0r', port.register('ICH_AP0R0_EL2'));
  vgic.set('ap1r', port.register('ICH_AP1R0_EL2'));
  for (let n = 0; n < used; n++) vgic.setList(n, port.register(`ICH_LR${n}_EL2`));
  port.setRegister('ICH_HCR_EL2', 0n);
}

/** What the host may turn on of the virtual CPU interface: itself, and its maintenance interrupts; no traps (ICH_HCR_EL2). */
const HOST_ICH_HCR = 0xffn;
const ICH_ENABLE = 1n;

/**
 * Takes the host's list registers, as many as the CPU has. Masks and active priorities are the guest's own; of a guest that is not isolated the
 * host has them (6.5).
 */
export function takeVgic(vgic: VgicState, host: VgicState, isolated: boolean): void {
  const said = host.get('usedLrs');
  const used = said > BigInt(LIST_REGISTERS) ? LIST_REGISTERS : Number(said);
  vgic.set('usedLrs', BigInt(used));
  vgic.set('hcr', (host.get('hcr') & HOST_ICH_HCR) | ICH_ENABLE);
  for (let n = 0; n < used; n++) vgic.setList(n, host.list(n));
  if (!isolated) for (const field of ['vmcr', 'ap0r', 'ap1r'] as const) vgic.set(field, host.get(field));
}

/** Shows the host what became of its list registers. */
export function showVgic(host: VgicState, vgic: VgicState, isolated: boolean): void {
  const used = Number(vgic.get('usedLrs'));
  host.set('hcr', vgic.get('hcr'));
  for (let n = 0; n < used; n++) host.setList(n, vgic.list(n));
  if (!isolated) for (const field of ['vmcr', 'ap0r', 'ap1r'] as const) host.set(field, vgic.get(field));
}
