import type { AccessKind } from '../../engine/cpu-model.ts';
import { HCR } from '../abi.ts';
import type { Core } from './core.ts';
import type { SystemAccess } from './register-access.ts';

/** PAR_EL1 (Arm ARM, D13.2.107): F in bit 0; on success SH, NS, the address and the memory attributes. */
const PAR = { F: 1n, RES1: 1n << 11n, SHARED: 3n << 7n, PTW: 1n << 8n, S: 1n << 9n, WRITE_BACK: 0xffn << 56n } as const;
const ADDRESS = 0x0000_ffff_ffff_f000n;

/** AT instructions by op1 and op2: whose view, which stages, and read or write (Arm ARM, C5.4). */
const KINDS: Readonly<
  Record<string, { readonly view: 'el1' | 'el0' | 'el2'; readonly both: boolean; readonly access: AccessKind }>
> = {
  '0:0': { view: 'el1', both: false, access: 'load' },
  '0:1': { view: 'el1', both: false, access: 'store' },
  '0:2': { view: 'el0', both: false, access: 'load' },
  '0:3': { view: 'el0', both: false, access: 'store' },
  '4:0': { view: 'el2', both: false, access: 'load' },
  '4:1': { view: 'el2', both: false, access: 'store' },
  '4:4': { view: 'el1', both: true, access: 'load' },
  '4:5': { view: 'el1', both: true, access: 'store' },
  '4:6': { view: 'el0', both: true, access: 'load' },
  '4:7': { view: 'el0', both: true, access: 'store' },
};

/** What an AT instruction puts into PAR_EL1. Tables of stage 1 are reached through stage 2 even where only stage 1 is asked for. */
export function parOf(core: Core, { op1, op2 }: SystemAccess, address: bigint): bigint {
  const kind = KINDS[`${op1}:${op2}`];
  if (kind === undefined) throw new Error(`AT with op1 ${op1} and op2 ${op2} does not exist`);
  return core.lookAs(kind.view, () => {
    const { mmu } = core;
    const [high, low] = [Number(address >> 32n), Number(address & 0xffffffffn)];
    const physical =
      kind.both || !core.hcr(HCR.VM) ? mmu.probe(high, low, kind.access) : mmu.probeStage1(high, low, kind.access);
    if (physical !== undefined) return (BigInt(physical) & ADDRESS) | PAR.RES1 | PAR.SHARED | PAR.WRITE_BACK;
    const { status, stage2, onWalk } = mmu.fault;
    return PAR.F | (BigInt(status) << 1n) | (onWalk ? PAR.PTW : 0n) | (stage2 ? PAR.S : 0n) | PAR.RES1;
  });
}
