import { HOST_VCPU, HYP_STATE, type HypStateField } from '../../../src/arm64/abi.ts';
import type { ArmCpuOptions } from '../../../src/arm64/cpu/arm-cpu.ts';
import { HvcMachine, PAGE, PLAY, type TestVm } from './hvc-machine.ts';

/** Instructions that put a number into a register. */
export const move = (register: number, value: bigint): number[] =>
  [0, 1, 2, 3].map((part) => {
    const half = Number((value >> BigInt(16 * part)) & 0xffffn);
    return ((part === 0 ? 0xd2800000 : 0xf2800000) | (part << 21) | (half << 5) | register) >>> 0;
  });

/** A call of a guest's: x0 and x1 to x3, then `hvc #0`. */
export const guestHvc = (id: bigint, ...args: bigint[]): number[] => [
  ...move(0, id),
  ...[0, 1, 2].flatMap((n) => move(n + 1, args[n] ?? 0n)),
  0xd4000002,
];

/** `str x0, [x20], #8`. */
const KEEP_X0 = 0xf8008680;

const IPA = 0x8000_0000n;
const GFN = Number(IPA) / PAGE;
/** Where the guest keeps results, and pages that a test gives it. */
const RESULTS = PLAY + 4 * PAGE;
const RESULTS_IPA = IPA + BigInt(4 * PAGE);

/** A protected guest of profile I that makes calls, one after the other, and keeps what each gave in x0. */
export class CallingGuest {
  readonly m: HvcMachine;
  readonly vm: TestVm;

  constructor(
    calls: readonly (readonly [bigint, ...bigint[]])[],
    more: readonly number[] = [],
    cpu: Partial<ArmCpuOptions> = {},
  ) {
    this.m = new HvcMachine('I', cpu).finalise();
    const { m } = this;
    const program = [...move(20, RESULTS_IPA), ...calls.flatMap((call) => [...guestHvc(...call), KEEP_X0])];
    m.machine.words(PLAY, [...program, ...more]);
    this.vm = m.vm(true, (vcpu) => m.machine.quad(vcpu + 256, IPA));
    m.load(this.vm);
    this.give(0);
    this.give(4);
  }

  /** Donates the n-th page of what tests play with as the n-th of the guest's. */
  give(n: number): number {
    this.m.topUp(this.vm, 6);
    return this.m.call('__pkvm_host_donate_guest', PLAY / PAGE + n, GFN + n);
  }

  run(): number {
    return this.m.call('__kvm_vcpu_run');
  }

  /** What the first calls gave, signed; the page is taken out of the machine's memory past all rights. */
  results(count: number): number[] {
    return Array.from({ length: count }, (_, n) => Number(BigInt.asIntN(64, this.m.machine.quadAt(RESULTS + 8 * n))));
  }

  /** A register of the host's copy. */
  x(n: number): bigint {
    return this.m.machine.quadAt(this.vm.vcpu + 8 * n);
  }

  setX(n: number, value: bigint): void {
    this.m.machine.quad(this.vm.vcpu + 8 * n, value);
  }

  state(field: HypStateField): bigint {
    return this.m.machine.quadAt(this.vm.vcpu + HOST_VCPU.hypState + HYP_STATE[field]);
  }

  setState(field: HypStateField, value: bigint): void {
    this.m.machine.quad(this.vm.vcpu + HOST_VCPU.hypState + HYP_STATE[field], value);
  }
}

export { IPA };
