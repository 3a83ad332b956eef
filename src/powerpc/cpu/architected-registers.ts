import { MSR, SPR } from '../abi.ts';
import { SPRS } from '../isa/state.ts';
import type { Core } from './core.ts';
import { levelOf } from './msr.ts';
import { cr, fpr, fpscr, gpr } from './registers.ts';
import { readSpr } from './spr.ts';
import { judgeSpr } from './spr-access.ts';

const HYPERVISOR = levelOf(MSR.HV);
const FILE = Array.from({ length: 32 }, (_, n) => n);
const UNNAMED_SPRS = [
  ['XER', SPR.XER],
  ['LR', SPR.LR],
  ['CTR', SPR.CTR],
  ['TB', SPR.TB],
] as const;

/** Every register that software at HV=1, S=0 can read (1.3), by its name in the ISA: what a hypervisor sees when it gets control. */
export function architectedRegisters(core: Core): Record<string, bigint> {
  const { context } = core;
  const guards = { smfctrl: core.raw('SMFCTRL'), fscr: core.raw('FSCR'), hfscr: core.raw('HFSCR') };
  const readable = [...SPRS.values()].filter((d) => judgeSpr(d.number, false, HYPERVISOR, guards).kind === 'granted');
  const sprs: [string, number][] = readable.map(({ name, number }) => [name, number]);
  return Object.fromEntries([
    ...FILE.map((n): [string, bigint] => [`R${n}`, gpr(context, n)]),
    ...FILE.map((n): [string, bigint] => [`F${n}`, fpr(context, n)]),
    ['CR', BigInt(cr(context))],
    ['FPSCR', fpscr(context)],
    ['MSR', core.msr],
    ...[...UNNAMED_SPRS, ...sprs].map(([name, number]): [string, bigint] => [name, readSpr(core, number)]),
  ]);
}
