import { i32, i64 } from '../../wasm/expr.ts';
import { DXC, PGM } from '../abi.ts';
import {
  address,
  byHelper,
  type D,
  define,
  gr,
  load,
  type S,
  type S390Instruction,
  setGr,
  store,
  zext,
} from './common.ts';
import { FLOAT_ROWS } from './float-rows.ts';
import type { Format } from './formats.ts';
import { fpc, fpr } from './state.ts';

/** Floating point registers and binary floating point (Principles of Operation, chapters 9 and 19). Arithmetic is done by `perform`. */

/** Without CR0[AFP] only registers 0, 2, 4 and 6 are there. */
function requireRegisters(s: S, ...fields: readonly string[]): void {
  if (s.mode.afp) return;
  for (const f of fields) {
    s.if(i32.and(s.field(f), i32.const(9)), () => s.trap(PGM.DATA, i32.const(DXC.AFP_REGISTER)));
  }
}

/** Without CR0[AFP] there is no BFP. */
export function requireBfp(s: S): void {
  if (!s.mode.afp) s.if(i32.const(1), () => s.trap(PGM.DATA, i32.const(DXC.BFP_INSTRUCTION)));
}

const fr = (s: S, field: string): D => s.getAt(fpr, s.field(field));
const setFr = (s: S, field: string, v: D): void => s.setAt(fpr, s.field(field), v);
const UPPER = i64.const(0xffffffff00000000n);
const LOWER = i64.const(0xffffffffn);
const SIGN = i64.const(1n << 63n);

/** Sets the short number of a register: its left half. */
function setShort(s: S, field: string, left: D): void {
  setFr(s, field, i64.or(i64.and(left, UPPER), i64.and(fr(s, field), LOWER)));
}

function move(
  name: string,
  opcode: string,
  format: Format,
  operands: string,
  registers: readonly string[],
  meaning: (s: S) => void,
): S390Instruction {
  return define({
    name,
    opcode,
    format,
    operands,
    meaning(s) {
      requireRegisters(s, ...registers);
      meaning(s);
    },
  });
}

const TWO = ['R1', 'R2'] as const;
const ONE = ['R1'] as const;
const STORAGE = '{F1},{X2}';

const MOVES: readonly S390Instruction[] = [
  move('ldr', '28', 'RR', '{F1},{F2}', TWO, (s) => setFr(s, 'R1', fr(s, 'R2'))),
  move('ler', '38', 'RR', '{F1},{F2}', TWO, (s) => setShort(s, 'R1', fr(s, 'R2'))),
  move('ld', '68', 'RX', STORAGE, ONE, (s) => setFr(s, 'R1', load(s, address(s, 2), 8))),
  move('ldy', 'ED65', 'RXY', STORAGE, ONE, (s) => setFr(s, 'R1', load(s, address(s, 2), 8))),
  move('le', '78', 'RX', STORAGE, ONE, (s) => setShort(s, 'R1', i64.shl(load(s, address(s, 2), 4), i64.const(32)))),
  move('ley', 'ED64', 'RXY', STORAGE, ONE, (s) => setShort(s, 'R1', i64.shl(load(s, address(s, 2), 4), i64.const(32)))),
  move('std', '60', 'RX', STORAGE, ONE, (s) => store(s, address(s, 2), 8, fr(s, 'R1'))),
  move('stdy', 'ED67', 'RXY', STORAGE, ONE, (s) => store(s, address(s, 2), 8, fr(s, 'R1'))),
  move('ste', '70', 'RX', STORAGE, ONE, (s) => store(s, address(s, 2), 4, i64.shrU(fr(s, 'R1'), i64.const(32)))),
  move('stey', 'ED66', 'RXY', STORAGE, ONE, (s) => store(s, address(s, 2), 4, i64.shrU(fr(s, 'R1'), i64.const(32)))),
  move('lzdr', 'B375', 'RRE1', '{F1}', ONE, (s) => setFr(s, 'R1', i64.const(0))),
  move('lzer', 'B374', 'RRE1', '{F1}', ONE, (s) => setShort(s, 'R1', i64.const(0))),
  move('ldgr', 'B3C1', 'RRE', '{F1},{R2}', ONE, (s) => setFr(s, 'R1', gr(s, 'R2'))),
  move('lgdr', 'B3CD', 'RRE', '{R1},{F2}', ['R2'], (s) => setGr(s, 'R1', fr(s, 'R2'))),
  move('lpdfr', 'B370', 'RRE', '{F1},{F2}', TWO, (s) => setFr(s, 'R1', i64.and(fr(s, 'R2'), i64.not(SIGN)))),
  move('lndfr', 'B371', 'RRE', '{F1},{F2}', TWO, (s) => setFr(s, 'R1', i64.or(fr(s, 'R2'), SIGN))),
  move('lcdfr', 'B373', 'RRE', '{F1},{F2}', TWO, (s) => setFr(s, 'R1', i64.xor(fr(s, 'R2'), SIGN))),
  move('cpsdr', 'B372', 'RRFa', '{F1},{F3},{F2}', ['R1', 'R2', 'R3'], (s) =>
    setFr(s, 'R1', i64.or(i64.and(fr(s, 'R2'), i64.not(SIGN)), i64.and(fr(s, 'R3'), SIGN))),
  ),
];

const CONTROL: readonly S390Instruction[] = [
  define({
    name: 'efpc',
    opcode: 'B38C',
    format: 'RRE1',
    meaning(s) {
      requireBfp(s);
      setGr(s, 'R1', i64.or(i64.and(gr(s, 'R1'), UPPER), zext(s.get(fpc))));
    },
  }),
  define({
    name: 'stfpc',
    opcode: 'B29C',
    format: 'S',
    meaning(s) {
      requireBfp(s);
      store(s, address(s, 2), 4, zext(s.get(fpc)));
    },
  }),
];

export const FLOAT: readonly S390Instruction[] = [
  ...MOVES,
  ...CONTROL,
  ...FLOAT_ROWS.map(([name, opcode, format, operands]) =>
    define({
      name,
      opcode,
      format,
      operands,
      meaning(s) {
        requireBfp(s);
        byHelper(s);
      },
    }),
  ),
];
