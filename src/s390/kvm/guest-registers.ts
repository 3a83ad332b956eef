import { PSW, PSW_CC_SHIFT, SD } from '../abi.ts';
import type { CpuRegisters } from '../cpu/port.ts';
import type { Vcpu } from './vm.ts';

/**
 * Registers of a vCPU as KVM sees them after an exit. Of a protected one general registers are those of the interception-data block, in the numbering of the
 * pre-set instruction text, and what is written elsewhere than there or to the condition code has no effect (4.5 to 4.7).
 */
export class GuestRegisters implements CpuRegisters {
  readonly vcpu: Vcpu;

  constructor(vcpu: Vcpu) {
    this.vcpu = vcpu;
  }

  get cpu(): number {
    return this.vcpu.id;
  }

  gr(n: number): bigint {
    const { sie, secure, gr } = this.vcpu;
    return secure === null ? (gr[n] as bigint) : sie.u64(SD.SECURE_GR + 8 * n);
  }

  setGr(n: number, value: bigint): void {
    const { sie, secure, gr } = this.vcpu;
    if (secure === null) gr[n] = BigInt.asUintN(64, value);
    else sie.setU64(SD.SECURE_GR + 8 * n, value);
  }

  cr(n: number): bigint {
    return this.vcpu.sie.u64(SD.CR + 8 * n);
  }

  setCr(n: number, value: bigint): void {
    if (this.vcpu.secure === null) this.vcpu.sie.setU64(SD.CR + 8 * n, value);
  }

  get pswMask(): bigint {
    return this.vcpu.sie.pswMask;
  }

  get pswAddress(): bigint {
    return this.vcpu.sie.pswAddress;
  }

  setPsw(mask: bigint, address: bigint): void {
    if (this.vcpu.secure === null) this.vcpu.sie.setPsw(mask, address);
  }

  setCc(cc: number): void {
    const { sie } = this.vcpu;
    sie.setU64(SD.PSW, (sie.pswMask & ~PSW.CC) | (BigInt(cc) << PSW_CC_SHIFT));
  }

  get prefix(): number {
    return this.vcpu.sie.prefix;
  }

  setPrefix(prefix: number): void {
    this.vcpu.sie.setPrefix(prefix);
  }

  cpuTimer(): bigint {
    return this.vcpu.sie.u64(SD.CPU_TIMER);
  }

  clockComparator(): bigint {
    return this.vcpu.sie.u64(SD.CLOCK_COMPARATOR);
  }
}
