import { LPCR, SPR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { GuestContext, Vcpu, Vm } from './vm.ts';

/** LPCR of every guest: radix, its own `tlbie`, external interrupts straight to it, the large decrementer of its device tree. */
const GUEST_LPCR = LPCR.HDICE | LPCR.HVICE | LPCR.LPES | LPCR.HEIC | LPCR.GTSE | LPCR.LD | LPCR.HR | LPCR.UPRT;

/** LPCR while no guest is loaded. */
export const HOST_LPCR = LPCR.HDICE | LPCR.HVICE | LPCR.LPES | LPCR.HEIC | LPCR.LD | LPCR.HR | LPCR.UPRT;

/** Registers that stay in the CPU from an exit to the next entry, and change hands when another vCPU is loaded. */
export const SWITCHED_SPRS = [
  SPR.DSCR,
  SPR.DSISR,
  SPR.DAR,
  SPR.CFAR,
  SPR.AMR,
  SPR.PIDR,
  SPR.IAMR,
  SPR.FSCR,
  SPR.UAMOR,
  SPR.VRSAVE,
  SPR.SPRG0,
  SPR.SPRG1,
  SPR.SPRG2,
  SPR.SPRG3,
  SPR.EBBHR,
  SPR.EBBRR,
  SPR.BESCR,
  SPR.TAR,
  SPR.PPR,
  SPR.TIDR,
  SPR.PSPB,
  SPR.DPDES,
  SPR.MMCR0,
  SPR.MMCR1,
  SPR.MMCR2,
  SPR.MMCRA,
  SPR.PMC1,
  SPR.PMC2,
  SPR.PMC3,
  SPR.PMC4,
  SPR.PMC5,
  SPR.PMC6,
  SPR.SIER,
  SPR.SIAR,
  SPR.SDAR,
] as const;

/** A general register of the stopped guest. */
export function guestGpr(port: RegisterPort, context: GuestContext, n: number): bigint {
  return context.live ? port.gpr(n) : context.gpr[n];
}

/** Changes a general register of the stopped guest. */
export function setGuestGpr(port: RegisterPort, context: GuestContext, n: number, value: bigint): void {
  if (context.live) port.setGpr(n, value);
  else context.gpr[n] = value;
}

/** Changes the SRR0 and SRR1 that the stopped guest will find. */
export function setGuestSrr(port: RegisterPort, context: GuestContext, srr0: bigint, srr1: bigint): void {
  if (context.live) {
    port.setSpr(SPR.SRR0, srr0);
    port.setSpr(SPR.SRR1, srr1);
  } else {
    context.srr0 = srr0;
    context.srr1 = srr1;
  }
}

/** Takes what an ultracall of ours changes, or another vCPU needs, out of the CPU. */
export function saveContext(port: RegisterPort, context: GuestContext): void {
  if (!context.live) return;
  for (let n = 0; n < 32; n++) context.gpr[n] = port.gpr(n);
  context.cr = port.cr();
  context.lr = port.spr(SPR.LR);
  context.ctr = port.spr(SPR.CTR);
  context.xer = port.spr(SPR.XER);
  context.srr0 = port.spr(SPR.SRR0);
  context.srr1 = port.spr(SPR.SRR1);
  context.live = false;
}

/** The inverse of `saveContext`. */
export function restoreContext(port: RegisterPort, context: GuestContext): void {
  if (context.live) return;
  for (let n = 0; n < 32; n++) port.setGpr(n, context.gpr[n]);
  port.setCr(context.cr);
  port.setSpr(SPR.LR, context.lr);
  port.setSpr(SPR.CTR, context.ctr);
  port.setSpr(SPR.XER, context.xer);
  port.setSpr(SPR.SRR0, context.srr0);
  port.setSpr(SPR.SRR1, context.srr1);
  context.live = true;
}

/** LPCR while a vCPU of this VM is loaded. */
export function guestLpcr(vm: Vm): bigint {
  return GUEST_LPCR | vm.lpcr;
}

/** Takes a vCPU off the CPU. */
export function unloadVcpu(port: RegisterPort, vcpu: Vcpu): void {
  saveContext(port, vcpu.context);
  vcpu.decrementerExpires = port.spr(SPR.TB) + BigInt.asIntN(64, port.spr(SPR.DEC));
  for (const n of SWITCHED_SPRS) vcpu.spr.set(n, port.spr(n));
  for (let n = 0; n < 32; n++) vcpu.fpr[n] = port.fpr(n);
  vcpu.fpscr = port.fpscr();
}

/** Puts a vCPU on the CPU, except for what `restoreContext` does. */
export function loadVcpu(port: RegisterPort, vm: Vm, vcpu: Vcpu): void {
  port.setSpr(SPR.LPIDR, BigInt(vm.lpid));
  port.setSpr(SPR.LPCR, guestLpcr(vm));
  port.setSpr(SPR.DEC, BigInt.asUintN(64, vcpu.decrementerExpires - port.spr(SPR.TB)));
  for (const n of SWITCHED_SPRS) port.setSpr(n, vcpu.spr.get(n) ?? 0n);
  for (let n = 0; n < 32; n++) port.setFpr(n, vcpu.fpr[n]);
  port.setFpscr(vcpu.fpscr);
}
