import { LPCR, SPR } from '../../src/powerpc/abi.ts';
import type { RegisterPort } from '../../src/powerpc/cpu/port.ts';

/** The registers of a Power CPU without the CPU, at the highest privilege. Time base and DEC run with `clock`. */
export class FakePowerPort implements RegisterPort {
  readonly cpu: number;
  readonly stubPage: bigint = 0n;
  clock = 0n;
  currentMsr = 0n;
  readonly gprs = new Array<bigint>(32).fill(0n);
  readonly fprValues = new Array<bigint>(32).fill(0n);
  readonly sprs = new Map<number, bigint>();
  crBits = 0;
  /** The partitions whose translations were forgotten, in order. */
  readonly invalidated: (number | undefined)[] = [];
  /** CPUs whose doorbells were rung, in order. */
  readonly doorbells: number[] = [];
  fpscrBits = 0n;
  doorbellsCleared = 0;
  #decZero = 0n;

  constructor(cpu = 0) {
    this.cpu = cpu;
  }

  gpr(n: number): bigint {
    return this.gprs[n];
  }

  setGpr(n: number, value: bigint): void {
    this.gprs[n] = unsigned(value);
  }

  fpr(n: number): bigint {
    return this.fprValues[n];
  }

  setFpr(n: number, bits: bigint): void {
    this.fprValues[n] = unsigned(bits);
  }

  fprs(): BigUint64Array {
    return BigUint64Array.from(this.fprValues);
  }

  setFprs(bits: BigUint64Array): void {
    for (const [n, value] of bits.entries()) this.fprValues[n] = value;
  }

  fpscr(): bigint {
    return this.fpscrBits;
  }

  setFpscr(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new Error(`FPSCR = ${value}`);
    this.fpscrBits = value;
  }

  cr(): number {
    return this.crBits;
  }

  setCr(value: number): void {
    this.crBits = value;
  }

  msr(): bigint {
    return this.currentMsr;
  }

  spr(n: number): bigint {
    if (n === SPR.TB) return this.clock;
    if (n === SPR.DEC) return BigInt.asUintN(64, BigInt.asIntN(this.#decBits(), this.#decZero - this.clock));
    return this.sprs.get(n) ?? 0n;
  }

  setSpr(n: number, value: bigint): void {
    unsigned(value);
    if (n === SPR.DEC) this.#decZero = this.clock + BigInt.asIntN(this.#decBits(), value);
    else this.sprs.set(n, value);
  }

  invalidateTranslations(lpid?: number): void {
    this.invalidated.push(lpid);
  }

  sendDoorbell(pir: number): void {
    this.doorbells.push(pir);
  }

  clearDoorbell(): void {
    this.doorbellsCleared++;
  }

  #decBits(): number {
    return ((this.sprs.get(SPR.LPCR) ?? 0n) & LPCR.LD) === 0n ? 32 : 56;
  }
}

function unsigned(value: bigint): bigint {
  if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value)
    throw new Error(`${value} is no register value`);
  return value;
}
