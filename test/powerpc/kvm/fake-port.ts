import { SPR } from '../../../src/powerpc/abi.ts';
import { PrivilegeRefused, type RegisterPort } from '../../../src/powerpc/cpu/port.ts';

/** Registers that hardware keeps from HV=1, S=0 (power-pef.md 1.3). */
const ULTRAVISOR_SPRS: readonly number[] = [SPR.USPRG0, SPR.USPRG1, SPR.URMOR, SPR.USRR0, SPR.USRR1, SPR.SMFCTRL];

/** A CPU's registers without a CPU. The time base is the clock; DEC and HDEC run against it, as registers of 64 bits. */
export class FakePort implements RegisterPort {
  readonly cpu: number;
  readonly stubPage = 0x7000n;
  clock = 0n;
  readonly gprs = new Array<bigint>(32).fill(0n);
  readonly fprValues = new Array<bigint>(32).fill(0n);
  readonly sprs = new Map<number, bigint>();
  /** LPIDs whose translations were to be forgotten, in order. */
  readonly invalidated: (number | undefined)[] = [];
  /** CPUs whose doorbells were rung, in order. */
  readonly doorbells: number[] = [];
  fpscrBits = 0n;
  doorbellsCleared = 0;
  readonly ultravisor: boolean;
  #cr = 0;
  #zero = new Map<number, bigint>();

  constructor(cpu = 0, ultravisor = true) {
    this.cpu = cpu;
    this.ultravisor = ultravisor;
  }

  gpr(n: number): bigint {
    return this.gprs[n];
  }

  setGpr(n: number, value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new Error(`R${n} = ${value}`);
    this.gprs[n] = value;
  }

  fpr(n: number): bigint {
    return this.fprValues[n];
  }

  setFpr(n: number, bits: bigint): void {
    this.fprValues[n] = bits;
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
    return this.#cr;
  }

  setCr(value: number): void {
    this.#cr = value;
  }

  msr(): bigint {
    return 0x9000000000001000n;
  }

  spr(n: number): bigint {
    this.#check(n, false);
    if (n === SPR.TB) return this.clock;
    if (n === SPR.DEC || n === SPR.HDEC) return BigInt.asUintN(64, (this.#zero.get(n) ?? 0n) - this.clock);
    return this.sprs.get(n) ?? 0n;
  }

  setSpr(n: number, value: bigint): void {
    this.#check(n, true);
    if (BigInt.asUintN(64, value) !== value) throw new Error(`SPR ${n} = ${value}`);
    if (n === SPR.DEC || n === SPR.HDEC) this.#zero.set(n, this.clock + BigInt.asIntN(64, value));
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

  #check(n: number, write: boolean): void {
    if (ULTRAVISOR_SPRS.includes(n)) throw new PrivilegeRefused(n, write);
    if (this.ultravisor && write && n === SPR.PTCR) throw new PrivilegeRefused(n, write);
  }
}
