import { PGM, SIGP } from '../abi.ts';
import type { GuestPort } from '../cpu/ultravisor-port.ts';
import { PAGE } from './limits.ts';

/** What an instruction shows to the host, and what may come back. */
export interface Presentation {
  readonly ipa: number;
  readonly ipb: number;
  readonly gr: Readonly<Record<number, bigint>>;
  readonly sida?: Uint8Array;
  /** Operand that an answer goes to. */
  readonly operand: bigint | null;
  /** Bytes of it that may come back. */
  readonly answer: number;
}

/** An instruction that cannot be shown: an access of the guest's was refused, or a program interruption is due. */
export type Unpresentable = 'fault' | { readonly program: number };

/** One of the instructions that the host does for a secure guest (4.6). */
export interface Intercept {
  /** What is shown, once all that the guest names is found to be there. */
  readonly present: (port: GuestPort, text: Text) => Presentation | Unpresentable;
  /** Where an answer goes: `logical` as the instruction addresses storage, `absolute`. */
  readonly kind: 'operand' | 'absolute';
  /** Registers that come back: ours by the host's. */
  readonly registers: (text: Text) => Readonly<Record<number, number>>;
  /** Whether the operand comes back for a condition code. */
  readonly answers: (cc: number) => boolean;
  /** Program interruptions that the host may have it end with. */
  readonly programs: ReadonlySet<number>;
}

/** Fields of an instruction of four bytes. */
export interface Text {
  readonly head: number;
  readonly r1: number;
  readonly r2: number;
  readonly r3: number;
}

export function textOf(head: number): Text {
  return { head, r1: (head >>> 20) & 15, r2: head & 15, r3: (head >>> 16) & 15 };
}

/** RRE format: both registers are in the last byte. */
const rre = (head: number): { readonly r1: number; readonly r2: number } => ({ r1: (head >>> 4) & 15, r2: head & 15 });

/** Address of the second operand, base and displacement. */
export function operandAddress(port: GuestPort, head: number): bigint {
  const base = (head >>> 12) & 15;
  const sum = (base === 0 ? 0n : port.gr(base)) + BigInt(head & 0xfff);
  const extended = (port.pswMask & 0x100000000n) !== 0n;
  const basic = (port.pswMask & 0x80000000n) !== 0n;
  return BigInt.asUintN(extended ? 64 : basic ? 31 : 24, sum);
}

/** What the host takes for the address of an SCCB or of a parameter block: it says nothing about the guest. */
export const DUMMY_ADDRESS = 0x4000n;

const BOTH: ReadonlySet<number> = new Set([PGM.SPECIFICATION, PGM.OPERAND]);
const CC_0 = (cc: number): boolean => cc === 0;
const ANY_CC = (): boolean => true;
const NO_REGISTERS = (): Readonly<Record<number, number>> => ({});

/** Function codes of DIAGNOSE. */
export const DIAGNOSE = { YIELD: 0x44, DIRECTED_YIELD: 0x9c, WATCHDOG: 0x288, IPL: 0x308, VIRTIO: 0x500 } as const;
/** Subcodes of DIAGNOSE 0x308 that give or take a parameter block. */
export const IPL_SUBCODE = { SET: 5, STORE: 6 } as const;

/** Text of DIAG 0,2,0(%r5): the function code is in register 5. */
const DIAG_TEXT = { ipa: 0x8302, ipb: 0x50000000 } as const;

const SERVC_REGISTERS = { command: 1, sccb: 2 } as const;
const LARGEST_SCCB = PAGE;

/** SERVC: the whole SCCB. */
const servc: Intercept = {
  kind: 'absolute',
  registers: NO_REGISTERS,
  answers: ANY_CC,
  programs: BOTH,
  present(port, { head }) {
    const { r1, r2 } = rre(head);
    const address = port.gr(r2);
    if ((address & ~0x7ffffff8n) !== 0n || address < 0x2000n) return { program: PGM.SPECIFICATION };
    const header = port.read('absolute', address, 8);
    if (header === null) return 'fault';
    const length = new DataView(header.buffer).getUint16(0);
    const fits = length >= 8 && length <= LARGEST_SCCB && (address & 0xfffn) + BigInt(length) <= BigInt(PAGE);
    if (!fits) return { program: PGM.SPECIFICATION };
    const sccb = port.read('absolute', address, length);
    if (sccb === null || !port.reaches('absolute', address, length, 'store')) return 'fault';
    return {
      ipa: 0xb220,
      ipb: (SERVC_REGISTERS.command << 20) | (SERVC_REGISTERS.sccb << 16),
      gr: { [SERVC_REGISTERS.command]: port.gr(r1) & 0xffffffffn, [SERVC_REGISTERS.sccb]: DUMMY_ADDRESS },
      sida: sccb,
      operand: address,
      answer: length,
    };
  },
};

/** STSI: a block of system information comes back. */
const stsi: Intercept = {
  kind: 'operand',
  registers: () => ({ 0: 0 }),
  answers: CC_0,
  programs: BOTH,
  present(port, { head }) {
    const level = Number((port.gr(0) >> 28n) & 15n);
    const address = operandAddress(port, head);
    const gr = { 0: port.gr(0) & 0xffffffffn, 1: port.gr(1) & 0xffffffffn };
    const shown = { ipa: 0xb27d, ipb: 0, gr };
    if (level === 0) return { ...shown, operand: null, answer: 0 };
    if (address % BigInt(PAGE) !== 0n) return { program: PGM.SPECIFICATION };
    if (!port.reaches('operand', address, PAGE, 'store')) return 'fault';
    return { ...shown, operand: address, answer: PAGE };
  },
};

interface ChannelRow {
  readonly ipa: number;
  /** Bytes of the operand that the host gets, and that come back with condition code 0 (of TSCH, with 1 too). */
  readonly input: number;
  readonly output: number;
  readonly alignment?: number;
  /** The register 1 names a subchannel. */
  readonly subchannel?: boolean;
}

/** Channel instructions with an operand in storage, or none (4.6; Principles of Operation, chapter 14). */
const CHANNEL: Readonly<Record<string, ChannelRow>> = {
  csch: { ipa: 0xb230, input: 0, output: 0, subchannel: true },
  hsch: { ipa: 0xb231, input: 0, output: 0, subchannel: true },
  msch: { ipa: 0xb232, input: 52, output: 0, subchannel: true },
  ssch: { ipa: 0xb233, input: 32, output: 0, subchannel: true },
  stsch: { ipa: 0xb234, input: 0, output: 52, subchannel: true },
  tsch: { ipa: 0xb235, input: 0, output: 96, subchannel: true },
  sal: { ipa: 0xb237, input: 0, output: 0 },
  rsch: { ipa: 0xb238, input: 0, output: 0, subchannel: true },
  stcrw: { ipa: 0xb239, input: 0, output: 4 },
  stcps: { ipa: 0xb23a, input: 0, output: 32, alignment: 32 },
  rchp: { ipa: 0xb23b, input: 0, output: 0 },
  schm: { ipa: 0xb23c, input: 0, output: 0 },
  xsch: { ipa: 0xb276, input: 0, output: 0, subchannel: true },
};

/** Bits 32 to 47 of register 1 that name subchannel set 0. */
const SUBCHANNEL_ID = 1n;

function channel({ ipa, input, output, alignment = 4, subchannel = false }: ChannelRow): Intercept {
  const size = Math.max(input, output);
  return {
    kind: 'operand',
    registers: NO_REGISTERS,
    // TSCH stores with condition code 1 too, STCRW stores zeros with 1.
    answers: (cc) => cc === 0 || (cc === 1 && (ipa === 0xb235 || ipa === 0xb239)),
    programs: BOTH,
    present(port, { head }) {
      const id = port.gr(1) & 0xffffffffn;
      if (subchannel && id >> 16n !== SUBCHANNEL_ID) return { program: PGM.OPERAND };
      const shown = { ipa, ipb: 0, gr: { 1: id, 2: ipa === 0xb23c ? port.gr(2) : 0n } };
      if (size === 0) return { ...shown, operand: null, answer: 0 };
      const address = operandAddress(port, head);
      if (address % BigInt(alignment) !== 0n) return { program: PGM.SPECIFICATION };
      const sida = input === 0 ? new Uint8Array(size) : port.read('operand', address, input);
      if (sida === null) return 'fault';
      if (output > 0 && !port.reaches('operand', address, output, 'store')) return 'fault';
      return { ...shown, sida, operand: output === 0 ? null : address, answer: output };
    },
  };
}

/** Lowcore offsets that TPI without an operand stores to, and bytes. */
const TPI_LOWCORE = { at: 0xb8n, bytes: 12 } as const;

const tpi: Intercept = {
  kind: 'operand',
  registers: NO_REGISTERS,
  answers: (cc) => cc === 1,
  programs: BOTH,
  present(port, { head }) {
    const address = operandAddress(port, head);
    if ((address & 3n) !== 0n) return { program: PGM.SPECIFICATION };
    const bytes = address === 0n ? TPI_LOWCORE.bytes : 8;
    const at = address === 0n ? TPI_LOWCORE.at : address;
    if (!port.reaches('operand', at, bytes, 'store')) return 'fault';
    // The operand's base register tells the host which of the two it is.
    const ipb = address === 0n ? 0 : 0x10000000;
    return { ipa: 0xb236, ipb, gr: { 1: DUMMY_ADDRESS }, sida: new Uint8Array(bytes), operand: at, answer: bytes };
  },
};

/** CHSC: the request block, of which the response is a part. */
const chsc: Intercept = {
  kind: 'operand',
  registers: NO_REGISTERS,
  answers: CC_0,
  programs: BOTH,
  present(port, { head }) {
    const { r1 } = rre(head);
    const address = port.gr(r1);
    if (address % BigInt(PAGE) !== 0n) return { program: PGM.SPECIFICATION };
    const sida = port.read('operand', address, PAGE);
    if (sida === null || !port.reaches('operand', address, PAGE, 'store')) return 'fault';
    return { ipa: 0xb25f, ipb: 1 << 20, gr: { 1: DUMMY_ADDRESS }, sida, operand: address, answer: PAGE };
  },
};

/** DIAGNOSE 0x500: registers 1 to 4 as they are, and register 2 comes back. */
const virtio: Intercept = {
  kind: 'operand',
  registers: () => ({ 2: 2 }),
  answers: CC_0,
  programs: BOTH,
  present: (port) => ({
    ...DIAG_TEXT,
    gr: { 1: port.gr(1), 2: port.gr(2), 3: port.gr(3), 4: port.gr(4), 5: BigInt(DIAGNOSE.VIRTIO) },
    operand: null,
    answer: 0,
  }),
};

/** DIAGNOSE 0x288: function, timeout and action. */
const watchdog: Intercept = {
  kind: 'operand',
  registers: ({ r1 }) => ({ 0: r1, 1: (r1 + 1) & 15 }),
  answers: CC_0,
  programs: BOTH,
  present: (port, { r1, r3 }) => ({
    ...DIAG_TEXT,
    gr: { 0: port.gr(r1), 1: port.gr((r1 + 1) & 15), 2: port.gr(r3), 5: BigInt(DIAGNOSE.WATCHDOG) },
    operand: null,
    answer: 0,
  }),
};

/** DIAGNOSE 0x308 with a parameter block: given in whole, or coming back. */
function ipl(subcode: number): Intercept {
  return {
    kind: 'absolute',
    registers: ({ r1 }) => ({ 1: (r1 + 1) & 15 }),
    answers: () => subcode === IPL_SUBCODE.STORE,
    programs: BOTH,
    present(port, { r1 }) {
      const address = port.gr(r1);
      if ((r1 & 1) !== 0 || address % BigInt(PAGE) !== 0n) return { program: PGM.SPECIFICATION };
      const access = subcode === IPL_SUBCODE.STORE ? 'store' : 'load';
      if (!port.reaches('absolute', address, PAGE, access)) return 'fault';
      const sida = subcode === IPL_SUBCODE.SET ? port.read('absolute', address, PAGE) : new Uint8Array(PAGE);
      if (sida === null) return 'fault';
      const gr = { 0: DUMMY_ADDRESS, 1: 0n, 2: BigInt(subcode), 5: BigInt(DIAGNOSE.IPL) };
      const out = subcode === IPL_SUBCODE.STORE;
      return { ...DIAG_TEXT, gr, sida, operand: out ? address : null, answer: out ? PAGE : 0 };
    },
  };
}

/** SIGP 0,2,0(%r5): status 0, parameter 1, CPU address 2, order 5. */
const sigp: Intercept = {
  kind: 'operand',
  registers: ({ r1 }) => ({ 0: r1 }),
  answers: () => false,
  programs: new Set(),
  present: (port, { head, r1, r3 }) => ({
    ipa: 0xae02,
    ipb: 0x50000000,
    gr: {
      1: port.gr(r1 | 1) & 0xffffffffn,
      2: port.gr(r3) & 0xffffn,
      5: operandAddress(port, head) & 0xffn,
    },
    operand: null,
    answer: 0,
  }),
};

/** Rows by name; DIAGNOSE is several. */
export const INTERCEPTS: Readonly<Record<string, Intercept>> = {
  servc,
  stsi,
  chsc,
  tpi,
  sigp,
  'diag 0x288': watchdog,
  'diag 0x500': virtio,
  'diag 0x308/5': ipl(IPL_SUBCODE.SET),
  'diag 0x308/6': ipl(IPL_SUBCODE.STORE),
  ...Object.fromEntries(Object.entries(CHANNEL).map(([name, row]) => [name, channel(row)])),
};

/** Orders of SIGP that the Ultravisor takes part in. */
export const SIGP_STARTS: ReadonlySet<number> = new Set([SIGP.START, SIGP.RESTART]);
