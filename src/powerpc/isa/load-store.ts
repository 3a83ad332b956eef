import type { AccessSize } from '../../engine/ir.ts';
import { f32, f64, i32, i64, select } from '../../wasm/expr.ts';
import { MSR } from '../abi.ts';
import {
  type D,
  define,
  effective,
  instructionWord,
  low,
  type PowerInstruction,
  ra0,
  reg,
  type S,
  setReg,
} from './common.ts';
import { HELPER, TRAP } from './helpers.ts';
import { fpr, msr } from './state.ts';

/** Load and store instructions (Power ISA 3.0B, book I, 3.3.2 to 3.3.7, 4.6.2 to 4.6.4). */

/** How the effective address is formed. */
type Form = 'D' | 'DS' | 'DQ' | 'X';

interface Access {
  readonly size: AccessSize;
  readonly signed?: boolean;
  /** Byte order opposite to the mode's. */
  readonly reversed?: boolean;
  /** Caching inhibited. */
  readonly inhibited?: boolean;
}

function displacement(s: S, form: Form): D {
  if (form === 'X') return reg(s, 'RB');
  if (form === 'D') return i64.extendS(s.signedField('D'));
  const shift = form === 'DS' ? 2 : 4;
  return i64.extendS(i32.shl(s.signedField(form), i32.const(shift)));
}

/** EA of a form, with (RA|0) or, for update forms, (RA). */
export function address(s: S, form: Form, update: boolean): D {
  return effective(s, update ? reg(s, 'RA') : ra0(s), displacement(s, form));
}

function accessOptions(s: S, access: Access): { signed: boolean; bigEndian: boolean } {
  return { signed: access.signed ?? false, bigEndian: s.mode.dataBigEndian !== (access.reversed ?? false) };
}

function encoding(form: Form, opcode: string, register: string): string {
  if (form === 'D') return `${opcode} ${register}:5 RA:5 D:16`;
  if (form === 'DS') return `${opcode.slice(0, 6)} ${register}:5 RA:5 DS:14 ${opcode.slice(6)}`;
  return `011111 ${register}:5 RA:5 RB:5 ${opcode} 0`;
}

function operands(form: Form, register: string): string {
  if (form === 'D') return `{${register}},{D}({RA})`;
  if (form === 'DS') return `{${register}},{DS}({RA})`;
  return `{${register}},{RA},{RB}`;
}

interface Row {
  readonly name: string;
  readonly form: Form;
  readonly opcode: string;
  readonly access: Access;
  readonly update?: boolean;
}

/** An update form with RA=0, or that loads into its own RA, is invalid (3.3.2): illegal, as on QEMU. */
function requireUpdateForm(s: S, target: string | null): void {
  s.if(i32.eqz(s.field('RA')), () => s.trap(TRAP.illegal));
  if (target !== null) s.if(i32.eq(s.field('RA'), s.field(target)), () => s.trap(TRAP.illegal));
}

/** Caching-inhibited accesses are the hypervisor's (book III, 4.4.1). */
function requireHypervisor(s: S): void {
  const privilege = i64.and(s.get(msr), i64.const(MSR.HV | MSR.PR));
  s.if(i64.ne(privilege, i64.const(MSR.HV)), () => s.trap(TRAP.hypervisorPrivileged));
}

/** Common loads and stores get an interpreter handler of their own for (RA|0) = 0. */
function splitFor(name: string, update: boolean): readonly string[] {
  const rare = /cix$|brx$|^lf|^stf/.test(name);
  return update || rare ? [] : ['RA=0'];
}

function load({ name, form, opcode, access, update = false }: Row): PowerInstruction {
  return define({
    name,
    encoding: encoding(form, opcode, 'RT'),
    operands: operands(form, 'RT'),
    split: splitFor(name, update),
    meaning(s) {
      if (access.inhibited) requireHypervisor(s);
      if (update) requireUpdateForm(s, 'RT');
      const ea = address(s, form, update);
      const value = s.load(ea, access.size, accessOptions(s, access));
      setReg(s, 'RT', value);
      if (update) setReg(s, 'RA', ea);
    },
  });
}

function store({ name, form, opcode, access, update = false }: Row): PowerInstruction {
  return define({
    name,
    encoding: encoding(form, opcode, 'RS'),
    operands: operands(form, 'RS'),
    split: splitFor(name, update),
    meaning(s) {
      if (access.inhibited) requireHypervisor(s);
      if (update) requireUpdateForm(s, null);
      const ea = address(s, form, update);
      s.store(ea, access.size, reg(s, 'RS'), accessOptions(s, access));
      if (update) setReg(s, 'RA', ea);
    },
  });
}

const B: Access = { size: 1 };
const H: Access = { size: 2 };
const HA: Access = { size: 2, signed: true };
const WZ: Access = { size: 4 };
const WA: Access = { size: 4, signed: true };
const DW: Access = { size: 8 };
const ci = (access: Access): Access => ({ ...access, inhibited: true });
const rev = (access: Access): Access => ({ ...access, reversed: true });

const LOADS: readonly Row[] = [
  { name: 'lbz', form: 'D', opcode: '100010', access: B },
  { name: 'lbzu', form: 'D', opcode: '100011', access: B, update: true },
  { name: 'lhz', form: 'D', opcode: '101000', access: H },
  { name: 'lhzu', form: 'D', opcode: '101001', access: H, update: true },
  { name: 'lha', form: 'D', opcode: '101010', access: HA },
  { name: 'lhau', form: 'D', opcode: '101011', access: HA, update: true },
  { name: 'lwz', form: 'D', opcode: '100000', access: WZ },
  { name: 'lwzu', form: 'D', opcode: '100001', access: WZ, update: true },
  { name: 'lwa', form: 'DS', opcode: '11101010', access: WA },
  { name: 'ld', form: 'DS', opcode: '11101000', access: DW },
  { name: 'ldu', form: 'DS', opcode: '11101001', access: DW, update: true },
  { name: 'lbzx', form: 'X', opcode: '0001010111', access: B },
  { name: 'lbzux', form: 'X', opcode: '0001110111', access: B, update: true },
  { name: 'lhzx', form: 'X', opcode: '0100010111', access: H },
  { name: 'lhzux', form: 'X', opcode: '0100110111', access: H, update: true },
  { name: 'lhax', form: 'X', opcode: '0101010111', access: HA },
  { name: 'lhaux', form: 'X', opcode: '0101110111', access: HA, update: true },
  { name: 'lwzx', form: 'X', opcode: '0000010111', access: WZ },
  { name: 'lwzux', form: 'X', opcode: '0000110111', access: WZ, update: true },
  { name: 'lwax', form: 'X', opcode: '0101010101', access: WA },
  { name: 'lwaux', form: 'X', opcode: '0101110101', access: WA, update: true },
  { name: 'ldx', form: 'X', opcode: '0000010101', access: DW },
  { name: 'ldux', form: 'X', opcode: '0000110101', access: DW, update: true },
  { name: 'lhbrx', form: 'X', opcode: '1100010110', access: rev(H) },
  { name: 'lwbrx', form: 'X', opcode: '1000010110', access: rev(WZ) },
  { name: 'ldbrx', form: 'X', opcode: '1000010100', access: rev(DW) },
  { name: 'lbzcix', form: 'X', opcode: '1101010101', access: ci(B) },
  { name: 'lhzcix', form: 'X', opcode: '1100110101', access: ci(H) },
  { name: 'lwzcix', form: 'X', opcode: '1100010101', access: ci(WZ) },
  { name: 'ldcix', form: 'X', opcode: '1101110101', access: ci(DW) },
];

const STORES: readonly Row[] = [
  { name: 'stb', form: 'D', opcode: '100110', access: B },
  { name: 'stbu', form: 'D', opcode: '100111', access: B, update: true },
  { name: 'sth', form: 'D', opcode: '101100', access: H },
  { name: 'sthu', form: 'D', opcode: '101101', access: H, update: true },
  { name: 'stw', form: 'D', opcode: '100100', access: WZ },
  { name: 'stwu', form: 'D', opcode: '100101', access: WZ, update: true },
  { name: 'std', form: 'DS', opcode: '11111000', access: DW },
  { name: 'stdu', form: 'DS', opcode: '11111001', access: DW, update: true },
  { name: 'stbx', form: 'X', opcode: '0011010111', access: B },
  { name: 'stbux', form: 'X', opcode: '0011110111', access: B, update: true },
  { name: 'sthx', form: 'X', opcode: '0110010111', access: H },
  { name: 'sthux', form: 'X', opcode: '0110110111', access: H, update: true },
  { name: 'stwx', form: 'X', opcode: '0010010111', access: WZ },
  { name: 'stwux', form: 'X', opcode: '0010110111', access: WZ, update: true },
  { name: 'stdx', form: 'X', opcode: '0010010101', access: DW },
  { name: 'stdux', form: 'X', opcode: '0010110101', access: DW, update: true },
  { name: 'sthbrx', form: 'X', opcode: '1110010110', access: rev(H) },
  { name: 'stwbrx', form: 'X', opcode: '1010010110', access: rev(WZ) },
  { name: 'stdbrx', form: 'X', opcode: '1010010100', access: rev(DW) },
  { name: 'stbcix', form: 'X', opcode: '1111010101', access: ci(B) },
  { name: 'sthcix', form: 'X', opcode: '1110110101', access: ci(H) },
  { name: 'stwcix', form: 'X', opcode: '1110010101', access: ci(WZ) },
  { name: 'stdcix', form: 'X', opcode: '1111110101', access: ci(DW) },
];

/** lmw and its like, which compilers for 64 bits never make: `helper` does everything. */
function multiple(name: string, encodingText: string, operandText: string, helper: number): PowerInstruction {
  return define({
    name,
    encoding: encodingText,
    operands: operandText,
    meaning: (s) => s.helper(helper, instructionWord(s)),
  });
}

const MULTIPLE: readonly PowerInstruction[] = [
  multiple('lmw', '101110 RT:5 RA:5 D:16', '{RT},{D}({RA})', HELPER.loadMultiple),
  multiple('stmw', '101111 RS:5 RA:5 D:16', '{RS},{D}({RA})', HELPER.storeMultiple),
  multiple('lswi', '011111 RT:5 RA:5 NB:5 1001010101 0', '{RT},{RA},{NB}', HELPER.loadMultiple),
  multiple('lswx', '011111 RT:5 RA:5 RB:5 1000010101 0', '{RT},{RA},{RB}', HELPER.loadMultiple),
  multiple('stswi', '011111 RS:5 RA:5 NB:5 1011010101 0', '{RS},{RA},{NB}', HELPER.storeMultiple),
  multiple('stswx', '011111 RS:5 RA:5 RB:5 1010010101 0', '{RS},{RA},{RB}', HELPER.storeMultiple),
];

/** MSR[FP] must be set for any floating point instruction. */
export function requireFloatingPoint(s: S): void {
  const available = i32.and(low(i64.shrU(s.get(msr), i64.const(13))), i32.const(1));
  s.if(i32.eqz(available), () => s.trap(TRAP.fpUnavailable));
}

function toDouble(single: D): D {
  return i64.reinterpretF64(f64.promoteF32(f32.reinterpretI32(low(single))));
}

function floatLoad(row: Row & { readonly convert: (value: D) => D }): PowerInstruction {
  const { name, form, opcode, access, update = false, convert } = row;
  return define({
    name,
    encoding: encoding(form, opcode, 'FRT'),
    operands: operands(form, 'FRT'),
    split: splitFor(name, update),
    meaning(s) {
      if (update) requireUpdateForm(s, null);
      requireFloatingPoint(s);
      const ea = address(s, form, update);
      const value = s.load(ea, access.size, accessOptions(s, access));
      s.setAt(fpr, s.field('FRT'), convert(value));
      if (update) setReg(s, 'RA', ea);
    },
  });
}

function floatStore(row: Row & { readonly convert: (value: D) => D }): PowerInstruction {
  const { name, form, opcode, access, update = false, convert } = row;
  return define({
    name,
    encoding: encoding(form, opcode, 'FRS'),
    operands: operands(form, 'FRS'),
    split: splitFor(name, update),
    meaning(s) {
      if (update) requireUpdateForm(s, null);
      requireFloatingPoint(s);
      const ea = address(s, form, update);
      s.store(ea, access.size, convert(s.let(s.getAt(fpr, s.field('FRS')))), accessOptions(s, access));
      if (update) setReg(s, 'RA', ea);
    },
  });
}

/** A signalling NaN stays one: promotion by WebAssembly could quiet it, so NaNs and infinities are widened by hand. */
function widen(single: D): D {
  const special = i32.eq(i32.and(low(single), i32.const(0x7f800000)), i32.const(0x7f800000));
  const sign = i64.shl(i64.and(single, i64.const(0x80000000n)), i64.const(32));
  const rest = i64.shl(i64.and(single, i64.const(0x007fffffn)), i64.const(29));
  return select(special, i64.or(i64.or(sign, rest), i64.const(0x7ff0000000000000n)), toDouble(single));
}

/** Store Floating-Point Single: the bits are taken, not rounded (4.6.3); denormals are shifted into place. */
function narrow(double: D): D {
  const exponent = i64.and(i64.shrU(double, i64.const(52)), i64.const(0x7ff));
  const direct = i64.or(
    i64.and(i64.shrU(double, i64.const(32)), i64.const(0xc0000000n)),
    i64.and(i64.shrU(double, i64.const(29)), i64.const(0x3fffffffn)),
  );
  const sign = i64.and(i64.shrU(double, i64.const(32)), i64.const(0x80000000n));
  const fraction = i64.or(i64.and(double, i64.const(0xfffffffffffffn)), i64.const(0x10000000000000n));
  const shifted = i64.shrU(i64.shrU(fraction, i64.const(29)), i64.sub(i64.const(897), exponent));
  // A number below the smallest single has an undefined result: a zero, as in QEMU.
  const denormal = i64.or(sign, select(i64.geU(exponent, i64.const(874)), shifted, i64.const(0)));
  return select(i64.gtU(exponent, i64.const(896)), direct, denormal);
}

const same = (value: D): D => value;
const FLOAT_LOADS: readonly (Row & { readonly convert: (value: D) => D })[] = [
  { name: 'lfs', form: 'D', opcode: '110000', access: WZ, convert: widen },
  { name: 'lfsu', form: 'D', opcode: '110001', access: WZ, update: true, convert: widen },
  { name: 'lfd', form: 'D', opcode: '110010', access: DW, convert: same },
  { name: 'lfdu', form: 'D', opcode: '110011', access: DW, update: true, convert: same },
  { name: 'lfsx', form: 'X', opcode: '1000010111', access: WZ, convert: widen },
  { name: 'lfsux', form: 'X', opcode: '1000110111', access: WZ, update: true, convert: widen },
  { name: 'lfdx', form: 'X', opcode: '1001010111', access: DW, convert: same },
  { name: 'lfdux', form: 'X', opcode: '1001110111', access: DW, update: true, convert: same },
  { name: 'lfiwax', form: 'X', opcode: '1101010111', access: WA, convert: same },
  { name: 'lfiwzx', form: 'X', opcode: '1101110111', access: WZ, convert: same },
];

const FLOAT_STORES: readonly (Row & { readonly convert: (value: D) => D })[] = [
  { name: 'stfs', form: 'D', opcode: '110100', access: WZ, convert: narrow },
  { name: 'stfsu', form: 'D', opcode: '110101', access: WZ, update: true, convert: narrow },
  { name: 'stfd', form: 'D', opcode: '110110', access: DW, convert: same },
  { name: 'stfdu', form: 'D', opcode: '110111', access: DW, update: true, convert: same },
  { name: 'stfsx', form: 'X', opcode: '1010010111', access: WZ, convert: narrow },
  { name: 'stfsux', form: 'X', opcode: '1010110111', access: WZ, update: true, convert: narrow },
  { name: 'stfdx', form: 'X', opcode: '1011010111', access: DW, convert: same },
  { name: 'stfdux', form: 'X', opcode: '1011110111', access: DW, update: true, convert: same },
  { name: 'stfiwx', form: 'X', opcode: '1111010111', access: WZ, convert: same },
];

export const LOAD_STORE: readonly PowerInstruction[] = [
  ...LOADS.map(load),
  ...STORES.map(store),
  ...MULTIPLE,
  ...FLOAT_LOADS.map(floatLoad),
  ...FLOAT_STORES.map(floatStore),
];
