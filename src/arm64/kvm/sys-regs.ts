import type { Ctx } from './state.ts';
import { TIMER, ticksNow } from './timers.ts';
import { notifyVcpus } from './vgic.ts';
import type { Vcpu } from './vm.ts';

/** Fields of the syndrome that name a register, as ESR_ELx.ISS has them (arm64-pkvm.md 7.2). */
const REGISTER_MASK = 0x3f_fc1e;
const syndromeOf = (op0: number, op1: number, crn: number, crm: number, op2: number): number =>
  (op0 << 20) | (op2 << 17) | (op1 << 14) | (crn << 10) | (crm << 1);

/** A trapped access: what an MSR writes; null for an MRS. */
interface Access {
  readonly ctx: Ctx;
  readonly vcpu: Vcpu;
  readonly written: bigint | null;
}

/** @returns what an MRS reads */
type Handler = (access: Access) => bigint;

/** ICC_SGI1R_EL1 and its like (Arm IHI 0069H, 12.2.20): a list of 16 vCPUs of one cluster, or all but the sender. */
const sendSgi =
  (group: 0 | 1): Handler =>
  ({ ctx, vcpu, written }) => {
    const value = written ?? 0n;
    const { gic, vcpus } = vcpu.vm;
    const field = (shift: bigint, bits: bigint): number => Number((value >> shift) & ((1n << bits) - 1n));
    const cluster = (field(32n, 8n) << 8) | field(16n, 8n);
    const first = field(44n, 4n) * 16;
    gic.affinities.forEach((affinity, index) => {
      const place = (affinity & 0xff) - first;
      const listed = affinity >> 8 === cluster && place >= 0 && place < 16 && field(BigInt(place & 15), 1n) === 1;
      if (field(40n, 1n) === 1 ? index !== vcpu.index : listed) gic.sendSgi(index, field(24n, 4n), group);
    });
    notifyVcpus(ctx, vcpus);
    return 0n;
  };

/** The CPU's own value, read for the guest. */
const same =
  (name: string): Handler =>
  ({ ctx }) =>
    ctx.port.register(name);

const timerControl: Handler = ({ ctx, vcpu: { timer }, written }) => {
  if (written !== null) timer.control = written & (TIMER.ENABLE | TIMER.IMASK);
  const met = ticksNow(ctx.port) >= timer.compare;
  return timer.control | (met ? TIMER.ISTATUS : 0n);
};

const timerCompare: Handler = ({ vcpu: { timer }, written }) => {
  if (written !== null) timer.compare = written;
  return timer.compare;
};

const timerValue: Handler = ({ ctx, vcpu: { timer }, written }) => {
  const now = ticksNow(ctx.port);
  if (written !== null) timer.compare = BigInt.asUintN(64, now + BigInt.asIntN(32, written));
  return BigInt.asUintN(32, timer.compare - now);
};

/** ID_AA64<name>_EL1 by CRm and op2. */
const ID_PLACES: Readonly<Record<string, readonly [number, number]>> = {
  PFR0: [4, 0],
  PFR1: [4, 1],
  ZFR0: [4, 4],
  SMFR0: [4, 5],
  DFR0: [5, 0],
  DFR1: [5, 1],
  AFR0: [5, 4],
  AFR1: [5, 5],
  ISAR0: [6, 0],
  ISAR1: [6, 1],
  ISAR2: [6, 2],
  MMFR0: [7, 0],
  MMFR1: [7, 1],
  MMFR2: [7, 2],
};

const REGISTERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [syndromeOf(3, 0, 12, 11, 5), sendSgi(1)],
  [syndromeOf(3, 0, 12, 11, 6), sendSgi(0)],
  [syndromeOf(3, 0, 12, 11, 7), sendSgi(0)],
  [syndromeOf(3, 3, 14, 2, 0), timerValue],
  [syndromeOf(3, 3, 14, 2, 1), timerControl],
  [syndromeOf(3, 3, 14, 2, 2), timerCompare],
  [syndromeOf(3, 0, 0, 0, 6), same('REVIDR_EL1')],
  [syndromeOf(3, 1, 0, 0, 0), same('CCSIDR_EL1')],
  [syndromeOf(3, 1, 0, 0, 1), same('CLIDR_EL1')],
  [syndromeOf(3, 1, 0, 0, 7), same('AIDR_EL1')],
  [syndromeOf(3, 3, 0, 0, 1), same('CTR_EL0')],
  [
    syndromeOf(3, 2, 0, 0, 0),
    ({ vcpu, written }) => {
      if (written !== null) vcpu.struct.setRegister('CSSELR_EL1', written & 0xfn);
      return vcpu.struct.register('CSSELR_EL1');
    },
  ],
  // ACTLR_EL1: nothing in it.
  [syndromeOf(3, 0, 1, 0, 1), () => 0n],
  // DC ISW, CSW, CISW: memory is always coherent here.
  [syndromeOf(1, 0, 7, 6, 2), () => 0n],
  [syndromeOf(1, 0, 7, 10, 2), () => 0n],
  [syndromeOf(1, 0, 7, 14, 2), () => 0n],
  ...Object.entries(ID_PLACES).map(([name, [crm, op2]]): [number, Handler] => [
    syndromeOf(3, 0, 0, crm, op2),
    same(`ID_AA64${name}_EL1`),
  ]),
]);

/** ID registers that nobody has given out read as 0. */
function isReservedId(register: number): boolean {
  const crm = (register >> 1) & 15;
  return (register & ~((7 << 17) | (15 << 1))) === syndromeOf(3, 0, 0, 0, 0) && crm >= 1 && crm <= 7;
}

/** A trapped access to a system register. @returns what an MRS reads; undefined where the guest has no such register */
export function accessRegister(ctx: Ctx, vcpu: Vcpu, iss: number, written: bigint | null): bigint | undefined {
  const register = iss & REGISTER_MASK;
  const handler = REGISTERS.get(register);
  if (handler !== undefined) return handler({ ctx, vcpu, written });
  return written === null && isReservedId(register) ? 0n : undefined;
}
