import { LPCR, SPR } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import { SAVED_SPRS } from './neutral-registers.ts';

const GPRS = 32;
export const FPRS = 32;

/** The state that an interrupt took the CPU from. */
export interface Interrupted {
  /** Address of the next instruction to execute there. */
  readonly nia: bigint;
  /** Its MSR, without interrupt status. */
  readonly msr: bigint;
  /** SRR1 or HSRR1 as the interrupt left it: the MSR with interrupt status. */
  readonly image: bigint;
}

/** The registers of a vCPU while the hypervisor has its CPU. */
export interface Frame {
  nia: bigint;
  /** Without interrupt status. */
  msr: bigint;
  /** (H)SRR1 of the interrupt that ended its run. */
  readonly image: bigint;
  readonly gprs: bigint[];
  readonly fprs: BigUint64Array;
  readonly fpscr: bigint;
  cr: number;
  /** In the order of `SAVED_SPRS`. */
  readonly sprs: bigint[];
  /** Time base at which the decrementer passes below zero. */
  readonly decrementerExpiry: bigint;
}

/** Takes the registers of the vCPU that the CPU has just been interrupted in. */
export function saveFrame(port: RegisterPort, { nia, msr, image }: Interrupted): Frame {
  const gprs: bigint[] = [];
  for (let n = 0; n < GPRS; n++) gprs.push(port.gpr(n));
  const sprs: bigint[] = [];
  for (const spr of SAVED_SPRS) sprs.push(port.spr(spr));
  return {
    nia,
    msr,
    image,
    gprs,
    fprs: port.fprs(),
    fpscr: port.fpscr(),
    cr: port.cr(),
    sprs,
    decrementerExpiry: readDecrementer(port) + port.spr(SPR.TB),
  };
}

/** Registers of a vCPU that has never run: all zero, decrementer far from expiry. */
export function blankFrame(port: RegisterPort, nia: bigint, msr: bigint, decrementer: bigint): Frame {
  return {
    nia,
    msr,
    image: msr,
    gprs: new Array(GPRS).fill(0n),
    fprs: new BigUint64Array(FPRS),
    fpscr: 0n,
    cr: 0,
    sprs: new Array(SAVED_SPRS.length).fill(0n),
    decrementerExpiry: decrementer + port.spr(SPR.TB),
  };
}

/** Sets a saved register in a frame. @throws Error if frames do not hold it */
export function setFrameSpr(frame: Frame, spr: number, value: bigint): void {
  frame.sprs[frameIndex(spr)] = value;
}

/** A saved register in a frame. @throws Error if frames do not hold it */
export function frameSpr(frame: Frame, spr: number): bigint {
  return frame.sprs[frameIndex(spr)];
}

/** Puts all registers of a vCPU back; not its address and MSR, with which `urfid` will go there. */
export function restoreFrame(port: RegisterPort, frame: Frame): void {
  for (let n = 0; n < GPRS; n++) port.setGpr(n, frame.gprs[n]);
  port.setFprs(frame.fprs);
  port.setFpscr(frame.fpscr);
  port.setCr(frame.cr);
  for (let i = 0; i < SAVED_SPRS.length; i++) port.setSpr(SAVED_SPRS[i], frame.sprs[i]);
  port.setSpr(SPR.DEC, decrementerValue(port, frame.decrementerExpiry - port.spr(SPR.TB)));
}

/** What the vCPU's decrementer stands at now, as the register holds it. */
export function frameDecrementer(port: RegisterPort, frame: Frame): bigint {
  return decrementerValue(port, frame.decrementerExpiry - port.spr(SPR.TB));
}

/** The signed decrementer: 32 bits, or all with LPCR[LD]. */
function readDecrementer(port: RegisterPort): bigint {
  return BigInt.asIntN(isLarge(port) ? 64 : 32, port.spr(SPR.DEC));
}

/** A small decrementer that expired long ago stays expired, instead of coming round to positive. */
function decrementerValue(port: RegisterPort, left: bigint): bigint {
  if (isLarge(port)) return BigInt.asUintN(64, left);
  const least = -0x80000000n;
  return BigInt.asUintN(32, left < least ? least : left);
}

function isLarge(port: RegisterPort): boolean {
  return (port.spr(SPR.LPCR) & LPCR.LD) !== 0n;
}

function frameIndex(spr: number): number {
  const index = SAVED_SPRS.indexOf(spr);
  if (index < 0) throw new Error(`SPR ${spr} is not part of a frame`);
  return index;
}
