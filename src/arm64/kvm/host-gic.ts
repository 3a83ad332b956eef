import { affinityOf, PPI } from '../abi.ts';
import type { RegisterPort } from '../cpu/port.ts';
import type { Ctx } from './state.ts';

/** Registers of the GICv3 that the host uses (Arm IHI 0069H, 12.8 and 12.10). */
const GICD_CTLR = 0;
const GICR = { WAKER: 0x14, IGROUPR: 0x1_0080, ISENABLER: 0x1_0100, ISACTIVER: 0x1_0300, ICACTIVER: 0x1_0380 } as const;
const IPRIORITYR = 0x1_0400;
const ENABLE_GROUP_1 = 2n;
const PRIORITY = 0xa0a0_a0a0n;
const SPURIOUS = 1023;

/** Software generated interrupt with which one CPU asks another to look at its guests. */
const KICK = 0n;
/** What the host lets in: the kick, maintenance of list registers, and both timers. */
const ENABLED =
  1n | (1n << BigInt(PPI.maintenance)) | (1n << BigInt(PPI.virtualTimer)) | (1n << BigInt(PPI.physicalTimer));

const redistributorOf = ({ kvm: { layout }, cpu }: Ctx): number =>
  layout.gic.redistributors + cpu.index * layout.gic.stride;

/** Turns this CPU's part of the interrupt controller on, and the distributor with it. */
export function startHostGic(ctx: Ctx): void {
  const { kvm, port } = ctx;
  const frame = redistributorOf(ctx);
  const { devices } = kvm;
  devices.write(kvm.layout.gic.distributor + GICD_CTLR, 4, ENABLE_GROUP_1);
  devices.write(frame + GICR.WAKER, 4, 0n);
  devices.write(frame + GICR.IGROUPR, 4, 0xffff_ffffn);
  for (let n = 0; n < 32; n += 4) devices.write(frame + IPRIORITYR + n, 4, PRIORITY);
  devices.write(frame + GICR.ISENABLER, 4, ENABLED);
  port.setRegister('ICC_PMR_EL1', 0xf0n);
  port.setRegister('ICC_IGRPEN1_EL1', 1n);
}

/** Acknowledges and ends what waits for this CPU. Who looks afterwards finds out what it was for. @returns its number; null if there is none */
export function takeHostInterrupt(port: RegisterPort): number | null {
  const intid = Number(port.register('ICC_IAR1_EL1'));
  if (intid === SPURIOUS) return null;
  port.setRegister('ICC_EOIR1_EL1', BigInt(intid));
  return intid;
}

/**
 * Whether the guest's virtual timer may interrupt us: while it already has the interrupt, or cannot take it yet, the physical one is kept active,
 * so that the guest is not stopped for it over and over (as Linux's `kvm_timer_vcpu_load_gic`). The list register's HW bit ends it.
 */
export function holdTimerInterrupt(ctx: Ctx, held: boolean): void {
  const register = held ? GICR.ISACTIVER : GICR.ICACTIVER;
  ctx.kvm.devices.write(redistributorOf(ctx) + register, 4, 1n << BigInt(PPI.virtualTimer));
}

/** Has another CPU leave its guest, or wake up. */
export function kick({ port }: Ctx, cpu: number): void {
  const affinity = affinityOf(cpu);
  const cluster = BigInt(affinity >> 8) << 16n;
  port.setRegister('ICC_SGI1R_EL1', (KICK << 24n) | cluster | (1n << BigInt(affinity & 15)));
}
