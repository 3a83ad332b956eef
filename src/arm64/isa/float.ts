import type { Direction, OperationName, Sticky } from '../../float/sticky.ts';
import * as sticky from '../../float/sticky.ts';
import { i32, i64 } from '../../wasm/expr.ts';
import {
  type ArmInstruction,
  cut,
  type D,
  define,
  holds,
  instructionWord,
  low,
  operand,
  reg,
  type S,
  setFlags,
  setNzcv,
  setReg,
  sext,
  zext,
} from './common.ts';
import { FPCR, FPSR } from './fpsr.ts';
import { HELPER, TRAP } from './helpers.ts';
import { fpcr, fpsr } from './state.ts';
import { requireVectorAccess, setVector, vector } from './vector-registers.ts';

/**
 * Scalar floating point that computes (Arm ARM, C4.1.96, and of the scalar instructions of Advanced SIMD those that convert, and FABD). Generated code does
 * what rounds to nearest and gives ordinary numbers; the rest is done by `executeFloat`.
 */

const PRECISIONS = [
  { ftype: '00', letter: 'S', precision: 'single', sign: 1n << 31n },
  { ftype: '01', letter: 'D', precision: 'double', sign: 1n << 63n },
] as const;
type Precision = (typeof PRECISIONS)[number];

/** Of FPCR: what asks for more than IEEE's defaults. FPCR.DN matters to NaNs only, which generated code leaves in any case. */
const SPECIAL = i64.const(FPCR.RMode | FPCR.FZ);

const status = (s: S): Sticky => ({
  special: i64.ne(i64.and(s.get(fpcr), SPECIAL), i64.const(0)),
  inexact: i32.and(i32.shrU(low(s.get(fpsr)), i32.const(4)), i32.const(1)),
  leave: () => s.trap(TRAP.softFloat, instructionWord(s)),
  raiseInexact: () => s.set(fpsr, i64.or(s.get(fpsr), i64.const(FPSR.IXC))),
});

const float = (name: string, encoding: string, operands: string, meaning: (s: S) => void): ArmInstruction =>
  define({
    name,
    encoding,
    operands,
    meaning(s) {
      requireVectorAccess(s);
      meaning(s);
    },
  });

/** Done by `executeFloat` whatever the operands are. */
const soft = (name: string, encoding: string, operands: string): ArmInstruction =>
  float(name, encoding, operands, (s) => s.helper(HELPER.float, instructionWord(s)));

const flipped = (v: D, { sign }: Precision): D => i64.xor(v, i64.const(sign));
const operands = ({ letter: r }: Precision, ...fields: string[]): string => fields.map((f) => `{${r}${f}}`).join();
const source = (s: S, field: string): D => s.let(vector(s, field));

const TWO_SOURCES: readonly (readonly [name: string, opcode: string, operation: OperationName | 'min' | 'max'])[] = [
  ['fmul', '0000', 'multiply'],
  ['fdiv', '0001', 'divide'],
  ['fadd', '0010', 'add'],
  ['fsub', '0011', 'subtract'],
  ['fmax', '0100', 'max'],
  ['fmin', '0101', 'min'],
  ['fmaxnm', '0110', 'max'],
  ['fminnm', '0111', 'min'],
  ['fnmul', '1000', 'multiply'],
];

const twoSources = (p: Precision): ArmInstruction[] =>
  TWO_SOURCES.map(([name, opcode, operation]) =>
    float(name, `000 11110 ${p.ftype} 1 Rm:5 ${opcode} 10 Rn:5 Rd:5`, operands(p, 'd', 'n', 'm'), (s) => {
      const [a, b] = [source(s, 'Rn'), source(s, 'Rm')];
      if (operation === 'min' || operation === 'max') {
        return setVector(s, 'Rd', sticky.extreme(s, p.precision, operation, a, b, status(s)));
      }
      const result = sticky.arithmetic(s, operation as 'add', p.precision, a, b, status(s));
      setVector(s, 'Rd', name === 'fnmul' ? s.let(flipped(result, p)) : result);
    }),
  );

const THREE_SOURCES = [
  { name: 'fmadd', o1: 0, o0: 0 },
  { name: 'fmsub', o1: 0, o0: 1 },
  { name: 'fnmadd', o1: 1, o0: 0 },
  { name: 'fnmsub', o1: 1, o0: 1 },
] as const;

const threeSources = (p: Precision): ArmInstruction[] =>
  THREE_SOURCES.map(({ name, o1, o0 }) =>
    float(name, `000 11111 ${p.ftype} ${o1} Rm:5 ${o0} Ra:5 Rn:5 Rd:5`, operands(p, 'd', 'n', 'm', 'a'), (s) => {
      const n = s.let(o1 === o0 ? vector(s, 'Rn') : flipped(vector(s, 'Rn'), p));
      const a = s.let(o1 === 1 ? flipped(vector(s, 'Ra'), p) : vector(s, 'Ra'));
      setVector(s, 'Rd', sticky.multiplyAdd(s, p.precision, n, source(s, 'Rm'), a, status(s)));
    }),
  );

const oneSource = (name: string, opcode: string, p: Precision, to: string, operation: (s: S, v: D) => D) =>
  float(name, `000 11110 ${p.ftype} 1 ${opcode} 10000 Rn:5 Rd:5`, `{${to}d},{${p.letter}n}`, (s) =>
    setVector(s, 'Rd', operation(s, source(s, 'Rn'))),
  );

const ROUNDINGS: readonly (readonly [letter: string, opcode: string, direction: Direction])[] = [
  ['n', '001000', 'nearest'],
  ['p', '001001', 'up'],
  ['m', '001010', 'down'],
  ['z', '001011', 'zero'],
  ['a', '001100', 'away'],
  // The current rounding mode, which is to nearest here; X raises inexact.
  ['x', '001110', 'nearest'],
  ['i', '001111', 'nearest'],
];

const [SINGLE, DOUBLE] = PRECISIONS;
const ONE_SOURCE: readonly ArmInstruction[] = [
  ...PRECISIONS.flatMap((p) => [
    oneSource('fsqrt', '000011', p, p.letter, (s, v) =>
      sticky.arithmetic(s, 'squareRoot', p.precision, v, v, status(s)),
    ),
    ...ROUNDINGS.map(([letter, opcode, direction]) =>
      oneSource(`frint${letter}`, opcode, p, p.letter, (s, v) =>
        sticky.toIntegral(s, p.precision, v, direction, letter === 'x', status(s)),
      ),
    ),
    soft('fcvt', `000 11110 ${p.ftype} 1 000111 10000 Rn:5 Rd:5`, `{Hd},{${p.letter}n}`),
  ]),
  oneSource('fcvt', '000101', SINGLE, 'D', (s, v) => sticky.lengthen(s, v, status(s))),
  oneSource('fcvt', '000100', DOUBLE, 'S', (s, v) => sticky.shorten(s, v, status(s))),
  soft('fcvt', '000 11110 11 1 000100 10000 Rn:5 Rd:5', '{Sd},{Hn}'),
  soft('fcvt', '000 11110 11 1 000101 10000 Rn:5 Rd:5', '{Dd},{Hn}'),
];

function setComparison(s: S, p: Precision, b: D): void {
  const { less, equal } = sticky.compare(s, p.precision, source(s, 'Rn'), b, status(s));
  setFlags(s, { n: less, z: equal, c: i32.eqz(less), v: i32.const(0), less });
}

/** FCMP, FCCMP and the forms that take every NaN for invalid: without NaNs they do the same. */
const comparisons = (p: Precision): ArmInstruction[] =>
  [0, 1].flatMap((signalling) => {
    const e = signalling === 1 ? 'e' : '';
    return [
      float(`fcmp${e}`, `000 11110 ${p.ftype} 1 Rm:5 00 1000 Rn:5 ${signalling}0 000`, operands(p, 'n', 'm'), (s) =>
        setComparison(s, p, source(s, 'Rm')),
      ),
      float(`fcmp${e}`, `000 11110 ${p.ftype} 1 00000 00 1000 Rn:5 ${signalling}1 000`, `{${p.letter}n},{zero}`, (s) =>
        setComparison(s, p, i64.const(0)),
      ),
      float(
        `fccmp${e}`,
        `000 11110 ${p.ftype} 1 Rm:5 cond:4 01 Rn:5 ${signalling} nzcv:4`,
        `${operands(p, 'n', 'm')},{nzcv},{cond}`,
        (s) =>
          s.if(
            s.let(holds(s, 'cond')),
            () => setComparison(s, p, source(s, 'Rm')),
            () => setNzcv(s, s.field('nzcv')),
          ),
      ),
    ];
  });

const TO_INTEGER: readonly (readonly [letter: string, rmode: string, opcode: string, direction: Direction])[] = [
  ['n', '00', '00', 'nearest'],
  ['p', '01', '00', 'up'],
  ['m', '10', '00', 'down'],
  ['z', '11', '00', 'zero'],
  ['a', '00', '10', 'away'],
];
const WIDTHS = [
  { sf: 0, letter: 'W', width: 32 },
  { sf: 1, letter: 'X', width: 64 },
] as const;
const SIGNS = [
  { u: 0, letter: 's' },
  { u: 1, letter: 'u' },
] as const;

/** An integer operand of 32 or 64 bits as one of 64. */
const widened = (v: D, width: 32 | 64, signed: boolean): D => (width === 64 ? v : signed ? sext(v) : zext(v));

const conversions = (p: Precision): ArmInstruction[] =>
  WIDTHS.flatMap(({ sf, letter, width }) =>
    SIGNS.flatMap(({ u, letter: sign }) => {
      const general = (rmode: string, opcode: string): string =>
        `${sf} 00 11110 ${p.ftype} 1 ${rmode} ${opcode}${u} 000000 Rn:5 Rd:5`;
      // Scales with bit 5 clear are for 64 bits only.
      const fixed = (rmode: string, opcode: string): string =>
        `${sf} 00 11110 ${p.ftype} 0 ${rmode} ${opcode}${u} ${sf === 0 ? '1 scale:5' : 'scale:6'} Rn:5 Rd:5`;
      return [
        ...TO_INTEGER.map(([way, rmode, opcode, direction]) =>
          float(`fcvt${way}${sign}`, general(rmode, opcode), `{${letter}d},{${p.letter}n}`, (s) => {
            const v = sticky.toInteger(s, p.precision, source(s, 'Rn'), width, u === 0, direction, status(s));
            setReg(s, 'Rd', cut(width === 64, v));
          }),
        ),
        float(`${sign}cvtf`, general('00', '01'), `{${p.letter}d},{${letter}n}`, (s) => {
          const v = widened(operand(s, 'Rn', width === 64), width, u === 0);
          setVector(s, 'Rd', sticky.fromInteger(s, p.precision, v, u === 0, status(s)));
        }),
        soft(`${sign}cvtf`, fixed('00', '01'), `{${p.letter}d},{${letter}n},{fbits}`),
        soft(`fcvtz${sign}`, fixed('11', '00'), `{${letter}d},{${p.letter}n},{fbits}`),
      ];
    }),
  );

/** Conversions within V registers, by the bits 23 and 16 to 12 of Advanced SIMD scalar two-register miscellaneous. */
const SCALAR_TO_INTEGER: readonly (readonly [letter: string, o: number, opcode: string, direction: Direction])[] = [
  ['n', 0, '11010', 'nearest'],
  ['m', 0, '11011', 'down'],
  ['a', 0, '11100', 'away'],
  ['p', 1, '11010', 'up'],
  ['z', 1, '11011', 'zero'],
];

const scalar = (p: Precision, sz: number): ArmInstruction[] => {
  const width = p.precision === 'double' ? 64 : 32;
  return [
    ...SIGNS.flatMap(({ u, letter: sign }) => [
      ...SCALAR_TO_INTEGER.map(([way, o, opcode, direction]) =>
        float(
          `fcvt${way}${sign}`,
          `01 ${u} 11110 ${o}${sz} 10000 ${opcode} 10 Rn:5 Rd:5`,
          operands(p, 'd', 'n'),
          (s) => {
            const v = sticky.toInteger(s, p.precision, source(s, 'Rn'), width, u === 0, direction, status(s));
            setVector(s, 'Rd', s.let(cut(width === 64, v)));
          },
        ),
      ),
      float(`${sign}cvtf`, `01 ${u} 11110 0${sz} 10000 11101 10 Rn:5 Rd:5`, operands(p, 'd', 'n'), (s) => {
        const v = widened(vector(s, 'Rn'), width, u === 0);
        setVector(s, 'Rd', sticky.fromInteger(s, p.precision, v, u === 0, status(s)));
      }),
    ]),
    float('fabd', `01 1 11110 1${sz} 1 Rm:5 11010 1 Rn:5 Rd:5`, operands(p, 'd', 'n', 'm'), (s) => {
      const v = sticky.arithmetic(s, 'subtract', p.precision, source(s, 'Rn'), source(s, 'Rm'), status(s));
      setVector(s, 'Rd', s.let(i64.and(v, i64.const(p.sign - 1n))));
    }),
  ];
};

/** FPCR and FPSR, which are trapped as V registers are. */
const REGISTERS = [
  { name: 'fpcr', op2: '000', slot: fpcr, writable: FPCR.WRITABLE },
  { name: 'fpsr', op2: '001', slot: fpsr, writable: FPSR.WRITABLE },
] as const;

const CONTROL: readonly ArmInstruction[] = REGISTERS.flatMap(({ name, op2, slot, writable }) => [
  float('msr', `1101010100 0 1 1 011 0100 0100 ${op2} Rt:5`, `${name},{Xt}`, (s) =>
    s.set(slot, i64.and(reg(s, 'Rt'), i64.const(writable))),
  ),
  float('mrs', `1101010100 1 1 1 011 0100 0100 ${op2} Rt:5`, `{Xt},${name}`, (s) => setReg(s, 'Rt', s.get(slot))),
]);

export const FLOAT: readonly ArmInstruction[] = [
  ...PRECISIONS.flatMap((p, sz) => [
    ...twoSources(p),
    ...threeSources(p),
    ...comparisons(p),
    ...conversions(p),
    ...scalar(p, sz),
  ]),
  ...ONE_SOURCE,
  ...CONTROL,
];
