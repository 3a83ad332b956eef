import { type Slot, StateLayout } from '../../engine/state.ts';
import type { I64 } from '../../wasm/types.ts';
import { SPR } from '../abi.ts';

/** The registers of a POWER9 thread that instructions work on. */
export const layout = new StateLayout();

export const gpr = layout.i64File('r', 32);
/** Raw bits of the floating point registers. */
export const fpr = layout.i64File('f', 32);
/** The condition register, one flag for each bit; bit 0 is LT of field 0 (IBM numbering). */
export const cr = layout.flagFile('cr', 32);
export const lr = layout.i64('LR');
export const ctr = layout.i64('CTR');
/** XER, a flag for each bit that arithmetic writes. */
export const so = layout.flag('SO');
export const ov = layout.flag('OV');
export const ov32 = layout.flag('OV32');
export const ca = layout.flag('CA');
export const ca32 = layout.flag('CA32');
layout.setTogether([ca, ca32]);
for (let field = 0; field < 8; field++) layout.setTogether(cr.slots.slice(4 * field, 4 * field + 4));
// Each comparison copies it.
layout.setSeldom(so);
/** XER bits 57:63: byte count of string instructions. */
export const stringCount = layout.flag('XER-count');
export const msr = layout.i64('MSR');
export const fpscr = layout.i64('FPSCR');
/** 1 while a reservation is held. */
export const reserved = layout.flag('reserved');
/** Effective address of the reservation. */
export const reserveAddress = layout.i64('reserve-address');
/** What the load and reserve instruction read, first 8 bytes in its own byte order. */
export const reserveValue = layout.i64('reserve-value');
/** The second 8 bytes of a quadword. */
export const reserveValue2 = layout.i64('reserve-value2');

/** Least privilege that an access needs. */
export type SprPrivilege = 'problem' | 'privileged' | 'hypervisor' | 'ultravisor';

/** A special purpose register that is plain storage as far as instructions are concerned; the CPU model adds what is special. */
export interface SprDefinition {
  readonly number: number;
  readonly name: string;
  readonly slot: Slot<I64>;
  /** null: cannot be read (written) at all. */
  readonly read: SprPrivilege | null;
  readonly write: SprPrivilege | null;
  readonly width: 32 | 64;
}

type Row = readonly [name: keyof typeof SPR, read: SprPrivilege | null, write: SprPrivilege | null, width?: 32];

/** Power ISA 3.0B, book III, 5.4.4 (figure "SPR encodings"); the Ultravisor's from power-pef.md 1.7. */
const ROWS: readonly Row[] = [
  ['DSCR', 'privileged', 'privileged'],
  ['DSISR', 'privileged', 'privileged', 32],
  ['DAR', 'privileged', 'privileged'],
  ['DEC', 'privileged', 'privileged'],
  ['SRR0', 'privileged', 'privileged'],
  ['SRR1', 'privileged', 'privileged'],
  ['CFAR', 'privileged', 'privileged'],
  ['AMR', 'privileged', 'privileged'],
  ['PIDR', 'privileged', 'privileged', 32],
  ['IAMR', 'privileged', 'privileged'],
  ['CTRL_READ', 'problem', null, 32],
  ['TIDR', 'privileged', 'privileged'],
  ['FSCR', 'privileged', 'privileged'],
  ['UAMOR', 'privileged', 'privileged'],
  ['PSPB', 'privileged', 'privileged', 32],
  ['DPDES', 'privileged', 'hypervisor'],
  ['DAWR0', 'hypervisor', 'hypervisor'],
  ['RPR', 'hypervisor', 'hypervisor'],
  ['CIABR', 'hypervisor', 'hypervisor'],
  ['DAWRX0', 'hypervisor', 'hypervisor', 32],
  ['HFSCR', 'hypervisor', 'hypervisor'],
  ['VRSAVE', 'problem', 'problem', 32],
  ['SPRG0', 'privileged', 'privileged'],
  ['SPRG1', 'privileged', 'privileged'],
  ['SPRG2', 'privileged', 'privileged'],
  ['SPRG3', 'privileged', 'privileged'],
  ['SPRC', 'hypervisor', 'hypervisor'],
  ['SPRD', 'hypervisor', 'hypervisor'],
  ['PVR', 'privileged', null, 32],
  ['HSPRG0', 'hypervisor', 'hypervisor'],
  ['HSPRG1', 'hypervisor', 'hypervisor'],
  ['HDSISR', 'hypervisor', 'hypervisor', 32],
  ['HDAR', 'hypervisor', 'hypervisor'],
  ['SPURR', 'privileged', 'hypervisor'],
  ['PURR', 'privileged', 'hypervisor'],
  ['HDEC', 'hypervisor', 'hypervisor'],
  ['HRMOR', 'hypervisor', 'hypervisor'],
  ['HSRR0', 'hypervisor', 'hypervisor'],
  ['HSRR1', 'hypervisor', 'hypervisor'],
  ['LPCR', 'hypervisor', 'hypervisor'],
  ['LPIDR', 'hypervisor', 'hypervisor', 32],
  ['HMER', 'hypervisor', 'hypervisor'],
  ['HMEER', 'hypervisor', 'hypervisor'],
  ['PCR', 'hypervisor', 'hypervisor'],
  ['HEIR', 'hypervisor', 'hypervisor', 32],
  ['AMOR', 'hypervisor', 'hypervisor'],
  ['PTCR', 'hypervisor', 'hypervisor'],
  ['USPRG0', 'ultravisor', 'ultravisor'],
  ['USPRG1', 'ultravisor', 'ultravisor'],
  ['URMOR', 'ultravisor', 'ultravisor'],
  ['USRR0', 'ultravisor', 'ultravisor'],
  ['USRR1', 'ultravisor', 'ultravisor'],
  ['SMFCTRL', 'ultravisor', 'ultravisor'],
  ['SIER', 'privileged', 'privileged'],
  ['MMCR2', 'privileged', 'privileged'],
  ['MMCRA', 'privileged', 'privileged'],
  ['PMC1', 'privileged', 'privileged', 32],
  ['PMC2', 'privileged', 'privileged', 32],
  ['PMC3', 'privileged', 'privileged', 32],
  ['PMC4', 'privileged', 'privileged', 32],
  ['PMC5', 'privileged', 'privileged', 32],
  ['PMC6', 'privileged', 'privileged', 32],
  ['MMCR0', 'privileged', 'privileged'],
  ['SIAR', 'privileged', 'privileged'],
  ['SDAR', 'privileged', 'privileged'],
  ['MMCR1', 'privileged', 'privileged'],
  ['IMC', 'hypervisor', 'hypervisor'],
  ['EBBHR', 'problem', 'problem'],
  ['EBBRR', 'problem', 'problem'],
  ['BESCR', 'problem', 'problem'],
  ['TAR', 'problem', 'problem'],
  ['ASDR', 'hypervisor', 'hypervisor'],
  ['IC', 'privileged', 'hypervisor'],
  ['VTB', 'privileged', 'hypervisor'],
  ['LDBAR', 'hypervisor', 'hypervisor'],
  ['MMCRC', 'hypervisor', 'hypervisor'],
  ['PSSCR', 'hypervisor', 'hypervisor'],
  ['PPR', 'problem', 'problem'],
  ['TSCR', 'hypervisor', 'hypervisor'],
  ['TRACE', 'hypervisor', 'hypervisor'],
  ['HID0', 'hypervisor', 'hypervisor'],
  ['PIR', 'privileged', 'hypervisor', 32],
];

/** By SPR number. Registers that are not storage (LR, CTR, XER, the time base) and second numbers of others are not in it. */
export const SPRS: ReadonlyMap<number, SprDefinition> = new Map(
  ROWS.map(([name, read, write, width]) => {
    const number = SPR[name];
    return [number, { number, name, slot: layout.i64(name), read, write, width: width ?? 64 }];
  }),
);

/** A register that instructions other than mfspr and mtspr use too. */
function named(number: number): Slot<I64> {
  const definition = SPRS.get(number);
  if (definition === undefined) throw new Error(`SPR ${number} is not in the table`);
  return definition.slot;
}

export const tar = named(SPR.TAR);
export const fscr = named(SPR.FSCR);
export const hfscr = named(SPR.HFSCR);
